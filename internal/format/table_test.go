package format

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
)

// twoPageTable is a table of 5,000 bytes in two chunks of one pack, the second used before and after the first's rest.
func twoPageTable() (t *Table, length uint64, objects []*Object) {
	t = &Table{Packs: [][]byte{nonce(1)}}
	t.AppendChunk(Chunk{Offset: 16, Stored: 3016, Raw: 3000, Hash: Sum([]byte{1})})
	t.AppendExtent(Extent{Chunk: 0, Length: 2000})
	t.AppendChunk(Chunk{Offset: 3032, Stored: 100, Raw: 2000, Hash: Sum([]byte{2})})
	t.AppendExtent(Extent{Chunk: 1, Start: 1000, Length: 1000})
	t.AppendExtent(Extent{Chunk: 0, Start: 2000, Length: 1000})
	t.AppendExtent(Extent{Chunk: 1, Length: 1000})
	t.PageSize, t.PageKey, t.PageHash = 4096, nonce(4), make([]byte, 2*PageHashSize)
	return t, 5000, []*Object{{Nonce: nonce(1), Size: 4000}}
}

func TestTableRoundTrip(t *testing.T) {
	table, length, objects := twoPageTable()
	got := must(DecodeTable(must(EncodeTable(table))(t), length, objects))(t)
	if !proto.Equal(got, table) || got.Pages() != 2 || got.Chunk(1) != (Chunk{Offset: 3032, Stored: 100, Raw: 2000, Hash: Sum([]byte{2})}) ||
		got.Extent(2) != (Extent{Start: 2000, Length: 1000}) || got.Page(1) != (PageHash{}) {
		t.Errorf("got %v, want %v", got, table)
	}
	table.SetChunk(0, Chunk{Offset: 20, Stored: 30, Raw: 40, Hash: Sum([]byte{3})})
	if got := table.Chunk(0); got != (Chunk{Offset: 20, Stored: 30, Raw: 40, Hash: Sum([]byte{3})}) {
		t.Errorf("row 0 is %+v", got)
	}
}

