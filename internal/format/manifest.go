package format

import (
	"bytes"
	"errors"
	"fmt"
)

// minManifest is less than any manifest has.
const minManifest = headerSize + 1 + crcSize

// EncodeManifest makes a manifest object. pack, if not empty, is the one pack of a small checkpoint, which one of m.Objects describes as
// embedded here: it becomes the object's tail. The manifest is sealed if s is given; the pack has to be so already.
func EncodeManifest(m *Manifest, pack []byte, s *Sealing) ([]byte, error) {
	if err := checkManifest(m, pack, s.message()); err != nil {
		return nil, fmt.Errorf("encode manifest: %w: %w", ErrInvalid, err)
	}
	body, err := marshal(nil, m, manifestShape())
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w: %w", ErrInvalid, err)
	}
	var others []byte
	if s != nil {
		others = refers(m)
	}
	b, err := envelope(KindManifest, body, pack, s, others)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w: %w", ErrInvalid, err)
	}
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("encode manifest: %w: %d bytes, more than the %d that a manifest may have; save fewer parts", ErrInvalid, len(b), MaxManifest)
	}
	return b, nil
}

// DecodeManifest reads and checks a manifest object. WrappedKeys says which keys it needs; none if it is not sealed.
func DecodeManifest(b []byte, keys Keyring) (*Manifest, error) {
	o, err := open(KindManifest, b, MaxManifest, keys)
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := unmarshal(o.body, m, manifestShape()); err != nil {
		return nil, corrupt("manifest", err)
	}
	if err := checkManifest(m, o.tail, o.sealed); err != nil {
		return nil, corrupt("manifest", err)
	}
	if o.sealed != nil && !bytes.Equal(o.sealed.Refers, refers(m)) {
		return nil, fmt.Errorf("%w: manifest and prelude disagree about what it refers to", ErrCorrupt)
	}
	return m, nil
}

// checkManifest states what every manifest satisfies. sealed is its prelude, nil if it is in the clear.
func checkManifest(m *Manifest, tail []byte, sealed *Sealed) error {
	if err := CheckJobName(m.Job); err != nil {
		return err
	}
	id, base := m.GetId(), m.Base
	if !isCheckpoint(id) {
		return fmt.Errorf("checkpoint %d of epoch %d", id.GetCheckpoint(), id.GetEpoch())
	}
	if base != nil && (!isCheckpoint(base) || !olderThan(base, id)) {
		return fmt.Errorf("base %d of epoch %d for checkpoint %d of epoch %d", base.Checkpoint, base.Epoch, id.Checkpoint, id.Epoch)
	}
	self, err := checkObjects(m, sealed)
	if err != nil {
		return err
	}
	if err := checkTail(self, tail); err != nil {
		return err
	}
	if err := checkParts(m); err != nil {
		return err
	}
	for i, e := range m.Metadata {
		if i > 0 && m.Metadata[i-1].Key >= e.Key {
			return fmt.Errorf("metadata %q and %q out of order", m.Metadata[i-1].Key, e.Key)
		}
	}
	return nil
}

func sameID(a, b *CheckpointID) bool {
	return a.GetEpoch() == b.GetEpoch() && a.GetCheckpoint() == b.GetCheckpoint()
}

func isCheckpoint(id *CheckpointID) bool {
	return id.GetEpoch() > 0 && id.GetEpoch() <= maxNumber && id.GetCheckpoint() > 0 && id.GetCheckpoint() <= maxNumber
}

// olderThan reports whether a can have been committed before b was begun: checkpoints only grow, and so do epochs.
func olderThan(a, b *CheckpointID) bool { return a.Checkpoint < b.Checkpoint && a.Epoch <= b.Epoch }

