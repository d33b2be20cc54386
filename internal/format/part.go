package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// partOrder checks that parts come in the order of their names, and that all of them can exist in one directory.
type partOrder struct {
	before []byte
	above  [][]byte // parts without entries of their own whose names the current one starts with, shortest first
}

// next takes the next part, whose name it keeps.
func (o *partOrder) next(name []byte, kind Part_Kind) error {
	if o.before != nil && bytes.Compare(o.before, name) >= 0 {
		return fmt.Errorf("parts %q and %q out of order", o.before, name)
	}
	for len(o.above) > 0 && !bytes.HasPrefix(name, o.above[len(o.above)-1]) {
		o.above = o.above[:len(o.above)-1]
	}
	for _, a := range o.above {
		if name[len(a)] == '/' {
			return fmt.Errorf("part %q lies below part %q, which is no directory", name, a)
		}
	}
	if kind != Part_DIRECTORY {
		o.above = append(o.above, name)
	}
	o.before = name
	return nil
}

// checkParts checks each part of a message that has them decoded, their order and what they refer to.
func checkParts(m *Manifest) error {
	var order partOrder
	for _, p := range m.Parts {
		if err := checkPart(p); err != nil {
			return err
		}
		if err := order.next(p.Name, p.Kind); err != nil {
			return err
		}
		if err := checkRefers(m, p); err != nil {
			return err
		}
	}
	return nil
}

// checkPart checks what a part satisfies by itself.
func checkPart(p *Part) error {
	if err := CheckPartName(string(p.Name)); err != nil {
		return err
	}
	if err := checkContent(p); err != nil {
		return fmt.Errorf("part %q: %w", p.Name, err)
	}
	return nil
}

func checkContent(p *Part) error {
	if err := checkMethod(p); err != nil {
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
	return checkSegments(p)
}

// checkRefers holds a part that checkPart has passed against what its manifest has.
func checkRefers(m *Manifest, p *Part) error {
	if p.needsBase() && m.Base == nil {
		return fmt.Errorf("part %q: method %s without a base", p.Name, p.Method)
	}
	err := eachPlace(p, func(object uint32, offset uint64, stored uint32) error {
		if uint64(object) >= uint64(len(m.Objects)) {
			return fmt.Errorf("object %d of %d", object, len(m.Objects))
		}
		return checkPlace(m.Objects[object], offset, stored)
	})
	if err != nil {
		return fmt.Errorf("part %q: %w", p.Name, err)
	}
	return nil
}

// needsBase reports whether the part was compared with one.
func (p *Part) needsBase() bool { return p.Method != Part_FULL && p.Method != Part_CONTENT }

// eachPlace calls f with every frame that a part refers to, and with every object of which it only says that it is used: as an empty frame.
func eachPlace(p *Part, f func(object uint32, offset uint64, stored uint32) error) error {
	for i, s := range p.Segments {
		if err := eachPlaceOf(s, f); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}

func eachPlaceOf(s *Segment, f func(object uint32, offset uint64, stored uint32) error) error {
	if t := s.GetInline(); t != nil {
		for i, pack := range t.ChunkPack {
			if err := f(pack, t.ChunkOffset[i], t.ChunkStored[i]); err != nil {
				return fmt.Errorf("chunk %d: %w", i, err)
			}
		}
		return nil
	}
	if l := s.GetStored(); l != nil {
		if err := f(l.Object, l.Offset, l.Stored); err != nil {
			return err
		}
	}
	if l := s.Delta; l != nil {
		if err := f(l.Object, l.Offset, l.Stored); err != nil {
			return fmt.Errorf("delta: %w", err)
		}
	}
	for _, o := range s.Objects {
		if err := f(o, headerSize, 0); err != nil {
			return err
		}
	}
	return nil
}

func checkMethod(p *Part) error {
	switch {
	case p.Method == Part_METHOD_UNSPECIFIED:
		return errors.New("no method")
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

func checkSegments(p *Part) error {
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
		if err := checkSegment(s, SegmentLength(p, i)); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}

func checkSegment(s *Segment, length uint64) error {
	switch w := s.Where.(type) {
	case *Segment_Inline:
		if len(w.Inline.GetPacks()) != 0 || len(s.Objects) != 0 || s.Delta != nil || len(s.Used) != 0 {
			return errors.New("inline, and names packs")
		}
		return checkCovers(w.Inline, length)
	case *Segment_Stored:
		if err := checkLocation(w.Stored); err != nil {
			return err
		}
		if s.Delta != nil {
			if err := checkLocation(s.Delta); err != nil {
				return fmt.Errorf("delta: %w", err)
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

func checkLocation(l *Location) error {
	return checkRow(l.GetStored(), l.GetRaw(), len(l.GetHash()))
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
