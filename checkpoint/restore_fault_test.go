package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// A store that throttles for a minute delays a restore by about that; it does not fail it, and does not hammer.
func TestRestoreThroughAMinuteOfThrottling(t *testing.T) {
	mem := memstore.New()
	want := files{"a": noise(1, 30<<20), "b": noise(2, 300_000)}
	mustSave(t, openMem(t, mem), "j", want)
	dir := filepath.Join(t.TempDir(), "new")
	synctest.Test(t, func(t *testing.T) {
		c := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest")
		start := time.Now()
		var refused int
		var mu sync.Mutex
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if since := time.Since(start); op.Method == "range" && since < time.Minute {
				refused++
				return memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindThrottled, RetryAfter: 5 * time.Second, Err: errors.New("429")}}
			}
			return memstore.OK
		})
		if _, err := c.RestoreDir(context.Background(), "", dir, nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute {
			t.Errorf("took %s", d)
		}
		// Each of up to 16 streams asks at most every five seconds.
		if refused > 12*streamsOpen*defaultConcurrency {
			t.Errorf("%d requests were refused", refused)
		}
	})
	if d := want.diff(readDir(t, dir)); d != "" {
		t.Error(d)
	}
}

// A store that throttles for longer than anybody waits: the error says so, and nothing is left.
func TestRestoreGivesUp(t *testing.T) {
	mem := memstore.New()
	mustSave(t, openMem(t, mem), "j", files{"a": noise(1, 3<<20)})
	parent := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest")
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method == "range" {
				return memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindThrottled, RetryAfter: 5 * time.Second}}
			}
			return memstore.OK
		})
		_, err := c.RestoreDir(context.Background(), "", filepath.Join(parent, "new"), nil)
		if e := wantKind(t, err, ErrThrottled); e.Part != "a" || e.Hint == "" || !e.Retryable() {
			t.Errorf("the error says too little: %+v", e)
		}
	})
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// One bad byte in the middle of many packs, wherever it is: found, and nothing has a final name.
func TestOneBadByteOfMany(t *testing.T) {
	mem := memstore.New()
	mustSave(t, openMem(t, mem), "j", files{"a": noise(1, 14<<20), "b": noise(2, 14<<20)})
	victims := 0
	for _, key := range mem.Keys() {
		if !strings.Contains(key, "/data/") {
			continue
		}
		b, v, err := mem.Get(context.Background(), key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < 3<<20 {
			continue // it may hold tables, which another test flips
		}
		bad := bytes.Clone(b)
		bad[len(bad)/3] ^= 0x10
		if v, err = mem.Put(context.Background(), key, bad, v); err != nil {
			t.Fatal(err)
		}
		parent := t.TempDir()
		c := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest")
		_, err = c.RestoreDir(context.Background(), "", filepath.Join(parent, "new"), nil)
		if e := wantKind(t, err, ErrCorrupt); e.Object != key || e.Part == "" {
			t.Errorf("the error names object %q, part %q; want %s", e.Object, e.Part, key)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if _, err := mem.Put(context.Background(), key, b, v); err != nil {
			t.Fatal(err)
		}
		victims++
	}
	if victims < 3 {
		t.Fatalf("only %d packs tried", victims)
	}
}

// A destination that cannot be written: each case its own error, nothing changed.
func TestRestoreWhereItCannot(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": {1}})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/no-such-place/x"} {
		_, err := c.RestoreDir(context.Background(), "", dir, nil)
		wantKind(t, err, ErrInvalid)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if os.Geteuid() == 0 {
		return // nothing is forbidden to root
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := c.RestoreDir(context.Background(), "", closed, nil)
	wantKind(t, err, ErrInvalid)
}

// State that changes a little, checkpoint after checkpoint: tables with deltas and zeros, read in every way there is.
func TestEveryReaderOfDeltas(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	content := append(noise(1, 17<<20), make([]byte, 20<<20)...) // the second segment ends in zeros, the third has nothing else
	deltas := 0
	for i := range 5 {
		content = changed(content, (i*5+1)*911_111)
		content = changed(content, 33<<20+i*70_000)
		mustSave(t, s, "j", files{"db": content, "zeros": make([]byte, 300_000+i)})
	}
	c := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest")
	m, err := c.manifest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parts.All() {
		for _, seg := range p.Segments {
			if seg.Delta != nil {
				deltas++
			}
		}
	}
	if deltas == 0 {
		t.Fatal("no table has a delta: this tests nothing")
	}
	want := files{"db": content, "zeros": make([]byte, 300_004)}
	if d := want.diff(restored(t, c)); d != "" {
		t.Error(d)
	}
	r, err := c.Open(context.Background(), "db")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	report, err := mustJob(t, openMem(t, mem), "j").Verify(context.Background(), &VerifyOptions{Data: true})
	if err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
	// The bytes of a delta are checked like everything else.
	l := delta(m)
	o := m.Objects[l.Object]
	key, at := c.locate(o)
	tamper(t, mem, key, func(b []byte) []byte { b[at+int64(l.Offset)+int64(l.Stored)-1] ^= 1; return b })
	bad := openMem(t, mem)
	report, err = mustJob(t, bad, "j").Verify(context.Background(), &VerifyOptions{Data: true, Checkpoint: "latest"})
	if err != nil || report.OK() {
		t.Errorf("a flipped delta was not found: %+v, %v", report, err)
	}
	_, err = mustFind(t, mustJob(t, bad, "j"), "latest").RestoreDir(context.Background(), "", filepath.Join(t.TempDir(), "x"), nil)
	wantKind(t, err, ErrCorrupt)
}

// The deltas of many tables lie together, and are read together.
func TestRequestsOfDeltas(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	state := files{}
	for i := range 24 {
		state[fmt.Sprintf("f%02d", i)] = noise(uint64(i), 1<<20)
	}
	for range 2 {
		mustSave(t, s, "j", state)
		for name, b := range state {
			state[name] = changed(b, 500_000)
		}
	}
	c := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest")
	m, err := c.manifest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	deltas := 0
	for _, p := range m.Parts.All() {
		for _, seg := range p.Segments {
			if seg.Delta != nil {
				deltas++
			}
		}
	}
	if deltas < 20 {
		t.Fatalf("%d deltas: this tests nothing", deltas)
	}
	report, err := c.RestoreDir(context.Background(), "", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// 24 MiB in five packs, which hold the tables too; the pack of the change, read for deltas and for pages.
	if report.Requests.Get > 20 {
		t.Errorf("%d reads", report.Requests.Get)
	}
}

func delta(m format.Contents) *format.Location {
	for _, p := range m.Parts.All() {
		for _, s := range p.Segments {
			if s.Delta != nil {
				return s.Delta
			}
		}
	}
	return nil
}

// Readers of one part, and several of them, do not disturb each other.
func TestConcurrentReaders(t *testing.T) {
	content := noise(1, 3<<20)
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": content})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	shared, err := c.Open(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for i := range 8 {
		go func() {
			r := shared
			if i%2 == 0 {
				var err error
				if r, err = c.Open(context.Background(), "a"); err != nil {
					errs <- err
					return
				}
			}
			b := make([]byte, 100_000)
			for k := range 20 {
				off := (i*1_234_567 + k*777_777) % (len(content) - len(b))
				if n, err := r.ReadAt(b, int64(off)); err != nil || !bytes.Equal(b, content[off:off+n]) {
					errs <- fmt.Errorf("reader %d at %d: %d bytes, %w", i, off, n, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
