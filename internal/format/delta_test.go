package format

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
)

// twoDelta is a delta over twoPageTable: 500 new bytes from 1800 on, 1000 zeros from 4500 on, which make the segment 5,500 bytes long.
func twoDelta() (d *Table, length uint64, objects []*Object) {
	d = &Table{Packs: [][]byte{nonce(2)}, PageSize: 4096, PageKey: nonce(4), PageIndex: []uint32{0, 1}, PageHash: bytes.Repeat([]byte{7}, 2*PageHashSize)}
	d.AppendChunk(Chunk{Offset: 16, Stored: 516, Raw: 500, Hash: Sum([]byte{3})})
	d.appendExtentAt(1800, Extent{Length: 500})
	d.appendExtentAt(4500, Extent{Chunk: Zeros, Length: 1000})
	return d, 5500, []*Object{{Nonce: nonce(2), Size: 700}}
}

func TestOverlay(t *testing.T) {
	base, _, under := twoPageTable()
	delta, length, over := twoDelta()
	got := must(Overlay(base, delta, length))(t)
	want := &Table{Packs: [][]byte{nonce(1), nonce(2)}, PageSize: 4096, PageKey: nonce(4), PageHash: delta.PageHash}
	a, b := base.Chunk(0), base.Chunk(1)
	c := delta.Chunk(0)
	c.Pack = 1
	for _, x := range []Chunk{a, c, b} {
		want.AppendChunk(x)
	}
	for _, e := range []Extent{{0, 0, 1800}, {1, 0, 500}, {2, 1300, 700}, {0, 2000, 1000}, {2, 0, 500}, {Zeros, 0, 1000}} {
		want.AppendExtent(e)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if err := checkTable(got, length, append(under, over...)); err != nil {
		t.Error(err)
	}
	if used := got.Used(2); !slices.Equal(used, []uint64{4000, 500}) {
		t.Errorf("used %v", used)
	}
}

func TestOverlayRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(base, delta *Table, length *uint64)
		says   string
	}{
		{"another page size", func(_, d *Table, _ *uint64) { d.PageSize = 8192 }, "different pages"},
		{"another key", func(_, d *Table, _ *uint64) { d.PageKey = nonce(5) }, "different pages"},
		{"nothing", func(_, _ *Table, n *uint64) { *n = 0 }, "without bytes"},
		{"delta beyond the end", func(_, _ *Table, n *uint64) { *n = 5499 }, "covers 5500 bytes of a segment of 5499"},
		{"delta starts beyond the end", func(_, d *Table, n *uint64) { d.ExtentAt[0], *n = 3000, 100 }, "covers 5500"},
		{"a gap", func(_, d *Table, _ *uint64) { d.ExtentAt[1] = 5400 }, "neither table nor delta covers offset 5000"},
		{"an end that nobody has", func(_, _ *Table, n *uint64) { *n = 5501 }, "neither table nor delta covers offset 5500"},
		{"page beyond the end", func(_, d *Table, _ *uint64) { d.PageIndex[1] = 2 }, "page 2 of 2"},
		{"page that grew", func(_, d *Table, _ *uint64) { d.PageIndex, d.PageHash = d.PageIndex[:1], d.PageHash[:16] }, "pages from 1 on"},
		{"page that shrank", func(_, d *Table, n *uint64) {
			*n, d.PageIndex, d.PageHash = 4700, d.PageIndex[:1], d.PageHash[:16]
			d.ExtentLength[1] = 200
		}, "pages from 1 on"},
		{"pages that nobody has", func(_, d *Table, n *uint64) { *n = 9000; d.ExtentLength[1] = 4500 }, "pages from 1 on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, _, _ := twoPageTable()
			delta, length, _ := twoDelta()
			tt.change(base, delta, &length)
			_, err := Overlay(base, delta, length)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}

func TestDeltaRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(d *Table)
		says   string
	}{
		{"nothing", func(d *Table) { *d = Table{Packs: d.Packs, PageSize: 4096, PageKey: nonce(4)} }, "0 places for 0 extents"},
		{"no places", func(d *Table) { d.ExtentAt = nil }, "0 places for 2"},
		{"no page numbers", func(d *Table) { d.PageIndex = nil }, "0 for 2 pages"},
		{"in disorder", func(d *Table) { d.ExtentAt[0], d.ExtentAt[1] = 4500, 1800 }, "extent 1 is at 1800, the one before ends at 5000"},
		{"overlapping", func(d *Table) { d.ExtentAt[1] = 2299 }, "extent 1 is at 2299"},
		{"far away", func(d *Table) { d.ExtentAt[1] = maxSegment }, "extent 1 ends at"},
		{"that wraps", func(d *Table) { d.ExtentAt[1], d.ExtentLength[1] = 1<<32-1, 1<<32-1 }, "extent 1 ends at"},
		{"page twice", func(d *Table) { d.PageIndex[1] = 0 }, "page 0 behind page 0"},
		{"pages in disorder", func(d *Table) { d.PageIndex[0] = 2 }, "page 1 behind page 2"},
		{"half a hash", func(d *Table) { d.PageHash = d.PageHash[8:] }, "24 bytes of page hashes"},
		{"extent outside its chunk", func(d *Table) { d.ExtentStart[0] = 1 }, "leaves its chunk"},
		{"chunk not used", func(d *Table) { d.ExtentChunk[0] = 0 }, "not used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _, objects := twoDelta()
			tt.change(d)
			_, err := EncodeDelta(d)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = DecodeDelta(raw(t, d), objects)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
	d, _, objects := twoDelta()
	_, err := DecodeDelta(raw(t, d), nil)
	wantOne(t, err, ErrCorrupt, "1 packs, its segment names 0")
	d.ChunkOffset[0] = 200
	_, err = DecodeDelta(raw(t, d), objects)
	wantOne(t, err, ErrCorrupt, "frame at 200+516")
	if got := must(DecodeDelta(golden(t, "pack-delta")[goldenDeltaAt(t):][:goldenDeltaLength(t)], []*Object{{Nonce: nonce(0xdd), Size: 400}}))(t); len(got.ExtentAt) != 2 {
		t.Errorf("got %v", got)
	}
}

func goldenDeltaAt(t testing.TB) int {
	_, _, at := goldenDelta(t)
	return int(at.Offset) + FrameHeaderSize
}

func goldenDeltaLength(t testing.TB) int {
	_, delta, _ := goldenDelta(t)
	return len(delta)
}

func TestSegmentTable(t *testing.T) {
	m := goldenStored(t)
	_, under, _ := goldenPack(t, nil)
	_, over, _ := goldenDelta(t)
	for _, tt := range []struct {
		name   string
		change func(s *Segment)
		says   string
	}{
		{"too few packs", func(s *Segment) { s.Objects = s.Objects[:1] }, "table of 1 packs, its segment names 0"},
		{"no packs", func(s *Segment) { s.Objects = nil }, "table of 1 packs, its segment names 0"},
		{"packs in disorder", func(s *Segment) { s.Objects[0], s.Objects[1] = 1, 0 }, "disagree about pack 0"},
		{"a pack too many", func(s *Segment) { s.Objects = append(s.Objects, 2) }, "table of 1 packs, its segment names 2"},
		{"other figures", func(s *Segment) { s.Used[0]-- }, "124 bytes of the segment lie in pack 0, not 123"},
		{"without its delta", func(s *Segment) { s.Delta = nil }, "table of 1 packs, its segment names 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := proto.CloneOf(m.Parts[inDB].Segments[0])
			tt.change(s)
			_, err := SegmentTable(s, m.Objects, 200, under, over)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
	if stored := must(StoredTable(m.Parts[inDB].Segments[0], m.Objects, under))(t); stored.covered() != 154 {
		t.Errorf("the table under the delta covers %d", stored.covered())
	}
	_, err := SegmentTable(m.Parts[inDB].Segments[0], m.Objects, 201, under, over)
	wantOne(t, err, ErrCorrupt, "neither table nor delta covers offset 200")
}

// model is a segment byte by byte: which byte of the store each is, and what its pages hash to.
type model struct {
	bytes []uint64
	pages []PageHash
}

const modelPage = minPage

// table makes a model's table, with packs of its own and chunks of 100,000 bytes.
func (m model) table() *Table {
	t := &Table{PageSize: modelPage, PageKey: nonce(9)}
	packs, rows := map[uint64]uint32{}, map[uint64]uint32{}
	for _, b := range m.bytes {
		if b == 0 {
			t.AppendExtent(Extent{Chunk: Zeros, Length: 1})
			continue
		}
		chunk, start := b/1000, b%1000
		row, ok := rows[chunk]
		if !ok {
			pack, ok := packs[chunk/10]
			if !ok {
				pack = uint32(len(packs))
				packs[chunk/10] = pack
				t.Packs = append(t.Packs, nonce(byte(chunk/10)))
			}
			row = t.AppendChunk(Chunk{Pack: pack, Offset: 16 + chunk%10*2000, Stored: 1016, Raw: 1000, Hash: Sum([]byte{byte(chunk)})})
			rows[chunk] = row
		}
		t.AppendExtent(Extent{Chunk: row, Start: uint32(start), Length: 1})
	}
	for _, p := range m.pages {
		t.PageHash = append(t.PageHash, p[:]...)
	}
	return t
}

// modelOf reads a table back.
func modelOf(t *Table) (m model) {
	for i := range t.ExtentChunk {
		e := t.Extent(i)
		for j := range e.Length {
			if e.Chunk == Zeros {
				m.bytes = append(m.bytes, 0)
				continue
			}
			c := t.Chunk(int(e.Chunk))
			m.bytes = append(m.bytes, (uint64(t.Packs[c.Pack][0])*10+(c.Offset-16)/2000)*1000+uint64(e.Start+j))
		}
	}
	for i := range t.Pages() {
		m.pages = append(m.pages, t.Page(i))
	}
	return m
}

// hash makes page hashes that tell apart what differs, in length too.
func (m *model) hash() {
	h := NewPageHasher([PageKeySize]byte{1})
	m.pages = nil
	for at := 0; at < len(m.bytes); at += modelPage {
		var b []byte
		for _, v := range m.bytes[at:min(at+modelPage, len(m.bytes))] {
			b = append(b, byte(v), byte(v>>8), byte(v>>16))
		}
		m.pages = append(m.pages, h.Sum(b))
	}
}

// A random segment, changed at random, comes back from its first table and the delta between both; and so does a second change, whose delta takes the first's place.
func TestDeltaOfAndOverlayAgainstAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	objects := func(packs [][]byte) (o []*Object) {
		for _, n := range packs {
			o = append(o, &Object{Nonce: n, Size: 30_000})
		}
		return o
	}
	fill := func(b []uint64, chunk uint64) { // a run of a chunk, or zeros
		start := r.Uint64N(500)
		for i := range b {
			if b[i] = 0; chunk != 0 {
				b[i] = chunk*1000 + (start+uint64(i))%1000
			}
		}
	}
	for range 1500 {
		var m model
		m.bytes = make([]uint64, 1+r.IntN(4000))
		for at := 0; at < len(m.bytes); {
			n := min(1+r.IntN(600), len(m.bytes)-at)
			fill(m.bytes[at:at+n], r.Uint64N(8))
			at += n
		}
		m.hash()
		base := m.table()
		stored := must(EncodeTable(base))(t)
		for generation := range 2 {
			switch r.IntN(3) {
			case 0:
				m.bytes = m.bytes[:1+r.IntN(len(m.bytes))]
			case 1:
				more := make([]uint64, 1+r.IntN(2000))
				fill(more, r.Uint64N(3)*10)
				m.bytes = append(m.bytes, more...)
			}
			for range r.IntN(6) {
				at := r.IntN(len(m.bytes))
				fill(m.bytes[at:min(at+1+r.IntN(700), len(m.bytes))], uint64(20+r.IntN(5+generation)))
			}
			m.hash()
			now := m.table()
			delta := must(DeltaOf(base, now))(t)
			over := must(EncodeDelta(delta))(t)
			s := &Segment{Delta: new(Location)}
			got, err := segmentTable(s, objects(append(slices.Clone(base.Packs), delta.Packs...)), uint64(len(m.bytes)), stored, over)
			if err != nil {
				t.Fatalf("%v\nbase %v\nnow %v\ndelta %v", err, base, now, delta)
			}
			if back := modelOf(got); !slices.Equal(back.bytes, m.bytes) || !slices.Equal(back.pages, m.pages) {
				t.Fatalf("another segment\nbase %v\nnow %v\ndelta %v\ngot %v", base, now, delta, got)
			}
			if err := checkTable(got, uint64(len(m.bytes)), objects(got.Packs)); err != nil {
				t.Fatal(err)
			}
			was := modelOf(base).bytes
			for i, at := range delta.ExtentAt { // nothing is in the delta that the table has
				for j := int(at); j < int(at+delta.ExtentLength[i]) && len(delta.ExtentAt)+len(delta.PageIndex) > 1; j++ {
					if j < len(was) && was[j] == m.bytes[j] {
						t.Fatalf("byte %d is in the delta, and unchanged", j)
					}
				}
			}
		}
	}
}

// A delta that says only that the segment is shorter still says something.
func TestDeltaOfNothing(t *testing.T) {
	base := model{bytes: slices.Repeat([]uint64{0}, 3*modelPage)}
	base.hash()
	now := model{bytes: base.bytes[:2*modelPage], pages: base.pages[:2]}
	d := must(DeltaOf(base.table(), now.table()))(t)
	if len(d.ExtentAt) != 1 || d.ExtentAt[0] != 0 || len(d.PageIndex) != 0 {
		t.Errorf("got %v", d)
	}
	other := base.table()
	other.PageKey = nonce(1)
	_, err := DeltaOf(base.table(), other)
	wantOne(t, err, ErrInvalid, "different pages")
}

// segment16 is a table of 16 MiB in pages of 4 KiB and 64 chunks, and a delta of n pages over it.
func segment16(n int) (base, delta *Table) {
	const chunk, page = 256 << 10, 4 << 10
	base = &Table{Packs: [][]byte{nonce(1), nonce(2)}, PageSize: page, PageKey: nonce(4), PageHash: noise(1, 4096*PageHashSize)}
	for i := range 64 {
		base.AppendChunk(Chunk{Pack: uint32(i / 32), Offset: 16 + uint64(i%32)*(chunk+16), Stored: chunk + 16, Raw: chunk})
		base.AppendExtent(Extent{Chunk: uint32(i), Length: chunk})
	}
	delta = &Table{Packs: [][]byte{nonce(3)}, PageSize: page, PageKey: nonce(4), PageHash: noise(2, n*PageHashSize)}
	for i := range n {
		if i%64 == 0 {
			delta.AppendChunk(Chunk{Offset: 16 + uint64(i/64)*(chunk+16), Stored: chunk + 16, Raw: chunk})
		}
		at := uint32(4096 / n * i)
		delta.appendExtentAt(at*page, Extent{Chunk: uint32(i / 64), Start: uint32(i%64) * page, Length: page})
		delta.PageIndex = append(delta.PageIndex, at)
	}
	return base, delta
}

func BenchmarkOverlay(b *testing.B) {
	base, delta := segment16(300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Overlay(base, delta, 16<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSegmentTable(b *testing.B) {
	base, delta := segment16(300)
	stored, over := must(EncodeTable(base))(b), must(EncodeDelta(delta))(b)
	s := &Segment{Delta: new(Location), Objects: []uint32{0, 1, 2}, Used: must(Overlay(base, delta, 16<<20))(b).Used(3)}
	objects := []*Object{{Nonce: nonce(1), Size: 16 << 20}, {Nonce: nonce(2), Size: 16 << 20}, {Nonce: nonce(3), Size: 16 << 20}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SegmentTable(s, objects, 16<<20, stored, over); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeltaOf(b *testing.B) {
	base, delta := segment16(300)
	now := must(Overlay(base, delta, 16<<20))(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DeltaOf(base, now); err != nil {
			b.Fatal(err)
		}
	}
}
