package format

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
)

// manyParts are a manifest's worth of what checkpoints of very many files have, every 50th with a stored table; in the order of their names.
func manyParts(n int) []*Part {
	parts := make([]*Part, n)
	for i := range parts {
		p := &Part{Name: fmt.Appendf(nil, "d%04d/f%06d", i/100, i), Kind: Part_FILE, Size: 4096, Mode: 0o644, ModifiedNs: 1_750_000_000_000_000_000 + int64(i)*12345,
			Method: Part_FULL, NewBytes: 4096, SegmentSize: 16 << 20, Chunks: 1}
		hash := Sum(p.Name)
		if i%50 == 7 {
			p.Segments = []*Segment{{Where: &Segment_Stored{Stored: &Location{Object: 1, Offset: uint64(16 + 100*(n-i)), Stored: 100, Raw: 90, Hash: hash[:]}}, Objects: []uint32{1}, Used: []uint64{4096}}}
		} else {
			t := new(Table)
			t.AppendChunk(Chunk{Offset: uint64(16 + i*200), Stored: 200, Raw: 4096, Hash: hash})
			t.AppendExtent(Extent{Length: 4096})
			p.Segments = []*Segment{{Where: &Segment_Inline{Inline: t}}}
		}
		parts[i] = p
	}
	return parts
}