// checkObjects checks the table of packs and returns the one that is embedded in this very manifest, or nil.
func checkObjects(m *Manifest, sealed *Sealed) (self *Object, err error) {
	packs, hosts := make(map[Nonce]bool), make(map[Nonce]bool)
	for i, o := range m.Objects {
		if err := checkObject(m, o); err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
		if len(o.DataKey) != 0 && !sealed.has(o.DataKey) {
			// Content hashes of what is sealed must not lie in the clear.
			return nil, fmt.Errorf("object %d is sealed with data key %x, which is not among this object's", i, o.DataKey)
		}
		if packs[Nonce(o.Nonce)] {
			return nil, fmt.Errorf("object %d has the nonce of another", i)
		}
		packs[Nonce(o.Nonce)] = true
		switch {
		case !o.Embedded:
		case len(o.ManifestNonce) == 0:
			if self != nil {
				return nil, fmt.Errorf("object %d is the second that is embedded here", i)
			}
			self = o
		case hosts[Nonce(o.ManifestNonce)]:
			return nil, fmt.Errorf("object %d is the second that is embedded in one manifest", i)
		default:
			hosts[Nonce(o.ManifestNonce)] = true
		}
	}
	return self, nil
}

func checkObject(m *Manifest, o *Object) error {
	own := o.GetId().GetEpoch() == m.Id.Epoch && o.GetId().GetCheckpoint() == m.Id.Checkpoint
	switch {
	case len(o.Nonce) != NonceSize:
		return fmt.Errorf("nonce of %d bytes", len(o.Nonce))
	case !own && (m.Base == nil || !isCheckpoint(o.Id) || !olderThan(o.Id, m.Id)):
		return fmt.Errorf("of checkpoint %d, epoch %d, which this one cannot refer to", o.GetId().GetCheckpoint(), o.GetId().GetEpoch())
	case o.Size < headerSize+packTrailerSize || o.Size > maxPack:
		return fmt.Errorf("size %d", o.Size)
	case o.Raw > o.Size/FrameHeaderSize*MaxRaw:
		return fmt.Errorf("%d bytes of content in %d", o.Raw, o.Size)
	case o.Embedded:
		return checkEmbedded(o, own)
	case len(o.ManifestNonce) != 0 || o.ManifestSize != 0 || o.ManifestCrc32C != 0:
		return errors.New("not embedded, and names a manifest")
	case o.Number > maxPackNo:
		return fmt.Errorf("number %d", o.Number)
	}
	return checkWriter(o.Writer)
}

func checkEmbedded(o *Object, own bool) error {
	switch here := len(o.ManifestNonce) == 0; {
	case own != here:
		return errors.New("embedded in the manifest of another checkpoint")
	case o.Writer != "" || o.Number != 0:
		return errors.New("embedded, and named like an object of its own")
	case here && (o.ManifestSize != 0 || o.ManifestCrc32C != 0):
		return errors.New("embedded here, and says of what size this manifest is")
	case here:
		return nil
	case len(o.ManifestNonce) != NonceSize || o.ManifestSize > MaxManifest || o.ManifestSize < o.Size+minManifest:
		return fmt.Errorf("%d bytes embedded in a manifest of %d", o.Size, o.ManifestSize)
	}
	return nil
}

var plainPack = appendHeader(nil, KindPack, 0, 0)

// checkTail holds the bytes behind the manifest's body against the object that describes them.
func checkTail(self *Object, tail []byte) error {
	switch {
	case self == nil && len(tail) == 0:
		return nil
	case self == nil:
		return fmt.Errorf("%d bytes too many", len(tail))
	case self.Size != uint64(len(tail)):
		return fmt.Errorf("%d bytes of embedded pack, where its object says %d", len(tail), self.Size)
	case self.Crc32C != CRC32C(tail):
		return fmt.Errorf("embedded pack has CRC32C %08x, its object says %08x", CRC32C(tail), self.Crc32C)
	case checkHeader(KindPack, tail) != nil || !bytes.HasSuffix(tail, []byte(packMagic)):
		return errors.New("what is embedded is no pack")
	case (tail[10]&flagSealed != 0) != (len(self.DataKey) != 0), tail[10]&flagSealed == 0 && !bytes.HasPrefix(tail, plainPack):
		return errors.New("what is embedded is no pack, or not sealed as its object says")
	}
	return nil
}
