package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// A name is taken from when a part is begun, whatever becomes of the part, and whether or not its tables have their places.
func TestPartSetNames(t *testing.T) {
	s := newPartSet()
	none := func(parts []*format.Part) []bool { return make([]bool, len(parts)) }
	end := func(name string, stored bool) {
		t.Helper()
		p := &format.Part{Name: []byte(name), Kind: format.Part_FILE, Method: format.Part_FULL}
		if stored {
			p.Size, p.SegmentSize = 1, segmentSize
			p.Segments = []*format.Segment{{Where: &format.Segment_Stored{Stored: &format.Location{Offset: 16, Stored: 17, Raw: 1, Hash: make([]byte, format.HashSize)}}}}
		}
		if err := s.end(p, none); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"begun", "listed", "waiting"} {
		if !s.begin(name) {
			t.Fatalf("%q is taken", name)
		}
	}
	end("listed", false)
	end("waiting", true)
	for _, name := range []string{"begun", "listed", "waiting"} {
		if s.begin(name) {
			t.Errorf("%q could be begun twice", name)
		}
	}
	if name, ok := s.unfinished(); !ok || name != "begun" || s.len() != 2 {
		t.Errorf("%q is unfinished, %d parts are not", name, s.len())
	}
	end("begun", false)
	if l, err := s.finish(); err != nil || l.Len() != 3 || l.At(2).Segments == nil || string(l.At(0).Name) != "begun" {
		t.Errorf("%v parts, %v", l.Len(), err)
	}
}

// Parts whose tables are held back are encoded in between as soon as these have their places, and all come back.
func TestManyPartsWithStoredTables(t *testing.T) {
	s, err := newStore(memstore.New(), false, withDefaults(&Options{MemoryBudget: minBudget}))
	if err != nil {
		t.Fatal(err)
	}
	state := files{}
	for i := range 3 * leastSweep {
		state[fmt.Sprintf("f%04d", i)] = bytes.Repeat(noise(uint64(i), 4096), 70) // a table of more than a KiB
	}
	mustSave(t, s, "j", state)
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	m, err := c.manifest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Parts.Tables()); n != len(state) {
		t.Errorf("%d stored tables: this tests something else", n)
	}
	if d := state.diff(restored(t, c)); d != "" {
		t.Error(d)
	}
}

// What is lent takes the place of idle buffers, and of no others.
func TestLoan(t *testing.T) {
	ctx := context.Background()
	b := newBuffers(2<<20, 3)
	var held [][]byte
	for range 3 {
		buf, err := b.get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, buf)
	}
	b.put(held[0])
	b.put(held[1])
	l := b.loan()
	if small := l.take(100); len(small) != 100 || len(b.free) != 2 {
		t.Errorf("for 100 bytes %d buffers were taken", 2-len(b.free))
	}
	large := l.take(3 << 20)
	if len(large) != 3<<20 || len(b.free) != 0 || len(b.cold) != 2 {
		t.Errorf("%d bytes; %d buffers are free, %d without memory", len(large), len(b.free), len(b.cold))
	}
	large[0], large[len(large)-1] = 1, 1
	more := b.loan()
	if got := more.take(5 << 20); len(got) != 5<<20 {
		t.Error("nobody is to wait for a buffer that somebody else has")
	}
	more.end()
	l.end()
	b.put(held[2])
	for range 3 {
		if _, ok := b.idle(); !ok {
			t.Fatal("a buffer is lost")
		}
	}
}

// The manifests that a store remembers are bounded in bytes.
func TestManifestCache(t *testing.T) {
	c, err := newManifestCache(4, 3000)
	if err != nil {
		t.Fatal(err)
	}
	contents := func(n int) format.Contents {
		l := format.NewPartList(nil)
		for i := range n {
			if err := l.Append(&format.Part{Name: fmt.Appendf(nil, "%05d", i), Kind: format.Part_DIRECTORY, Method: format.Part_FULL}); err != nil {
				t.Fatal(err)
			}
		}
		l.Sort()
		return format.Contents{Parts: l}
	}
	c.add(format.Hash{1}, contents(50))
	c.add(format.Hash{2}, contents(50))
	if c.Len() != 2 {
		t.Errorf("%d small manifests are remembered", c.Len())
	}
	c.add(format.Hash{3}, contents(5000))
	if _, ok := c.Get(format.Hash{3}); !ok || c.Len() != 1 {
		t.Errorf("%d manifests are remembered with one that is larger than all may be", c.Len())
	}
}
