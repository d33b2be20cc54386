package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// checkParts checks each part, their order, and that all of them can exist in one directory.
func checkParts(m *Manifest) error {
	var before []byte
	var above [][]byte // parts without entries of their own whose names the current one starts with, shortest first
	for i, p := range m.Parts {
		if err := CheckPartName(string(p.Name)); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(before, p.Name) >= 0 {
			return fmt.Errorf("parts %q and %q out of order", before, p.Name)
		}
		for len(above) > 0 && !bytes.HasPrefix(p.Name, above[len(above)-1]) {
			above = above[:len(above)-1]
		}
		for _, a := range above {
			if p.Name[len(a)] == '/' {
				return fmt.Errorf("part %q lies below part %q, which is no directory", p.Name, a)
			}
		}
		if p.Kind != Part_DIRECTORY {
			above = append(above, p.Name)
		}
		if err := checkPart(m, p); err != nil {
			return fmt.Errorf("part %q: %w", p.Name, err)
		}
		before = p.Name
	}
	return nil
}

func checkPart(m *Manifest, p *Part) error {
	if err := checkMethod(m, p); err != nil {
		return err
	}
	if p.Mode > 0o777 {
		return fmt.Errorf("mode %o has more than permission bits", p.Mode)
	}
	switch p.Kind {
	case Part_STREAM:
		if p.Mode != 0 || p.ModifiedNs != 0 {
			return errors.New("a stream with a mode or a time")
		}
	case Part_FILE:
	case Part_DIRECTORY, Part_SYMLINK:
		return checkEmpty(p)
	default:
		return fmt.Errorf("kind %d", p.Kind)
	}
	if len(p.LinkTarget) != 0 {
		return errors.New("a link target, and not a link")
	}
	return checkSegments(m, p)
}

func checkMethod(m *Manifest, p *Part) error {
	switch {
	case p.Method == Part_METHOD_UNSPECIFIED:
		return errors.New("no method")
	case p.Method != Part_FULL && p.Method != Part_CONTENT && m.Base == nil:
		return fmt.Errorf("method %s without a base", p.Method)
	case p.Method == Part_IDENTITY && (len(p.Identity) == 0 || p.NewBytes != 0):
		return errors.New("method IDENTITY without an identity, or with new bytes")
	case p.MovedBytes > p.Size:
		return fmt.Errorf("%d bytes moved, of %d", p.MovedBytes, p.Size)
	case p.NewBytes > p.Size || p.Chunks > p.Size:
		return fmt.Errorf("%d new bytes and %d chunks of %d bytes", p.NewBytes, p.Chunks, p.Size)
	}
	return nil
}

// checkEmpty checks a part that has no content.
func checkEmpty(p *Part) error {
	if p.Size != 0 || len(p.Segments) != 0 || p.SegmentSize != 0 || len(p.Identity) != 0 {
		return fmt.Errorf("%s with content", p.Kind)
	}
	to := string(p.LinkTarget)
	if isLink := p.Kind == Part_SYMLINK; isLink != (to != "") || len(to) > maxPartName || strings.IndexByte(to, 0) >= 0 {
		return fmt.Errorf("%s with link target %.50q", p.Kind, to)
	}
	return nil
}

func checkSegments(m *Manifest, p *Part) error {
	if p.Size == 0 {
		if len(p.Segments) != 0 {
			return fmt.Errorf("empty, with %d segments", len(p.Segments))
		}
		return nil
	}
	if p.SegmentSize == 0 || p.SegmentSize > maxSegment || uint64(len(p.Segments)) != (p.Size-1)/p.SegmentSize+1 {
		return fmt.Errorf("%d bytes in %d segments of %d", p.Size, len(p.Segments), p.SegmentSize)
	}
	for i, s := range p.Segments {
		if err := checkSegment(s, m.Objects, SegmentLength(p, i)); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}

func checkSegment(s *Segment, objects []*Object, length uint64) error {
	switch w := s.Where.(type) {
	case *Segment_Inline:
		if len(w.Inline.GetPacks()) != 0 || len(s.Objects) != 0 || s.Delta != nil || len(s.Used) != 0 {
			return errors.New("inline, and names packs")
		}
		return checkTable(w.Inline, length, objects)
	case *Segment_Stored:
		if err := checkLocation(w.Stored, objects); err != nil {
			return err
		}
		if s.Delta != nil {
			if err := checkLocation(s.Delta, objects); err != nil {
				return fmt.Errorf("delta: %w", err)
			}
		}
		for _, o := range s.Objects {
			if uint64(o) >= uint64(len(objects)) {
				return fmt.Errorf("object %d of %d", o, len(objects))
			}
		}
		return checkUsed(s, length)
	}
	return errors.New("no table")
}

func checkUsed(s *Segment, length uint64) error {
	if len(s.Used) != len(s.Objects) {
		return fmt.Errorf("use of %d packs, of %d", len(s.Used), len(s.Objects))
	}
	left := length // what no pack has is zeros
	for i, n := range s.Used {
		if n > left {
			return fmt.Errorf("more than its %d bytes lie in packs, by number %d", length, i)
		}
		left -= n
	}
	return nil
}

func checkLocation(l *Location, objects []*Object) error {
	if uint64(l.GetObject()) >= uint64(len(objects)) {
		return fmt.Errorf("object %d of %d", l.GetObject(), len(objects))
	}
	if err := checkRow(l.GetStored(), l.GetRaw(), len(l.GetHash())); err != nil {
		return err
	}
	return checkPlace(objects[l.GetObject()], l.GetOffset(), l.GetStored())
}

// checkRow checks what a table or index says of a frame by itself.
func checkRow(stored, raw uint32, hashSize int) error {
	if raw == 0 || raw > MaxRaw || stored < FrameHeaderSize || stored > FrameHeaderSize+raw+TagSize || hashSize != HashSize {
		return fmt.Errorf("frame of %d bytes for %d, with a hash of %d", stored, raw, hashSize)
	}
	return nil
}

// checkPlace checks that a frame lies in its pack, between header and trailer.
func checkPlace(o *Object, offset uint64, stored uint32) error {
	if end := o.Size - packTrailerSize; offset < headerSize || offset > end || uint64(stored) > end-offset {
		return fmt.Errorf("frame at %d+%d in a pack of %d", offset, stored, o.Size)
	}
	return nil
}

// SegmentLength is how many bytes of the part its i-th segment covers.
func SegmentLength(p *Part, i int) uint64 {
	return min(p.SegmentSize, p.Size-uint64(i)*p.SegmentSize)
}

// Chunk is what DecodeFrame needs to know of the frame.
func (l *Location) Chunk() Chunk {
	return Chunk{Pack: l.Object, Offset: l.Offset, Stored: l.Stored, Raw: l.Raw, Hash: Hash(l.Hash)}
}
