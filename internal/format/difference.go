package format

import (
	"bytes"
	"fmt"
)

// DeltaOf returns the delta that makes now of base, both whole tables of one segment with the same pages. Their packs are compared by nonce, so both need Packs.
func DeltaOf(base, now *Table) (*Table, error) {
	if now.PageSize != base.PageSize || !bytes.Equal(now.PageKey, base.PageKey) {
		return nil, fmt.Errorf("delta: %w: the tables have different pages", ErrInvalid)
	}
	d := newDifference(base, now)
	at, b, n := uint64(0), cursor{t: base}, cursor{t: now}
	for n.more() {
		length := n.left()
		if b.more() {
			length = min(length, b.left())
		}
		if !b.more() || !d.same(b.here(), n.here()) {
			d.append(at, n.here(), length)
		}
		at += uint64(length)
		b.skip(length)
		n.skip(length)
	}
	d.pages(base, now, at)
	if len(d.out.ExtentAt)+len(d.out.PageIndex) == 0 {
		// A delta says something: that the segment is now shorter, by its last extent.
		last := now.Extent(len(now.ExtentChunk) - 1)
		d.append(at-uint64(last.Length), last, last.Length)
	}
	return d.out, nil
}

// cursor walks the extents of a table.
type cursor struct {
	t    *Table
	i    int
	into uint32
}

func (c *cursor) more() bool   { return c.i < len(c.t.ExtentChunk) }
func (c *cursor) left() uint32 { return c.t.ExtentLength[c.i] - c.into }

func (c *cursor) here() Extent {
	e := c.t.Extent(c.i)
	if e.Chunk != Zeros {
		e.Start += c.into
	}
	return e
}

func (c *cursor) skip(n uint32) {
	if !c.more() {
		return
	}
	if c.into += n; c.into == c.t.ExtentLength[c.i] {
		c.i, c.into = c.i+1, 0
	}
}

// difference is a delta under construction.
type difference struct {
	base, now, out *Table
	common         []uint32          // now's packs: 1 + their number in base, 0: none
	packs          map[uint32]uint32 // now's packs → out's
	rows           map[uint32]uint32 // now's chunks → out's
}

func newDifference(base, now *Table) *difference {
	d := &difference{base: base, now: now, out: &Table{PageSize: now.PageSize, PageKey: now.PageKey}, common: make([]uint32, len(now.Packs)),
		packs: map[uint32]uint32{}, rows: map[uint32]uint32{}}
	known := make(map[Nonce]uint32, len(base.Packs))
	for i, n := range base.Packs {
		known[Nonce(n)] = uint32(i) + 1
	}
	for i, n := range now.Packs {
		d.common[i] = known[Nonce(n)]
	}
	return d
}

// same reports whether two extents begin at the same byte of the store.
func (d *difference) same(b, n Extent) bool {
	if b.Chunk == Zeros || n.Chunk == Zeros {
		return b.Chunk == n.Chunk
	}
	return b.Start == n.Start && d.base.ChunkOffset[b.Chunk] == d.now.ChunkOffset[n.Chunk] && d.base.ChunkPack[b.Chunk]+1 == d.common[d.now.ChunkPack[n.Chunk]]
}

func (d *difference) append(at uint64, e Extent, length uint32) {
	if e.Chunk != Zeros {
		row, ok := d.rows[e.Chunk]
		if !ok {
			c := d.now.Chunk(int(e.Chunk))
			pack, ok := d.packs[c.Pack]
			if !ok {
				pack = uint32(len(d.out.Packs))
				d.packs[c.Pack], d.out.Packs = pack, append(d.out.Packs, d.now.Packs[c.Pack])
			}
			c.Pack = pack
			row = d.out.AppendChunk(c)
			d.rows[e.Chunk] = row
		}
		e.Chunk = row
	}
	e.Length = length
	d.out.appendExtentAt(uint32(at), e)
}

// appendExtentAt adds a row to a delta.
func (t *Table) appendExtentAt(at uint32, e Extent) {
	n := len(t.ExtentAt) - 1
	if n >= 0 && t.ExtentAt[n]+t.ExtentLength[n] == at {
		t.AppendExtent(e)
		if len(t.ExtentChunk) > len(t.ExtentAt) {
			t.ExtentAt = append(t.ExtentAt, at)
		}
		return
	}
	t.ExtentAt = append(t.ExtentAt, at)
	t.ExtentChunk = append(t.ExtentChunk, e.Chunk+1)
	t.ExtentStart = append(t.ExtentStart, e.Start)
	t.ExtentLength = append(t.ExtentLength, e.Length)
}

// pages adds the page hashes that differ.
func (d *difference) pages(base, now *Table, length uint64) {
	if now.PageSize == 0 {
		return
	}
	own := firstForeignPage(base, length)
	for i := range now.Pages() {
		h := now.PageHash[i*PageHashSize : (i+1)*PageHashSize]
		if i < own && bytes.Equal(h, base.PageHash[i*PageHashSize:(i+1)*PageHashSize]) {
			continue
		}
		d.out.PageIndex = append(d.out.PageIndex, uint32(i))
		d.out.PageHash = append(d.out.PageHash, h...)
	}
}