func filled(t testing.TB, parts []*Part) *PartList {
	t.Helper()
	l := NewPartList(func(n int) []byte { return make([]byte, n) })
	for _, p := range parts {
		if err := l.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	l.Sort()
	return l
}

// Whatever the order in which parts end, the list has them in that of their names, each as it was.
func TestPartListSorts(t *testing.T) {
	want := manyParts(5000)
	random := rand.New(rand.NewPCG(1, 2))
	nearly := slices.Clone(want) // as several workers finish them
	for i := 0; i+70 < len(nearly); i += 70 {
		random.Shuffle(70, func(a, b int) { nearly[i+a], nearly[i+b] = nearly[i+b], nearly[i+a] })
	}
	late := append(slices.Clone(want[1000:]), want[:1000]...)
	backward := slices.Clone(want)
	slices.Reverse(backward)
	shuffled := slices.Clone(want)
	random.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
	for name, parts := range map[string][]*Part{"in order": want, "nearly": nearly, "late": late, "backward": backward, "shuffled": shuffled, "few": want[:3], "none": nil} {
		t.Run(name, func(t *testing.T) {
			l := filled(t, parts)
			sorted := slices.SortedFunc(slices.Values(parts), func(a, b *Part) int { return bytes.Compare(a.Name, b.Name) })
			if l.Len() != len(parts) {
				t.Fatalf("%d parts of %d", l.Len(), len(parts))
			}
			stored := 0
			for i, p := range l.All() {
				if !proto.Equal(p, sorted[i]) {
					t.Fatalf("part %d is %v, want %v", i, p, sorted[i])
				}
				if i%97 == 0 && (!proto.Equal(l.At(i), p) || !proto.Equal(l.Find(p.Name), p) || !l.Has(p.Name)) {
					t.Fatalf("part %d is not found", i)
				}
				if p.Segments[0].GetStored() != nil {
					stored++
				}
			}
			for p := range l.Stored() {
				if stored--; p.Segments[0].GetStored() == nil {
					t.Error("a part without a stored table")
				}
			}
			if stored != 0 {
				t.Errorf("%d parts with stored tables are missing", stored)
			}
			for _, other := range []string{"", "a", "d0000/f000000x", "z"} {
				if l.Find([]byte(other)) != nil || l.Has([]byte(other)) {
					t.Errorf("there is a part %q", other)
				}
			}
			if !slices.IsSortedFunc(l.Tables(), func(a, b Chunk) int { return int(a.Offset) - int(b.Offset) }) || len(l.Tables()) != len(slices.Collect(l.Stored())) {
				t.Errorf("%d tables, or out of order", len(l.Tables()))
			}
			if used := l.Used()[0] + l.Used()[1]; used != uint64(len(parts)*4096) {
				t.Errorf("%d bytes in use", used)
			}
		})
	}
}

// What small parts take in memory is what a checkpoint of 100,000 files costs.
func TestPartListIsSmall(t *testing.T) {
	const n = 20_000
	parts := manyParts(n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := filled(t, parts)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(parts)
	if got := int(after.HeapAlloc-before.HeapAlloc) / n; got > 80 {
		t.Errorf("%d bytes for each part, at most 80 are allowed", got)
	}
	if l.Held() > n*80 {
		t.Errorf("it says that it takes %d bytes", l.Held())
	}
	encoded := len(l.appendTo(nil, fieldParts))
	if encoded != l.size {
		t.Errorf("encoded it has %d bytes, not %d", encoded, l.size)
	}
}

// Readers of a list share the blocks that are open.
func TestPartListReaders(t *testing.T) {
	want := manyParts(3000)
	l := filled(t, want)
	done := make(chan bool)
	for k := range 4 {
		go func() {
			defer func() { done <- true }()
			for i := k; i < len(want); i += 3 {
				if p := l.Find(want[i].Name); !proto.Equal(p, want[i]) {
					t.Errorf("%v, want %v", p, want[i])
					return
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}

// The decoder of small parts and protobuf agree.
func TestSmallPartsDecodeAlike(t *testing.T) {
	parts := append(manyParts(60), goldenStored(t).Parts...)
	m, _ := goldenEmbedded(t)
	parts = append(parts, m.Parts...)
	parts = append(parts, &Part{}, &Part{Name: []byte("link"), Kind: Part_SYMLINK, LinkTarget: []byte("to"), Method: Part_FULL, Reason: "why", Identity: []byte{1}, MovedBytes: 3})
	table := new(Table)
	for i := range 5 {
		table.AppendChunk(Chunk{Pack: uint32(i), Offset: 1 << (8 * i), Stored: 300, Raw: uint32(i)})
		table.AppendExtent(Extent{Chunk: uint32(i), Start: 1, Length: 1 << (4 * i)})
	}
	table.PageSize, table.PageHash, table.PageKey = 4096, noise(1, 64), noise(2, 16)
	parts = append(parts, &Part{Name: []byte("pages"), Segments: []*Segment{{Where: &Segment_Inline{Inline: table}}}})
	room := new(partSpace)
	small := 0
	for _, p := range parts {
		encoded := must(proto.MarshalOptions{Deterministic: true}.Marshal(p))(t)
		if got := must(room.decode(encoded))(t); !proto.Equal(got, p) {
			t.Errorf("%v, want %v", got, p)
		}
		if room.small(encoded) {
			small++
		}
	}
	if small < 60 || small == len(parts) {
		t.Errorf("%d of %d parts are small: this tests nothing", small, len(parts))
	}
}

// A list keeps its parts where its memory is.
func TestPartListMemory(t *testing.T) {
	var pieces []int
	l := NewPartList(func(n int) []byte {
		pieces = append(pieces, n)
		return make([]byte, n)
	})
	for _, p := range manyParts(300) {
		if err := l.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	if len(pieces) != 0 {
		t.Errorf("a list of 300 parts asked for %v", pieces)
	}
	for _, p := range manyParts(20_000)[300:] {
		if err := l.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	l.Sort()
	total := 0
	for _, n := range pieces {
		if n != partPiece {
			t.Errorf("a piece of %d", n)
		}
		total += n
	}
	if total < l.Held()/2 || total > l.Held()+partPiece {
		t.Errorf("%d bytes in pieces for %d", total, l.Held())
	}
}

func BenchmarkPartList(b *testing.B) {
	parts := manyParts(10_000)
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			filled(b, parts)
		}
	})
	l := filled(b, parts)
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for range l.All() {
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range parts {
				if l.Find(p.Name) == nil {
					b.Fatal("not found")
				}
			}
		}
	})
}
