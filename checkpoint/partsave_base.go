package checkpoint

import (
	"context"
	"errors"

	"github.com/tidemark-go/tidemark/internal/format"
)

// baseSegment is a segment of the base, decoded for comparison.
type baseSegment struct {
	segment *format.Segment
	table   *format.Table
	packs   packs
	length  uint64
	rows    []uint32 // chunk rows of table → 1 + rows of the new table, 0: none yet

	next, start int // extents are asked for in order: the next one, and where it starts in the segment
}

// baseSegment reads the base's table of segment i of a part; nil if there is none that can serve. damaged: there is one, but it cannot be read.
func (w *Writer) baseSegment(ctx context.Context, was *format.Part, i int) (b *baseSegment, damaged bool, err error) {
	if was == nil || was.SegmentSize != segmentSize || i >= len(was.Segments) {
		return nil, false, nil
	}
	s, length := was.Segments[i], format.SegmentLength(was, i)
	var (
		t     *format.Table
		packs packs
	)
	if err = w.base.loadTables(ctx, s); err == nil {
		t, packs, err = w.base.table(ctx, w.base.manifest, s, length)
	}
	if err != nil {
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrRetired) {
			return nil, true, nil
		}
		return nil, false, err
	}
	onePage := length <= pageSize && len(t.ExtentChunk) == 1
	if t.PageSize != pageSize && (t.PageSize != 0 || len(t.ChunkPack) != 0 && !onePage) {
		return nil, false, nil
	}
	return &baseSegment{segment: s, table: t, packs: packs, length: length, rows: make([]uint32, len(t.ChunkPack))}, false, nil
}

// has reports whether the base has the same page at off.
func (b *baseSegment) has(off int, page []byte, hash format.PageHash) bool {
	if uint64(off+len(page)) > b.length {
		return false
	}
	switch {
	case b.table.PageSize != 0:
	case len(b.table.ChunkPack) == 0: // it is all zeros
		return isZero(page)
	default:
		return b.isOnlyPage(len(page), format.Sum(page))
	}
	return b.table.Page(off/pageSize) == hash // equal hashes mean equal lengths, too
}

// isOnlyPage reports whether the base's segment is nothing but a page of n bytes with this content.
func (b *baseSegment) isOnlyPage(n int, hash format.Hash) bool {
	if uint64(n) != b.length || b.table.PageSize != 0 || len(b.table.ChunkPack) != 1 {
		return false
	}
	c := b.table.Chunk(0)
	return c.Raw == uint32(n) && c.Hash == hash
}

// inVictim reports whether some of what the base has at [off, off+n) lies in a pack that is to be emptied.
func (b *baseSegment) inVictim(c *base, off, n int) bool {
	for end := off + n; off < end; {
		e, into := b.extent(off)
		if e.Chunk != format.Zeros && c.victim(b.packs.object(b.table.ChunkPack[e.Chunk])) {
			return true
		}
		off += int(e.Length) - into
	}
	return false
}

// refer appends to t, the table under construction, what the base has at [off, off+n).
func (b *baseSegment) refer(w *Writer, t *format.Table, off, n int) {
	for n > 0 {
		e, into := b.extent(off)
		take := min(int(e.Length)-into, n)
		if e.Chunk != format.Zeros {
			if b.rows[e.Chunk] == 0 {
				c := b.table.Chunk(int(e.Chunk))
				c.Pack = w.carry(b.packs.object(c.Pack))
				b.rows[e.Chunk] = 1 + t.AppendChunk(c)
			}
			e.Chunk, e.Start = b.rows[e.Chunk]-1, e.Start+uint32(into)
		}
		e.Length = uint32(take)
		t.AppendExtent(e)
		off, n = off+take, n-take
	}
}

// extent returns the extent that covers off, and how far into it off is.
func (b *baseSegment) extent(off int) (e format.Extent, into int) {
	if off < b.start {
		b.next, b.start = 0, 0
	}
	for {
		e = b.table.Extent(b.next)
		if off < b.start+int(e.Length) {
			return e, off - b.start
		}
		b.start += int(e.Length)
		b.next++
	}
}
