package format

import (
	"bytes"
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
