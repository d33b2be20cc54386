package format

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Sizes of what is sealed.
const (
	DataKeySize  = 32
	KeyIDSize    = 16
	TagSize      = tagSize // what sealing adds to a frame
	tagSize      = 16
	gcmNonceSize = 12
	lengthSize   = 4 // of a prelude

	// maxWrapped is above what any key service answers for 32 bytes.
	maxWrapped = 16 << 10
)

// zeroNonce serves keys that seal one thing only.
var zeroNonce [gcmNonceSize]byte

// labels keep the keys of different kinds of object apart. A kind without one is never sealed.
var labels = map[Kind]string{KindManifest: "tidemark manifest", KindPack: "tidemark pack", KindHandle: "tidemark handle"}

var errTampered = fmt.Errorf("%w: it does not open with its key: damaged, or tampered with", ErrCorrupt)

// KeyID tells data keys apart.
type KeyID [KeyIDSize]byte

// DataKey is the secret that a job's packs and manifests are sealed with. It is kept in the store only as its keeper wrapped it. It prints as its id.
type DataKey struct {
	wrapped *WrappedKey
	secret  [DataKeySize]byte
}

// NewDataKey puts a secret together with what the store keeps of it. The secret is copied.
func NewDataKey(w *WrappedKey, secret []byte) (*DataKey, error) {
	if len(secret) != DataKeySize {
		return nil, fmt.Errorf("data key %x: %w: a secret of %d bytes, not %d", w.GetId(), ErrInvalid, len(secret), DataKeySize)
	}
	if err := checkWrapped(w); err != nil {
		return nil, fmt.Errorf("data key %x: %w: %w", w.GetId(), ErrInvalid, err)
	}
	return &DataKey{w, [DataKeySize]byte(secret)}, nil
}

// ID tells the key from others.
func (k *DataKey) ID() KeyID { return KeyID(k.wrapped.Id) }

// Wrapped is what the store keeps of the key.
func (k *DataKey) Wrapped() *WrappedKey { return k.wrapped }

// String does not say the secret.
func (k *DataKey) String() string { return fmt.Sprintf("data key %x", k.wrapped.GetId()) }

// Format is String whatever the verb, so that none prints the secret.
func (k *DataKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// FrameKey opens and seals the frames of one pack. Safe for concurrent use.
type FrameKey struct{ aead cipher.AEAD }

// FrameKey makes the key of the pack that has this nonce. No two packs may have one nonce.
func (k *DataKey) FrameKey(packNonce []byte) *FrameKey { return k.derive(KindPack, packNonce) }

func (k *DataKey) derive(kind Kind, nonce []byte) *FrameKey {
	h := hmac.New(sha256.New, k.secret[:])
	h.Write([]byte(labels[kind]))
	h.Write(nonce)
	return &FrameKey{gcm(h.Sum(nil))}
}

// Keyring are the data keys at hand.
type Keyring map[KeyID]*DataKey

// FrameKey returns the key of a pack's frames; nil if the pack is not sealed. ErrSealed if its key is not at hand.
func (r Keyring) FrameKey(o *Object) (*FrameKey, error) {
	if len(o.DataKey) == 0 {
		return nil, nil
	}
	k, err := r.find(o.DataKey)
	if err != nil {
		return nil, err
	}
	return k.FrameKey(o.Nonce), nil
}

func (r Keyring) find(id []byte) (*DataKey, error) {
	if len(id) == KeyIDSize {
		if k := r[KeyID(id)]; k != nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: data key %x", ErrSealed, id)
}

// Sealing says how to seal an object.
type Sealing struct {
	Key   *DataKey
	Nonce Nonce         // of the object's name; never used for two different objects
	Keys  []*WrappedKey // of the packs that the object refers to; Key's own need not be among them
}

// prelude encodes what lies before the sealed body; empty for a nil s.
func (s *Sealing) prelude(refers []byte) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	m := s.message()
	m.Refers = refers
	if err := checkSealed(m); err != nil {
		return nil, err
	}
	return marshal(nil, m, sealedShape())
}

func (s *Sealing) message() *Sealed {
	if s == nil {
		return nil
	}
	m := &Sealed{Nonce: s.Nonce[:], DataKey: s.Key.wrapped.Id, Keys: append([]*WrappedKey{s.Key.wrapped}, s.Keys...)}
	slices.SortStableFunc(m.Keys, func(a, b *WrappedKey) int { return bytes.Compare(a.Id, b.Id) })
	m.Keys = slices.CompactFunc(m.Keys, func(a, b *WrappedKey) bool { return bytes.Equal(a.Id, b.Id) })
	return m
}

// WrappedKeys returns the keys that a manifest, handle or pack needs; none if it is not sealed. Only the start of the object is read.
func WrappedKeys(b []byte) ([]*WrappedKey, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("%w: cut off after %d bytes", ErrCorrupt, len(b))
	}
	k := Kind(b[8])
	if err := checkHeader(k, b); err != nil {
		return nil, err
	}
	if b[10]&flagSealed == 0 {
		return nil, nil
	}
	s, _, err := readPrelude(k, b[headerSize:])
	if err != nil {
		return nil, err
	}
	return s.Keys, nil
}

// readPrelude reads what lies before a sealed body, and says how long it is.
func readPrelude(k Kind, b []byte) (s *Sealed, n int, err error) {
	if len(b) < lengthSize || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-lengthSize) {
		return nil, 0, fmt.Errorf("%w: prelude cut off", ErrCorrupt)
	}
	n = lengthSize + int(binary.LittleEndian.Uint32(b))
	s = new(Sealed)
	if err := unmarshal(b[lengthSize:n], s, sealedShape()); err != nil {
		return nil, 0, corrupt("prelude", err)
	}
	if err := checkSealed(s); err != nil {
		return nil, 0, corrupt("prelude", err)
	}
	if k != KindManifest && len(s.Refers) != 0 {
		return nil, 0, fmt.Errorf("%w: what is no manifest refers to objects", ErrCorrupt)
	}
	return s, n, nil
}

// checkSealed states what every prelude satisfies.
func checkSealed(s *Sealed) error {
	if len(s.Nonce) != NonceSize || len(s.Refers)%NonceSize != 0 {
		return fmt.Errorf("nonce of %d bytes, others of %d", len(s.Nonce), len(s.Refers))
	}
	var before []byte
	own := false
	for _, k := range s.Keys {
		if err := checkWrapped(k); err != nil {
			return fmt.Errorf("data key %x: %w", k.Id, err)
		}
		if bytes.Compare(before, k.Id) >= 0 {
			return fmt.Errorf("data keys %x and %x out of order", before, k.Id)
		}
		before = k.Id
		own = own || bytes.Equal(k.Id, s.DataKey)
	}
	if !own {
		return errors.New("its data key is not among its keys")
	}
	return nil
}

func checkWrapped(k *WrappedKey) error {
	if len(k.GetId()) != KeyIDSize || len(k.GetWrapped()) == 0 || len(k.GetWrapped()) > maxWrapped {
		return fmt.Errorf("an id of %d bytes, wrapped in %d", len(k.GetId()), len(k.GetWrapped()))
	}
	return checkLabel("keeper", k.Keeper)
}

// has reports whether the prelude has the key of an id.
func (s *Sealed) has(id []byte) bool {
	if s == nil {
		return false
	}
	_, ok := slices.BinarySearchFunc(s.Keys, id, func(k *WrappedKey, id []byte) int { return bytes.Compare(k.Id, id) })
	return ok
}

// Wipe overwrites the secret. Nothing may use the key at the time or after.
func (k *DataKey) Wipe() { clear(k.secret[:]) }
