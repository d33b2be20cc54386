package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// saveOne saves content as the only part a, and returns what was said of it.
func saveOne(t testing.TB, s *Store, content []byte, opts ...PartOption) (Info, PartInfo) {
	t.Helper()
	info, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.Add("a", bytes.NewReader(content), opts...) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := mustFind(t, mustJob(t, s, "j"), "latest").Parts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return info, parts[0]
}

func mustBe(t testing.TB, s *Store, content []byte) {
	t.Helper()
	r, err := mustFind(t, mustJob(t, s, "j"), "latest").Open(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d of %d bytes come back, or others: %v", len(got), len(content), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestShiftedStreamsAreFoundAgain(t *testing.T) {
	measuresAmounts(t)
	base := noise(1, segmentSize+5_000_000)
	insert := func(at, n int) []byte { return slices.Insert(slices.Clone(base), at, noise(9, n)...) }
	tests := map[string]struct {
		next     []byte
		new      int64 // at most
		newAlone int64
	}{
		"nothing":            {base, 0, 0},
		"a byte in front":    {insert(0, 1), 1 << 20, 1 << 20},
		"some in the middle": {insert(3_000_000, 10_000), 1 << 20, 1 << 20},
		"cut in front":       {base[1_000_000:], 1 << 20, 1 << 20},
		"one byte in place":  {changed(base, segmentSize-7), pageSize, 1 << 20},
		"appended":           {append(slices.Clone(base), noise(8, 100)...), pageSize + 100, 1 << 20},
		"halves swapped":     {append(slices.Clone(base[10_000_000:]), base[:10_000_000]...), 2 << 20, 2 << 20},
		"twice":              {append(slices.Clone(base), base...), 2 << 20, 2 << 20},
	}
	for name, tt := range tests {
		for _, opts := range [][]PartOption{nil, {Content("*")}} {
			t.Run(fmt.Sprint(name, len(opts)), func(t *testing.T) {
				mem := memstore.New()
				saveOne(t, openMem(t, mem), base, opts...)
				s := openMem(t, mem) // another process: nothing is remembered
				info, part := saveOne(t, s, tt.next, opts...)
				limit := tt.new
				if opts != nil {
					limit = tt.newAlone
				}
				if info.NewBytes > limit || part.Method != "content" {
					t.Errorf("%d new bytes by %s (%s), want at most %d", info.NewBytes, part.Method, part.Reason, limit)
				}
				if name == "nothing" && info.Requests.Put != 2 {
					t.Errorf("%d objects written for nothing new", info.Requests.Put)
				}
				mustBe(t, s, tt.next)
				noViolations(t, mem)
			})
		}
	}
}

// Whatever a part was saved by before, it can be saved by anything now; and what both ways have in common is found.
func TestMethodsFollowEachOther(t *testing.T) {
	measuresAmounts(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	ways := [][]PartOption{{Pages("*")}, nil, {Content("*")}}
	mem := memstore.New()
	content := append(noise(3, segmentSize-300_000), make([]byte, 3<<20)...)
	for round := range 24 {
		s := openMem(t, mem)
		content = slices.Clone(content)
		switch rnd.IntN(4) {
		case 0:
			at := rnd.IntN(len(content))
			content = slices.Insert(content, at, noise(uint64(round), rnd.IntN(100_000))...)
		case 1:
			at := rnd.IntN(len(content) - 100_000)
			content = slices.Delete(content, at, at+rnd.IntN(100_000))
		case 2:
			for range 20 {
				content[rnd.IntN(len(content))]++
			}
		}
		if round == 20 {
			content = content[:rnd.IntN(minChunk)]
		}
		saveOne(t, s, content, ways[rnd.IntN(len(ways))]...)
		mustBe(t, s, content)
		if _, err := mustJob(t, s, "j").Retain(context.Background(), Retention{KeepLast: 2}, false); err != nil {
			t.Fatal(err)
		}
		if _, err := mustJob(t, s, "j").Collect(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		mustBe(t, s, content)
		if len(content) < minChunk {
			content = noise(uint64(round), 2*segmentSize)
		}
	}
	noViolations(t, mem)
}

func TestRepeatedContentIsStoredOnce(t *testing.T) {
	once := noise(4, 4<<20)
	s := openMem(t, memstore.New())
	content := bytes.Repeat(once, 6)
	info, _ := saveOne(t, s, content)
	if info.NewBytes > int64(len(once))+2<<20 {
		t.Errorf("%d new bytes of %d different ones", info.NewBytes, len(once))
	}
	mustBe(t, s, content)
}

func TestFilesByContent(t *testing.T) {
	content := noise(5, 3_000_000)
	dir := files{"x.dump": content}.write(t, t.TempDir())
	s := openMem(t, memstore.New())
	save := func() Info {
		t.Helper()
		info, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir, Content("*.dump")) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	save()
	shifted := append([]byte("shifted"), content...)
	files{"x.dump": shifted}.write(t, dir)
	if info := save(); info.NewBytes > 1<<20 {
		t.Errorf("%d new bytes", info.NewBytes)
	}
	if d := (files{"x.dump": shifted}).diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
		t.Error(d)
	}
}

// An index that cannot hold a part's chunks holds those around the stream.
func TestIndexMovesWithTheStream(t *testing.T) {
	mem := memstore.New()
	content := noise(6, 12*segmentSize)
	saveOne(t, openMem(t, mem), content, Content("*"))
	s := openMem(t, mem)
	job := mustJob(t, s, "j")
	c := mustFind(t, job, "latest")
	m, err := c.manifest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w := &Writer{job: job, base: &base{Checkpoint: c, manifest: m}}
	w.packs = newPacker(w)
	part := m.Parts.At(0)
	x := newChunkIndex(w, part)
	x.limit = 200 // of about 800
	most, missing := 0, 0
	for i := range part.Segments {
		table, _, err := c.table(context.Background(), m, part.Segments[i], segmentSize)
		if err != nil {
			t.Fatal(err)
		}
		for row := range table.ChunkPack {
			want := table.Chunk(row)
			got, found, _, err := x.find(context.Background(), i, want.Hash)
			if err != nil {
				t.Fatal(err)
			}
			if !found || got.Offset != want.Offset {
				missing++
			}
			most = max(most, len(x.at))
		}
	}
	// A chunk that lies in two segments is in the index under the first of them, which leaves first.
	if most > 400 || missing > 3 {
		t.Errorf("an index of 200 chunks held %d, and missed %d", most, missing)
	}
	if _, found, _, err := x.find(context.Background(), 0, format.Sum([]byte("x"))); found || err != nil {
		t.Errorf("found what is not there: %v", err)
	}
}

// What each kind of state costs per checkpoint, in new bytes: docs/engine.md has the table.
func TestNewBytesOfStateKinds(t *testing.T) {
	measuresAmounts(t)
	const size = 32 << 20
	kinds := map[string]struct {
		content, pages float64 // share of new bytes, at most
		next           func(rnd *rand.Rand) func() []byte
	}{
		"sorted dump, 1 % inserted in one range":    {0.03, 1, func(rnd *rand.Rand) func() []byte { return dump(size, rnd, 0.01, true) }},
		"sorted dump, 1 % inserted anywhere":        {1, 1, func(rnd *rand.Rand) func() []byte { return dump(size, rnd, 0.01, false) }},
		"sorted dump, 20 inserted anywhere":         {0.25, 1, func(rnd *rand.Rand) func() []byte { return dump(size, rnd, 20.0/(size/recordSize), false) }},
		"pages, 1 % changed in one range":           {0.02, 0.02, func(rnd *rand.Rand) func() []byte { return pagesOf(size, rnd, true) }},
		"pages, 1 % changed anywhere":               {0.02, 0.02, func(rnd *rand.Rand) func() []byte { return pagesOf(size, rnd, false) }},
		"append-only log, 1 % appended":             {0.012, 0.011, func(rnd *rand.Rand) func() []byte { return appended(size, rnd, 0) }},
		"log, 1 % appended and 1 % dropped":         {0.03, 1, func(rnd *rand.Rand) func() []byte { return appended(size, rnd, 1) }},
		"map in random order, nothing else changed": {1, 1, func(rnd *rand.Rand) func() []byte { return shuffled(size, rnd) }},
	}
	for name, tt := range kinds {
		t.Run(name, func(t *testing.T) {
			share := func(opts ...PartOption) float64 {
				next := tt.next(rand.New(rand.NewPCG(1, 2)))
				s := openMem(t, memstore.New())
				saveOne(t, s, next(), opts...)
				info, _ := saveOne(t, s, next(), opts...)
				return float64(info.NewBytes) / float64(info.Bytes)
			}
			both, alone, pages := share(), share(Content("*")), share(Pages("*"))
			t.Logf("%-42s new: %5.1f %% by default, %5.1f %% by content, %5.1f %% by pages", name, 100*both, 100*alone, 100*pages)
			if both > tt.content || pages > tt.pages || both > 1.01*min(alone, pages)+0.002 {
				t.Errorf("new bytes: %.1f %% by default, %.1f %% by content, %.1f %% by pages", 100*both, 100*alone, 100*pages)
			}
		})
	}
}

const recordSize = 100

func record(b []byte, key uint64, rnd *rand.Rand) []byte {
	b = binary.BigEndian.AppendUint64(b, key)
	for range (recordSize - 8) / 8 {
		b = binary.LittleEndian.AppendUint64(b, rnd.Uint64())
	}
	return append(b, "...\n"...)
}

// dump is a map written in the order of its keys, into which share of its size is inserted each time.
func dump(size int, rnd *rand.Rand, share float64, clustered bool) func() []byte {
	var b []byte
	for i := range size / recordSize {
		b = record(b, uint64(i)<<32, rnd)
	}
	first := true
	return func() []byte {
		if first {
			first = false
			return b
		}
		n := len(b) / recordSize
		inserts := make([]int, int(float64(n)*share))
		from := rnd.IntN(n / 2)
		for i := range inserts {
			if inserts[i] = rnd.IntN(n); clustered {
				inserts[i] = from + rnd.IntN(n/100)
			}
		}
		slices.Sort(inserts)
		out := make([]byte, 0, len(b)+len(inserts)*recordSize)
		at := 0
		for _, i := range inserts {
			out = append(out, b[at:i*recordSize]...)
			out, at = record(out, binary.BigEndian.Uint64(b[i*recordSize:])+rnd.Uint64N(1<<20), rnd), i*recordSize
		}
		b = append(out, b[at:]...)
		return b
	}
}

// pagesOf is a file of pages of which one in a hundred changes each time.
func pagesOf(size int, rnd *rand.Rand, clustered bool) func() []byte {
	b := noise(7, size)
	return func() []byte {
		n := size / pageSize
		from := rnd.IntN(n * 9 / 10)
		for i := range n / 100 {
			page := rnd.IntN(n)
			if clustered {
				page = from + i
			}
			b[page*pageSize+rnd.IntN(pageSize)]++
		}
		return b
	}
}

// appended is a log that grows by one part in a hundred, and loses so much in front.
func appended(size int, rnd *rand.Rand, drop int) func() []byte {
	b := noise(8, size)
	return func() []byte {
		b = append(slices.Clone(b[drop*(size/100):]), noise(rnd.Uint64(), size/100)...)
		return b
	}
}

func shuffled(size int, rnd *rand.Rand) func() []byte {
	var records [][]byte
	for i := range size / recordSize {
		records = append(records, record(nil, uint64(i), rnd))
	}
	return func() []byte {
		rnd.Shuffle(len(records), func(i, k int) { records[i], records[k] = records[k], records[i] })
		return bytes.Join(records, nil)
	}
}
