package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// savedParts saves a directory and returns what its manifest says of a part.
func savedParts(t testing.TB, s *Store, dir string, opts ...PartOption) (Info, func(name string) *format.Part) {
	t.Helper()
	info, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir, opts...) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	m, err := c.manifest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return info, func(name string) *format.Part {
		t.Helper()
		p, err := c.findPart(m, name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// Zeros are neither packed nor stored, wherever they come from, and what replaces them is.
func TestZerosAreNotStored(t *testing.T) {
	mem := memstore.New()
	content := noise(1, 2*segmentSize+700_001)
	clear(content[100*pageSize : 300*pageSize])
	clear(content[segmentSize : 2*segmentSize]) // a whole segment
	clear(content[2*segmentSize+600_000:])      // the short last page, too
	steps := []struct {
		name   string
		change func([]byte) []byte
		stored int64 // new bytes
	}{
		{"nothing", func(b []byte) []byte { return b }, 0},
		{"a page of zeros is written", func(b []byte) []byte { b[150*pageSize] = 1; return b }, pageSize},
		{"a page becomes zeros", func(b []byte) []byte { clear(b[:pageSize]); return b }, 0},
		{"in the segment of zeros", func(b []byte) []byte { b[segmentSize+5] = 1; return b }, pageSize},
		{"longer, by zeros", func(b []byte) []byte { return append(b, make([]byte, 100_000)...) }, 0},
		{"all zeros", func(b []byte) []byte { clear(b); return b }, 0},
		{"one byte", func(b []byte) []byte { b[9] = 1; return b }, pageSize},
	}
	dir := files{"a": content, "one": make([]byte, 50), "page": make([]byte, pageSize)}.write(t, t.TempDir())
	info, part := savedParts(t, openMem(t, mem), dir)
	want := int64(segmentSize - 200*pageSize + 602_112) // up to the end of the page at 600,000
	if info.NewBytes != want || part("one").NewBytes != 0 {
		t.Errorf("%d new bytes, want %d", info.NewBytes, want)
	}
	for _, step := range steps {
		content = step.change(content)
		files{"a": content}.write(t, dir)
		s := openMem(t, mem)
		info, _ := savedParts(t, s, dir)
		if info.NewBytes != step.stored {
			t.Errorf("%s: %d new bytes, want %d", step.name, info.NewBytes, step.stored)
		}
		if d := readDir(t, dir).diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
			t.Fatalf("%s: %s", step.name, d)
		}
	}
	noViolations(t, mem)
}

// Little changes to a large part are written as deltas of its tables, until these are too large; every state is restored from any of them.
func TestTablesAreWrittenAsDeltas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	mem := memstore.New()
	content := noise(3, 2*segmentSize+200_000)
	dir := files{"db": content}.write(t, t.TempDir())
	savedParts(t, openMem(t, mem), dir)
	deltas, rewritten := 0, 0
	s := openMem(t, mem)
	for round := range 14 {
		if round%2 == 0 {
			s = openMem(t, mem) // another process, which has no table at hand
		}
		switch round {
		case 5:
			content = content[:len(content)-150_000] // a delta over a table that says more
		case 7:
			content = append(content, noise(99, 300_000)...)
		}
		for range 60 {
			at := rnd.IntN(segmentSize)
			content[at]++
		}
		files{"db": content}.write(t, dir)
		info, part := savedParts(t, s, dir)
		switch first := part("db").Segments[0]; {
		case first.Delta != nil:
			deltas++
			if first.Delta.Raw > first.GetStored().Raw/deltaShare {
				t.Errorf("a delta of %d bytes on a table of %d", first.Delta.Raw, first.GetStored().Raw)
			}
		default:
			rewritten++
		}
		if second := part("db").Segments[1]; second.Delta != nil {
			t.Errorf("round %d: a segment that did not change has a delta", round)
		}
		if info.NewBytes < 40*pageSize || info.StoredBytes > info.NewBytes+200_000 {
			t.Errorf("round %d: %d new bytes, %d stored", round, info.NewBytes, info.StoredBytes)
		}
		if d := (files{"db": content}).diff(restored(t, mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest"))); d != "" {
			t.Fatalf("round %d: %s", round, d)
		}
	}
	if deltas < 8 || rewritten == 0 {
		t.Errorf("%d deltas, %d tables written anew", deltas, rewritten)
	}
	// One checkpoint is left of them all, and it needs what it needs.
	j := mustJob(t, s, "j")
	if _, err := j.Retain(context.Background(), Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Collect(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if d := (files{"db": content}).diff(restored(t, mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest"))); d != "" {
		t.Error(d)
	}
	noViolations(t, mem)
}

// A running process saves 1 % of its pages in three requests, reading nothing: its tables are at hand.
func TestSaveOfFewPagesIsThreeRequests(t *testing.T) {
	content := noise(3, 4*segmentSize)
	s := openMem(t, memstore.New())
	o := mustAcquire(t, s, nil)
	dir := files{"db": content}.write(t, t.TempDir())
	for round := range 3 {
		for page := round; round > 0 && page < len(content)/pageSize; page += 100 {
			content[page*pageSize]++
		}
		files{"db": content}.write(t, dir)
		w, err := o.Begin(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.AddDir("", dir); err != nil {
			t.Fatal(err)
		}
		info, err := w.Commit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if want := (Requests{Put: 3}); round > 0 && info.Requests != want {
			t.Errorf("requests %+v, want %+v", info.Requests, want)
		}
	}
}

// Another process needs few reads to know what the base has, although several workers wrote its tables: they lie together.
func TestTablesLieTogether(t *testing.T) {
	mem := memstore.New()
	content := noise(3, 8*segmentSize)
	dir := files{"db": content}.write(t, t.TempDir())
	savedParts(t, openMem(t, mem), dir)
	for round := range 2 {
		for i := range 8 {
			content[i*segmentSize+round*pageSize]++
		}
		files{"db": content}.write(t, dir)
		info, part := savedParts(t, openMem(t, mem), dir)
		if most := int64(2 + round); info.Requests.Get > most { // HEAD with the manifest; the tables; their deltas
			t.Errorf("round %d: %d reads, at most %d are needed", round, info.Requests.Get, most)
		}
		for i, s := range part("db").Segments {
			if s.Delta == nil {
				t.Errorf("round %d: segment %d has no delta", round, i)
			}
		}
	}
}

// What a store compresses with, any other reads.
func TestCompression(t *testing.T) {
	text := bytes.Repeat([]byte("user=1234 state=active; "), 20_000)
	sizes := map[Compression]int64{}
	for _, c := range []Compression{"", CompressionNone, CompressionSnappy, CompressionZstd} {
		mem := memstore.New()
		s, err := newStore(mem, false, withDefaults(&Options{Compression: c}))
		if err != nil {
			t.Fatal(err)
		}
		state := files{"text": text, "noise": noise(1, 300_000)}
		sizes[c] = mustSave(t, s, "j", state).StoredBytes
		if d := state.diff(restored(t, mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest"))); d != "" {
			t.Errorf("%s: %s", c, d)
		}
	}
	if sizes[""] > sizes[CompressionSnappy]+1000 || sizes[CompressionSnappy] > sizes[""]+1000 || sizes[CompressionNone] < 780_000 || sizes[CompressionSnappy] > 400_000 || sizes[CompressionZstd] >= sizes[CompressionSnappy] {
		t.Errorf("stored %v", sizes)
	}
	_, err := newStore(memstore.New(), false, withDefaults(&Options{Compression: "gzip"}))
	wantKind(t, err, ErrInvalid)
}

// A file of several segments that changes after the first of them was saved is read again.
func TestLargeFileThatChangesWhileSaved(t *testing.T) {
	for name, change := range map[string]func(p string) error{
		"shrinks": func(p string) error { return os.Truncate(p, segmentSize+5) },
		"grows":   func(p string) error { return os.Truncate(p, 5*segmentSize) },
		"is replaced": func(p string) error {
			if err := os.WriteFile(p+".new", noise(9, 2*segmentSize), 0o600); err != nil {
				return err
			}
			return os.Rename(p+".new", p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := filepath.Join(dir, "a")
			if err := os.WriteFile(p, noise(1, 3*segmentSize), 0o600); err != nil {
				t.Fatal(err)
			}
			mem := memstore.New()
			var once sync.Once
			mem.SetFault(func(op memstore.Op) memstore.Outcome {
				if op.Method != "put" {
					return memstore.OK
				}
				once.Do(func() { // the first pack is full; the others wait
					if err := change(p); err != nil {
						t.Error(err)
					}
				})
				return memstore.OK
			})
			s := openMem(t, mem)
			if _, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddFile("a", p) }, nil); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if d := (files{"a": want}).diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
				t.Error(d)
			}
		})
	}
}

// 20,000 small files are saved with bounded requests, and again with none of their bytes.
func TestManySmallFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 20,000 files; without -short")
	}
	dir := t.TempDir()
	for i := range 20_000 {
		if i%1000 == 0 {
			if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i/1000)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i/1000), fmt.Sprint(i)), noise(uint64(i), 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mem := memstore.New()
	info, part := savedParts(t, openMem(t, mem), dir)
	if info.Parts != 20_020 || info.NewBytes != 2_000_000 || info.Requests.Put > 4 {
		t.Errorf("%+v", info)
	}
	if p := part("7/7123"); p.Reason != "" || p.Method != format.Part_FULL || len(p.Identity) != 0 {
		t.Errorf("a small part says more than it has to: %v", p)
	}
	again, _ := savedParts(t, openMem(t, mem), dir)
	if again.NewBytes != 0 || again.StoredBytes > 4_000_000 {
		t.Errorf("%+v", again)
	}
}
