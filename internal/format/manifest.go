package format

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// EncodeManifest makes a manifest object. pack, if not empty, is the one pack of a small checkpoint: it becomes the object's tail.
func EncodeManifest(m *Manifest, pack []byte) ([]byte, error) {
	if err := checkManifest(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if len(body)+len(pack) > MaxManifest-headerSize-crcSize {
		return nil, fmt.Errorf("encode manifest: %d bytes, more than the %d that a manifest may have; save fewer parts", len(body), MaxManifest)
	}
	return seal(KindManifest, body, pack), nil
}

// DecodeManifest reads and checks a manifest object.
func DecodeManifest(b []byte) (*Manifest, error) {
	body, tail, err := unseal(KindManifest, b)
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := proto.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrCorrupt, err)
	}
	if err := checkManifest(m); err != nil {
		return nil, err
	}
	for _, o := range m.Objects {
		if o.Embedded && len(o.ManifestNonce) == 0 && o.Size != uint64(len(tail)) {
			return nil, fmt.Errorf("%w: manifest says %d bytes of embedded pack, has %d", ErrCorrupt, o.Size, len(tail))
		}
	}
	return m, nil
}

// checkManifest states what every manifest satisfies.
func checkManifest(m *Manifest) error {
	if m.GetId().GetEpoch() == 0 || m.GetId().GetCheckpoint() == 0 {
		return fmt.Errorf("%w: manifest without a checkpoint", ErrCorrupt)
	}
	for i, o := range m.Objects {
		if err := checkObject(o); err != nil {
			return fmt.Errorf("%w: object %d: %s", ErrCorrupt, i, err)
		}
	}
	for i, p := range m.Parts {
		if err := CheckPartName(string(p.Name)); err != nil {
			return fmt.Errorf("%w: %s", ErrCorrupt, err)
		}
		if i > 0 && bytes.Compare(m.Parts[i-1].Name, p.Name) >= 0 {
			return fmt.Errorf("%w: parts %q and %q out of order", ErrCorrupt, m.Parts[i-1].Name, p.Name)
		}
		if err := checkPart(p, m.Objects); err != nil {
			return fmt.Errorf("%w: part %q: %s", ErrCorrupt, p.Name, err)
		}
	}
	for i, e := range m.Metadata {
		if i > 0 && m.Metadata[i-1].Key >= e.Key {
			return fmt.Errorf("%w: metadata out of order", ErrCorrupt)
		}
	}
	return nil
}

func checkObject(o *Object) error {
	switch {
	case len(o.Nonce) != NonceSize:
		return fmt.Errorf("nonce of %d bytes", len(o.Nonce))
	case o.GetId().GetEpoch() == 0 || o.GetId().GetCheckpoint() == 0:
		return fmt.Errorf("no checkpoint")
	case o.Size < headerSize+packTrailerSize || o.Size > 1<<40:
		return fmt.Errorf("size %d", o.Size)
	case !o.Embedded && o.Writer == "":
		return fmt.Errorf("no writer")
	case o.Embedded && len(o.ManifestNonce) == 0 && o.ManifestSize == 0: // in this very manifest
		return nil
	case o.Embedded && (len(o.ManifestNonce) != NonceSize || o.ManifestSize > MaxManifest || o.ManifestSize < o.Size+headerSize+crcSize):
		return fmt.Errorf("embedded in a manifest of %d bytes", o.ManifestSize)
	}
	return nil
}

func checkPart(p *Part, objects []*Object) error {
	switch p.Kind {
	case Part_STREAM, Part_FILE:
	case Part_DIRECTORY, Part_SYMLINK:
		if p.Size != 0 || len(p.Segments) != 0 {
			return fmt.Errorf("%s with content", p.Kind)
		}
		return nil
	default:
		return fmt.Errorf("kind %d", p.Kind)
	}
	if p.Size == 0 {
		if len(p.Segments) != 0 {
			return fmt.Errorf("empty, with %d segments", len(p.Segments))
		}
		return nil
	}
	if p.SegmentSize == 0 || p.SegmentSize > 1<<30 || uint64(len(p.Segments)) != (p.Size-1)/p.SegmentSize+1 {
		return fmt.Errorf("%d bytes in %d segments of %d", p.Size, len(p.Segments), p.SegmentSize)
	}
	for i, s := range p.Segments {
		if err := checkSegment(s, objects, SegmentLength(p, i)); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}

func checkSegment(s *Segment, objects []*Object, length uint64) error {
	switch w := s.Where.(type) {
	case *Segment_Inline:
		return CheckTable(w.Inline, length, objects)
	case *Segment_Stored:
		if err := checkLocation(w.Stored, objects); err != nil {
			return err
		}
		for _, o := range s.Objects {
			if int(o) >= len(objects) {
				return fmt.Errorf("object %d of %d", o, len(objects))
			}
		}
		return nil
	}
	return fmt.Errorf("no table")
}

func checkLocation(l *Location, objects []*Object) error {
	if int(l.GetObject()) >= len(objects) {
		return fmt.Errorf("object %d of %d", l.GetObject(), len(objects))
	}
	return checkFrame(objects[l.Object], l.Offset, l.Stored, l.Raw, l.Hash)
}

func checkFrame(o *Object, offset uint64, stored, raw uint32, hash []byte) error {
	if raw > MaxRaw || stored < FrameHeaderSize || int(stored) > MaxFrame(int(raw)) || len(hash) != HashSize {
		return fmt.Errorf("frame of %d bytes for %d", stored, raw)
	}
	if offset < headerSize || offset > o.Size || uint64(stored) > o.Size-offset {
		return fmt.Errorf("frame at %d+%d in a pack of %d", offset, stored, o.Size)
	}
	return nil
}

// SegmentLength is how many bytes of the part its i-th segment covers.
func SegmentLength(p *Part, i int) uint64 {
	return min(p.SegmentSize, p.Size-uint64(i)*p.SegmentSize)
}
