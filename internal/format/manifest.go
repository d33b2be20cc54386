package format

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// minManifest is less than any manifest has.
const minManifest = headerSize + 1 + crcSize

// fieldParts is the number of Manifest.parts.
const fieldParts = 5

// Contents is a manifest whose parts stay encoded until they are asked for.
type Contents struct {
	*Manifest // without parts
	Parts     *PartList
}

// EncodeManifest makes a manifest object, in the space that memory gives; nil: in the heap. pack, if not empty, is the one pack of a small checkpoint, which one of
// m.Objects describes as embedded here: it becomes the object's tail. The manifest is sealed if s is given; the pack has to be so already.
func EncodeManifest(m Contents, pack []byte, s *Sealing, memory func(n int) []byte) ([]byte, error) {
	b, err := encodeManifest(m, pack, s, memory)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w: %w", ErrInvalid, err)
	}
	return b, nil
}

func encodeManifest(m Contents, pack []byte, s *Sealing, memory func(n int) []byte) ([]byte, error) {
	if err := checkManifest(m.Manifest, pack, s.message()); err != nil {
		return nil, err
	}
	if err := m.Parts.checkFor(m.Manifest); err != nil {
		return nil, err
	}
	// Parts lie between what has smaller numbers and what has larger ones, as in every message that protobuf encodes.
	before, err := marshal(nil, &Manifest{Job: m.Job, Id: m.Id, Base: m.Base, Objects: m.Objects}, manifestShape())
	if err != nil {
		return nil, err
	}
	after, err := marshal(nil, &Manifest{Metadata: m.Metadata, CreatedAtNs: m.CreatedAtNs}, manifestShape())
	if err != nil {
		return nil, err
	}
	e := enveloped{kind: KindManifest, size: len(before) + m.Parts.size + len(after), tail: pack, sealing: s, memory: memory}
	if e.size > MaxManifest {
		return nil, tooManyParts(e.size)
	}
	if s != nil {
		e.refers = refers(m.Manifest)
	}
	e.body = func(b []byte) ([]byte, error) {
		start := len(b)
		b = append(m.Parts.appendTo(append(b, before...), fieldParts), after...)
		return b, manifestShape().check(b[start:])
	}
	b, err := e.encode()
	if err != nil {
		return nil, err
	}
	if len(b) > MaxManifest {
		return nil, tooManyParts(len(b))
	}
	return b, nil
}

func tooManyParts(size int) error {
	return fmt.Errorf("%d bytes, more than the %d that a manifest may have; save fewer parts", size, MaxManifest)
}

// checkFor states what the parts of m satisfy, as far as Append has not checked it.
func (l *PartList) checkFor(m *Manifest) error {
	if l.relative != nil && m.Base == nil {
		return fmt.Errorf("part %q: method without a base", l.relative)
	}
	for object, end := range l.ends {
		if uint64(object) >= uint64(len(m.Objects)) {
			return fmt.Errorf("object %d of %d", object, len(m.Objects))
		}
		if size := m.Objects[object].Size; end > size-packTrailerSize {
			return fmt.Errorf("frame up to %d in a pack of %d", end, size)
		}
	}
	var order partOrder
	for r, in := range l.records(false) {
		if err := order.next(slices.Clone(r.name(in)), kindOf(r.encoded(in))); err != nil {
			return err
		}
	}
	return nil
}

// DecodeManifest reads and checks a manifest object. WrappedKeys says which keys it needs; none if it is not sealed. The parts go to list, which is empty.
func DecodeManifest(b []byte, keys Keyring, list *PartList) (Contents, error) {
	o, err := open(KindManifest, b, MaxManifest, keys)
	if err != nil {
		return Contents{}, err
	}
	m, err := decodeContents(o, list)
	if err != nil {
		return Contents{}, corrupt("manifest", err)
	}
	if o.sealed != nil && !bytes.Equal(o.sealed.Refers, refers(m)) {
		return Contents{}, fmt.Errorf("%w: manifest and prelude disagree about what it refers to", ErrCorrupt)
	}
	return Contents{m, list}, nil
}

func decodeContents(o opened, l *PartList) (*Manifest, error) {
	if err := manifestShape().check(o.body); err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := proto.Unmarshal(withoutParts(o.body), m); err != nil {
		return nil, err
	}
	if err := checkManifest(m, o.tail, o.sealed); err != nil {
		return nil, err
	}
	var order partOrder
	var room partSpace
	for encoded := range encodedParts(o.body) {
		p, err := room.decode(encoded)
		if err != nil {
			return nil, err
		}
		if err := checkPart(p); err != nil {
			return nil, err
		}
		if err := order.next(p.Name, p.Kind); err != nil {
			return nil, err
		}
		if err := checkRefers(m, p); err != nil {
			return nil, err
		}
		l.add(encoded, l.measure(p))
		if len(l.fresh) >= partBlock {
			l.seal(0)
		}
	}
	l.settle()
	return m, nil
}

// withoutParts is the fields of an encoded manifest that are no parts. It has passed the walk.
func withoutParts(body []byte) (rest []byte) {
	for len(body) > 0 {
		field, kind, n := protowire.ConsumeTag(body)
		n += protowire.ConsumeFieldValue(field, kind, body[n:])
		if field != fieldParts {
			rest = append(rest, body[:n]...)
		}
		body = body[n:]
	}
	return rest
}

// encodedParts yields the parts of an encoded manifest.
func encodedParts(body []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(body) > 0 {
			field, kind, n := protowire.ConsumeTag(body)
			body = body[n:]
			n = protowire.ConsumeFieldValue(field, kind, body)
			if field == fieldParts {
				if part, _ := protowire.ConsumeBytes(body); !yield(part) {
					return
				}
			}
			body = body[n:]
		}
	}
}

// checkManifest states what every manifest satisfies, but for its parts. sealed is its prelude, nil if it is in the clear.
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
