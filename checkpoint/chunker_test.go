package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

// cutAll returns the ends of a stream's chunks, and fails unless they are its bytes, in order.
func cutAll(t testing.TB, content []byte, r io.Reader) (ends []int) {
	t.Helper()
	c := chunker{r: r, buf: make([]byte, chunkerBuffer)}
	at := 0
	for {
		b, err := c.next()
		if errors.Is(err, io.EOF) {
			if at != len(content) {
				t.Fatalf("chunks of %d of %d bytes", at, len(content))
			}
			return ends
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 || at+len(b) > len(content) || !bytes.Equal(b, content[at:at+len(b)]) {
			t.Fatalf("the chunk of %d bytes at %d is not what was read there", len(b), at)
		}
		before := min(at, pageSize)
		if around := c.around(before); !bytes.HasPrefix(content[at-before:], around) || len(around) < min(before+len(b)+pageSize, len(content)-at+before) {
			t.Fatalf("%d bytes around the chunk at %d, or wrong ones", len(around), at)
		}
		at += len(b)
		ends = append(ends, at)
	}
}

// smallReads returns reads of random length.
type smallReads struct {
	r   io.Reader
	rnd *rand.Rand
}

func (s smallReads) Read(b []byte) (int, error) {
	return s.r.Read(b[:min(len(b), 1+s.rnd.IntN(300_000))])
}

func TestCutsDoNotDependOnReads(t *testing.T) {
	for seed := range uint64(6) {
		content := append(noise(seed, 5<<20), bytes.Repeat([]byte("0123456789abcdef\n"), 100_000)...)
		content = append(content, noise(seed+100, int(seed)*777_777)...)
		want := cutAll(t, content, bytes.NewReader(content))
		for name, r := range map[string]io.Reader{
			"small": smallReads{bytes.NewReader(content), rand.New(rand.NewPCG(seed, 1))},
			"eof":   iotest.DataErrReader(bytes.NewReader(content)),
			"half":  iotest.HalfReader(bytes.NewReader(content)),
		} {
			if got := cutAll(t, content, r); !slices.Equal(got, want) {
				t.Errorf("reads %s: cuts at %v, in one read at %v", name, got, want)
			}
		}
	}
}

// The table, the limits and the sizes decide what a base can be used for: a change of any is a decision.
func TestCutsStayWhereTheyAre(t *testing.T) {
	content := noise(7, 2<<20)
	want := []int{222021, 451816, 825264, 1046653, 1171706, 1249710, 1545211, 1759813, 2097152}
	if got := cutAll(t, content, bytes.NewReader(content)); !slices.Equal(got, want) {
		t.Errorf("cuts at %v, want %v", got, want)
	}
}

func TestChunkSizes(t *testing.T) {
	measuresAmounts(t)
	for name, content := range map[string][]byte{
		"noise": noise(1, 256<<20), "zeros": make([]byte, 9<<20), "text": bytes.Repeat([]byte("the same line again and again\n"), 300_000),
		"empty": {}, "one": {1}, "least": noise(2, minChunk), "least and one": noise(3, minChunk+1), "most": make([]byte, maxChunk), "most and one": make([]byte, maxChunk+1),
	} {
		t.Run(name, func(t *testing.T) {
			ends := cutAll(t, content, bytes.NewReader(content))
			start := 0
			for i, end := range ends {
				if n := end - start; n > maxChunk || (n < minChunk && i < len(ends)-1) {
					t.Errorf("chunk %d has %d bytes", i, n)
				}
				start = end
			}
			switch name {
			case "noise":
				if mean := len(content) / len(ends); mean < 240<<10 || mean > 272<<10 {
					t.Errorf("mean size %d, want about 256 KiB", mean)
				}
			case "zeros":
				if len(ends) != 9 {
					t.Errorf("%d chunks: what has no content to cut by should be as few as possible", len(ends))
				}
			}
		})
	}
}

// newShare is the share of content's bytes that are in chunks that base does not have.
func newShare(t testing.TB, base, content []byte) float64 {
	t.Helper()
	known := map[string]bool{}
	start := 0
	for _, end := range cutAll(t, base, bytes.NewReader(base)) {
		known[string(base[start:end])] = true
		start = end
	}
	start, fresh := 0, 0
	for _, end := range cutAll(t, content, bytes.NewReader(content)) {
		if !known[string(content[start:end])] {
			fresh += end - start
		}
		start = end
	}
	return float64(fresh) / float64(len(content))
}

// Behind a change of any kind the cuts are where they were: what is new is the chunks that were touched, and at most a few beside them.
func TestCutsMeetAgainBehindChanges(t *testing.T) {
	measuresAmounts(t)
	const size = 32 << 20
	base := noise(11, size)
	rnd := rand.New(rand.NewPCG(5, 6))
	edit := func(edits int, f func(b []byte, at int) []byte) []byte {
		b := slices.Clone(base)
		for range edits {
			b = f(b, rnd.IntN(len(b)-1000))
		}
		return b
	}
	insert := func(b []byte, at int) []byte { return slices.Insert(b, at, noise(uint64(at), 1+rnd.IntN(900))...) }
	remove := func(b []byte, at int) []byte { return slices.Delete(b, at, at+1+rnd.IntN(900)) }
	for name, content := range map[string][]byte{
		"insertions": edit(8, insert), "deletions": edit(8, remove),
		"overwritten": edit(8, func(b []byte, at int) []byte { b[at]++; return b }),
		"first byte":  insert(slices.Clone(base), 0)[:size],
	} {
		changes := 8
		if name == "first byte" {
			changes = 1
		}
		// A chunk is changed at its mean size, weighted by it, with one more now and then until cuts meet.
		got, limit := newShare(t, base, content), float64(changes)*2*(300<<10)/size
		t.Logf("%-12s %d changes: %.2f %% new, %.0f KiB for each", name, changes, 100*got, got*size/1024/float64(changes))
		if got == 0 || got > limit {
			t.Errorf("%s: %.2f %% new, want at most %.2f %%", name, 100*got, 100*limit)
		}
	}
	if got := newShare(t, base, noise(12, 8<<20)); got != 1 {
		t.Errorf("other content: %.2f %% new", 100*got)
	}
}

func TestChunkerReportsFailedReads(t *testing.T) {
	broken := errors.New("broken")
	c := chunker{r: io.MultiReader(bytes.NewReader(noise(1, 100_000)), iotest.ErrReader(broken)), buf: make([]byte, chunkerBuffer)}
	if b, err := c.next(); !errors.Is(err, broken) || b != nil {
		t.Errorf("%d bytes, %v: a stream that broke has no end", len(b), err)
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("seed"), uint32(70_000), uint64(1))
	f.Add([]byte{}, uint32(3_000_000), uint64(2))
	f.Fuzz(func(t *testing.T, pattern []byte, size uint32, seed uint64) {
		// Noise with the pattern in it again and again.
		content := noise(seed, int(size%(4<<20)))
		for at := 0; len(pattern) > 0 && at+len(pattern) <= len(content); at += len(pattern) + int(seed%1000) {
			copy(content[at:], pattern)
		}
		want := cutAll(t, content, bytes.NewReader(content))
		if got := cutAll(t, content, smallReads{bytes.NewReader(content), rand.New(rand.NewPCG(seed, 2))}); !slices.Equal(got, want) {
			t.Errorf("cuts at %v and %v", got, want)
		}
		start := 0
		for i, end := range want {
			if n := end - start; n > maxChunk || n < 1 || (n < minChunk && i < len(want)-1) {
				t.Errorf("chunk of %d bytes", n)
			}
			start = end
		}
	})
}

func BenchmarkCut(b *testing.B) {
	content := noise(1, 64<<20)
	c := chunker{buf: make([]byte, chunkerBuffer)}
	r := bytes.NewReader(nil)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(content)
		c = chunker{r: r, buf: c.buf}
		for err := error(nil); err == nil; {
			_, err = c.next()
		}
	}
	b.ReportMetric(float64(len(content))/float64(chunksOf(b, content))/1024, "KiB/chunk")
}

func chunksOf(t testing.TB, content []byte) int {
	return len(cutAll(t, content, bytes.NewReader(content)))
}
