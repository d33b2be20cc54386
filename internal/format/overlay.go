package format

import (
	"bytes"
	"fmt"
)

// Overlay makes the one table that a base and its delta say together of a segment of length bytes. Both have been decoded, or are such that they could be
// encoded. Its packs are the base's, then the delta's; its chunks are those that are still used.
func Overlay(base, delta *Table, length uint64) (*Table, error) {
	if delta.PageSize != base.PageSize || !bytes.Equal(delta.PageKey, base.PageKey) {
		return nil, fmt.Errorf("%w: delta and table have different pages", ErrCorrupt)
	}
	o := newOverlay(base, delta)
	at := uint64(0)
	if length == 0 {
		return nil, fmt.Errorf("%w: a table of a segment without bytes", ErrCorrupt)
	}
	for i, start := range delta.ExtentAt {
		if err := o.under(at, uint64(start)); err != nil {
			return nil, err
		}
		e := delta.Extent(i)
		o.append(delta, e, len(base.ChunkPack), len(base.Packs))
		at = uint64(start) + uint64(e.Length)
	}
	if at > length {
		return nil, fmt.Errorf("%w: delta covers %d bytes of a segment of %d", ErrCorrupt, at, length)
	}
	if err := o.under(at, length); err != nil {
		return nil, err
	}
	if err := o.pages(delta, length); err != nil {
		return nil, err
	}
	return o.out, nil
}

// overlay is a table under construction.
type overlay struct {
	base, out *Table
	rows      []uint32 // of the base's chunks, then the delta's: 1 + their number in out, 0: none yet
	next      int      // extent of base
	start     uint64   // where it starts
}

func newOverlay(base, delta *Table) *overlay {
	chunks, extents := len(base.ChunkPack)+len(delta.ChunkPack), len(base.ExtentChunk)+2*len(delta.ExtentChunk)
	// One allocation for columns of one type. An extent of the delta splits at most one of the base.
	words := make([]uint32, 4*chunks+3*extents)
	cut := func(n int) []uint32 {
		c := words[:0:n]
		words = words[n:]
		return c
	}
	o := &overlay{base: base, rows: cut(chunks)[:chunks], out: &Table{
		PageSize: base.PageSize, PageKey: base.PageKey,
		ChunkPack: cut(chunks), ChunkStored: cut(chunks), ChunkRaw: cut(chunks), ChunkOffset: make([]uint64, 0, chunks),
		ChunkHash:   make([]byte, 0, chunks*HashSize),
		ExtentChunk: cut(extents), ExtentStart: cut(extents), ExtentLength: cut(extents),
	}}
	o.out.Packs = append(append(make([][]byte, 0, len(base.Packs)+len(delta.Packs)), base.Packs...), delta.Packs...)
	return o
}

// under takes what the base has from at to end.
func (o *overlay) under(at, end uint64) error {
	for at < end {
		if o.next == len(o.base.ExtentChunk) {
			return fmt.Errorf("%w: neither table nor delta covers offset %d", ErrCorrupt, at)
		}
		e := o.base.Extent(o.next)
		stop := o.start + uint64(e.Length)
		if stop <= at {
			o.next, o.start = o.next+1, stop
			continue
		}
		if e.Chunk != Zeros {
			e.Start += uint32(at - o.start)
		}
		e.Length = uint32(min(stop, end) - at)
		o.append(o.base, e, 0, 0)
		at += uint64(e.Length)
	}
	return nil
}

// append adds an extent of t, whose chunks and packs are numbered from row and pack on.
func (o *overlay) append(t *Table, e Extent, row, pack int) {
	if e.Chunk != Zeros {
		r := &o.rows[row+int(e.Chunk)]
		if *r == 0 {
			c := int(e.Chunk)
			o.out.ChunkPack = append(o.out.ChunkPack, t.ChunkPack[c]+uint32(pack))
			o.out.ChunkOffset = append(o.out.ChunkOffset, t.ChunkOffset[c])
			o.out.ChunkStored = append(o.out.ChunkStored, t.ChunkStored[c])
			o.out.ChunkRaw = append(o.out.ChunkRaw, t.ChunkRaw[c])
			o.out.ChunkHash = append(o.out.ChunkHash, t.ChunkHash[c*HashSize:(c+1)*HashSize]...)
			*r = uint32(len(o.out.ChunkPack))
		}
		e.Chunk = *r - 1
	}
	o.out.AppendExtent(e)
}

// pages puts the delta's page hashes over the base's.
func (o *overlay) pages(delta *Table, length uint64) error {
	if o.base.PageSize == 0 {
		return nil
	}
	size := uint64(o.base.PageSize)
	n := int((length-1)/size + 1)
	own := firstForeignPage(o.base, length)
	index := delta.PageIndex
	if k := len(index); k > 0 && uint64(index[k-1]) >= uint64(n) {
		return fmt.Errorf("%w: delta has page %d of %d", ErrCorrupt, index[k-1], n)
	}
	// Ascending and all below n: the last n-own are just those from own on, if the first of them is own.
	if k := n - own; k > 0 && (len(index) < k || int(index[len(index)-k]) != own) {
		return fmt.Errorf("%w: neither table nor delta has the pages from %d on", ErrCorrupt, own)
	}
	kept := min(n*PageHashSize, len(o.base.PageHash))
	o.out.PageHash = append(append([]byte(nil), o.base.PageHash[:kept]...), make([]byte, n*PageHashSize-kept)...)
	for i, page := range index {
		copy(o.out.PageHash[int(page)*PageHashSize:], delta.PageHash[i*PageHashSize:(i+1)*PageHashSize])
	}
	return nil
}

// firstForeignPage is from which page on a segment of length bytes cannot have the page hashes of base: where one of them ends, or both do if they end together.
func firstForeignPage(base *Table, length uint64) int {
	covered := base.covered()
	size := uint64(base.PageSize)
	if covered == length {
		return int((length-1)/size + 1)
	}
	return int(min(covered, length) / size)
}

// covered is how many bytes the extents of a table have together.
func (t *Table) covered() (n uint64) {
	for _, l := range t.ExtentLength {
		n += uint64(l)
	}
	return n
}
