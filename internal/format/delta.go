package format

import (
	"fmt"
)

// EncodeDelta makes the content of a delta's frame.
func EncodeDelta(t *Table) ([]byte, error) { return encodeTable(t, checkDelta(t)) }

// DecodeDelta reads a delta whose packs are, in order, objects.
func DecodeDelta(b []byte, objects []*Object) (*Table, error) {
	t, err := decodeTable(b, objects)
	if err != nil {
		return nil, err
	}
	if err = checkDelta(t); err == nil {
		err = checkPlaces(t, objects)
	}
	if err != nil {
		return nil, corrupt("delta", err)
	}
	return t, nil
}

// checkDelta states what a delta satisfies by itself.
func checkDelta(t *Table) error {
	if _, err := checkColumns(t); err != nil {
		return err
	}
	if len(t.ExtentAt) != len(t.ExtentChunk) || len(t.PageIndex) != t.Pages() || len(t.ExtentAt)+len(t.PageIndex) == 0 {
		return fmt.Errorf("delta with %d places for %d extents, %d for %d pages", len(t.ExtentAt), len(t.ExtentChunk), len(t.PageIndex), t.Pages())
	}
	end := uint64(0)
	for i, at := range t.ExtentAt {
		if uint64(at) < end {
			return fmt.Errorf("extent %d is at %d, the one before ends at %d", i, at, end)
		}
		if end = uint64(at) + uint64(t.ExtentLength[i]); end > maxSegment {
			return fmt.Errorf("extent %d ends at %d", i, end)
		}
	}
	for i := 1; i < len(t.PageIndex); i++ {
		if t.PageIndex[i-1] >= t.PageIndex[i] {
			return fmt.Errorf("page %d behind page %d", t.PageIndex[i], t.PageIndex[i-1])
		}
	}
	return nil
}

// SegmentTable makes the one table of a stored segment of length bytes: stored is the content of the frame that s.Stored locates, delta of the one
// that s.Delta does, if any. objects are the manifest's. Its packs are numbered like s.Objects.
func SegmentTable(s *Segment, objects []*Object, length uint64, stored, delta []byte) (*Table, error) {
	own := segmentObjects(s, objects)
	t, err := segmentTable(s, own, length, stored, delta)
	if err != nil {
		return nil, err
	}
	for i, n := range t.Used(len(own)) {
		if n != s.Used[i] {
			return nil, fmt.Errorf("%w: %d bytes of the segment lie in pack %d, not %d", ErrCorrupt, n, i, s.Used[i])
		}
	}
	return t, nil
}

func segmentTable(s *Segment, own []*Object, length uint64, stored, delta []byte) (*Table, error) {
	if s.Delta == nil {
		return DecodeTable(stored, length, own)
	}
	under, err := storedTable(own, stored)
	if err != nil {
		return nil, err
	}
	over, err := DecodeDelta(delta, own[len(under.Packs):])
	if err != nil {
		return nil, err
	}
	return Overlay(under, over, length)
}

// StoredTable decodes the table that a segment's delta overrides, to put another delta in its place: stored is the content of the frame that s.Stored
// locates, and objects are the manifest's. It covers what it covers.
func StoredTable(s *Segment, objects []*Object, stored []byte) (*Table, error) {
	return storedTable(segmentObjects(s, objects), stored)
}

// storedTable knows by itself how many of the segment's packs are its own.
func storedTable(own []*Object, stored []byte) (*Table, error) {
	t, err := parseTable(stored)
	if err != nil {
		return nil, err
	}
	own = own[:min(len(t.Packs), len(own))]
	if err := matchPacks(t, own); err != nil {
		return nil, err
	}
	if err := checkBase(t, own); err != nil {
		return nil, err
	}
	return t, nil
}

// segmentObjects are the packs of a segment.
func segmentObjects(s *Segment, objects []*Object) []*Object {
	own := make([]*Object, len(s.Objects))
	for i, o := range s.Objects {
		own[i] = objects[o]
	}
	return own
}