func TestNeighbouringExtentsAreJoined(t *testing.T) {
	var table Table
	for _, e := range []Extent{{0, 0, 10}, {0, 10, 5}, {0, 16, 1}, {1, 17, 1}, {1, 0, 1}, {1, 1, 1}} {
		table.AppendExtent(e)
	}
	var got []Extent
	for i := range table.ExtentChunk {
		got = append(got, table.Extent(i))
	}
	want := []Extent{{0, 0, 15}, {0, 16, 1}, {1, 17, 1}, {1, 0, 2}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTableRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *Table)
		says   string
	}{
		{"nothing", func(t *Table) { *t = Table{Packs: t.Packs} }, "no extents"},
		{"short packs", func(t *Table) { t.ChunkPack = t.ChunkPack[1:] }, "of different length"},
		{"short offsets", func(t *Table) { t.ChunkOffset = t.ChunkOffset[1:] }, "of different length"},
		{"short stored", func(t *Table) { t.ChunkStored = t.ChunkStored[1:] }, "of different length"},
		{"short raw", func(t *Table) { t.ChunkRaw = t.ChunkRaw[1:] }, "of different length"},
		{"short hashes", func(t *Table) { t.ChunkHash = t.ChunkHash[1:] }, "of different length"},
		{"short starts", func(t *Table) { t.ExtentStart = t.ExtentStart[1:] }, "extent columns"},
		{"short lengths", func(t *Table) { t.ExtentLength = t.ExtentLength[1:] }, "extent columns"},
		{"chunk of nothing", func(t *Table) { t.ChunkRaw[1] = 0 }, "chunk 1: frame"},
		{"chunk beyond a frame", func(t *Table) { t.ChunkRaw[1] = MaxRaw + 1 }, "chunk 1: frame"},
		{"chunk without a header", func(t *Table) { t.ChunkStored[1] = FrameHeaderSize - 1 }, "chunk 1: frame"},
		{"chunk that grew by compression", func(t *Table) { t.ChunkStored[0] = 3033 }, "chunk 0: frame"},
		{"extent of no chunk", func(t *Table) { t.ExtentChunk[3] = 3 }, "extent 3 is of chunk 2 of 2"},
		{"extent of a chunk beyond int32", func(t *Table) { t.ExtentChunk[3] = 1 << 31 }, "chunk 2147483647"},
		{"chunks out of order", func(t *Table) { t.ExtentChunk[0] = 2 }, "where 0 comes next"},
		{"chunk not used", func(t *Table) { t.ExtentChunk[1], t.ExtentChunk[3] = 1, 1 }, "chunk 1 of 2 is not used"},
		{"extent of nothing", func(t *Table) { t.ExtentLength[1] = 0 }, "extent 1 leaves"},
		{"extent too long", func(t *Table) { t.ExtentLength[1] = 1001 }, "extent 1 leaves"},
		{"extent that wraps", func(t *Table) { t.ExtentStart[1], t.ExtentLength[1] = math.MaxUint32, 2 }, "extent 1 leaves"},
		{"pages of nothing", func(t *Table) { t.PageSize = 0 }, "pages of 0"},
		{"pages without hashes", func(t *Table) { t.PageHash = nil }, "0 bytes of page hashes"},
		{"pages too small", func(t *Table) { t.PageSize = minPage / 2 }, "pages of 256"},
		{"pages too large", func(t *Table) { t.PageSize = 2 * MaxRaw }, "pages of"},
		{"zeros from somewhere", func(t *Table) { t.ExtentChunk[3], t.ExtentStart[3] = 0, 1 }, "extent 3 is 1000 zeros from 1"},
		{"no zeros", func(t *Table) { t.ExtentChunk[3], t.ExtentLength[3] = 0, 0 }, "extent 3 is 0 zeros"},
		{"pages without a key", func(t *Table) { t.PageKey = nil }, "page key of 0"},
		{"half a page key", func(t *Table) { t.PageKey = t.PageKey[8:] }, "page key of 8"},
		{"a key without pages", func(t *Table) { t.PageSize, t.PageHash = 0, nil }, "pages of 0"},
		{"places", func(t *Table) { t.ExtentAt = []uint32{0, 2000, 3000, 4000} }, "a delta where none belongs"},
		{"page numbers", func(t *Table) { t.PageIndex = []uint32{0, 1} }, "a delta where none belongs"},
		{"odd pages", func(t *Table) { t.PageSize = 4095 }, "pages of 4095"},
		{"a page too many", func(t *Table) { t.PageHash = make([]byte, 3*PageHashSize) }, "48 bytes of page hashes"},
		{"half a page hash", func(t *Table) { t.PageHash = t.PageHash[1:] }, "31 bytes of page hashes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, length, objects := twoPageTable()
			tt.change(table)
			_, err := EncodeTable(table)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = DecodeTable(raw(t, table), length, objects)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}

// What a table cannot say of itself is held against its segment and the manifest's objects.
func TestTableAgainstItsSegment(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *Table, length *uint64, objects *[]*Object)
		says   string
	}{
		{"too short", func(_ *Table, n *uint64, _ *[]*Object) { *n = 5001 }, "cover 5000 of 5001"},
		{"too long", func(_ *Table, n *uint64, _ *[]*Object) { *n = 4999 }, "cover 5000 of 4999"},
		{"segment of nothing", func(_ *Table, n *uint64, _ *[]*Object) { *n = 0 }, "cover 5000 of 0"},
		{"pack too many", func(t *Table, _ *uint64, _ *[]*Object) { t.Packs = append(t.Packs, nonce(2)) }, "2 packs, its segment names 1"},
		{"pack too few", func(_ *Table, _ *uint64, o *[]*Object) { *o = append(*o, (*o)[0]) }, "1 packs, its segment names 2"},
		{"another pack", func(t *Table, _ *uint64, _ *[]*Object) { t.Packs[0] = nonce(2) }, "disagree about pack 0"},
		{"pack of half a nonce", func(t *Table, _ *uint64, _ *[]*Object) { t.Packs[0] = t.Packs[0][1:] }, "disagree about pack 0"},
		{"chunk in no pack", func(t *Table, _ *uint64, _ *[]*Object) { t.ChunkPack[1] = 1 }, "chunk 1 in pack 1 of 1"},
		{"chunk in a pack beyond int32", func(t *Table, _ *uint64, _ *[]*Object) { t.ChunkPack[1] = 1 << 31 }, "chunk 1 in pack 2147483648"},
		{"chunk in the header", func(t *Table, _ *uint64, _ *[]*Object) { t.ChunkOffset[1] = 15 }, "chunk 1: frame at 15"},
		{"chunk in the trailer", func(t *Table, _ *uint64, _ *[]*Object) { t.ChunkOffset[1] = 4000 - packTrailerSize - 99 }, "chunk 1: frame at"},
		{"chunk behind the end", func(t *Table, _ *uint64, _ *[]*Object) { t.ChunkOffset[1] = math.MaxUint64 }, "chunk 1: frame at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, length, objects := twoPageTable()
			tt.change(table, &length, &objects)
			_, err := DecodeTable(raw(t, table), length, objects)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}

func TestTableFitsAFrame(t *testing.T) {
	table := new(Table)
	row := table.AppendChunk(Chunk{Stored: FrameHeaderSize + MaxRaw, Raw: MaxRaw})
	for range maxSegment / 8 / MaxRaw {
		for start := range uint32(MaxRaw / minPage) {
			table.ExtentChunk, table.ExtentStart, table.ExtentLength = append(table.ExtentChunk, row+1), append(table.ExtentStart, start), append(table.ExtentLength, minPage)
		}
	}
	_, err := EncodeTable(table)
	wantOne(t, err, ErrInvalid, "use smaller segments")
	_, err = DecodeTable(raw(t, table), maxSegment/8, nil)
	wantOne(t, err, ErrCorrupt, "table of")
	_, err = DecodeTable(bytes.Repeat([]byte{0xff}, 100), 1, nil)
	wantOne(t, err, ErrCorrupt, "table")
}
