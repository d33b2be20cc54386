package format

import (
	"bytes"
	"fmt"
	"slices"
)

// ManifestRefers returns the nonces of the stored objects that a manifest needs beside itself: packs, and older manifests that packs lie in. Ascending. It needs no
// key, so that a collector needs none. The caller has compared the object's hash with HEAD's: of a sealed manifest only the prelude is read.
func ManifestRefers(b []byte) ([]Nonce, error) {
	raw, _, err := unwrap(KindManifest, b, MaxManifest)
	if err != nil {
		return nil, err
	}
	var all []byte
	if b[10]&flagSealed != 0 {
		s, _, err := readPrelude(KindManifest, raw)
		if err != nil {
			return nil, err
		}
		all = s.Refers
	} else {
		m, err := DecodeManifest(b, nil, NewPartList(nil))
		if err != nil {
			return nil, err
		}
		all = refers(m.Manifest)
	}
	nonces := make([]Nonce, len(all)/NonceSize)
	for i := range nonces {
		nonces[i] = Nonce(all[i*NonceSize:])
		if i > 0 && bytes.Compare(nonces[i-1][:], nonces[i][:]) >= 0 {
			return nil, fmt.Errorf("%w: what the manifest refers to is out of order", ErrCorrupt)
		}
	}
	return nonces, nil
}

// refers makes Sealed.refers of a manifest whose objects have been checked.
func refers(m *Manifest) []byte {
	nonces := make([][]byte, 0, len(m.Objects))
	for _, o := range m.Objects {
		switch {
		case !o.Embedded:
			nonces = append(nonces, o.Nonce)
		case len(o.ManifestNonce) != 0:
			nonces = append(nonces, o.ManifestNonce)
		}
	}
	slices.SortFunc(nonces, bytes.Compare)
	return slices.Concat(slices.CompactFunc(nonces, bytes.Equal)...)
}
