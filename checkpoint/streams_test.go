package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// countedStream counts how many of its kind are between their first read and their end.
type countedStream struct {
	io.Reader
	begun     bool
	now, most *atomic.Int64
}

func (c *countedStream) Read(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		n := c.now.Add(1)
		for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
		}
	}
	n, err := c.Reader.Read(p[:min(len(p), 5000)])
	if err != nil {
		c.now.Add(-1)
	}
	return n, err
}

// A thousand streams at once take the memory of as many as there are workspaces: the others wait, and are not even read.
func TestManyStreamsWait(t *testing.T) {
	const streams = 1000
	s, err := newStore(memstore.New(), false, withDefaults(&Options{MemoryBudget: minBudget}))
	if err != nil {
		t.Fatal(err)
	}
	state := files{}
	for i := range streams {
		state[fmt.Sprintf("s%03d", i)] = noise(uint64(i), 1+i*97%90_000) // some above what goes by pages
	}
	var now, most atomic.Int64
	_, err = s.Save(context.Background(), "j", func(w *Writer) error {
		var g errgroup.Group
		for name, content := range state {
			g.Go(func() error {
				return w.Add(name, &countedStream{Reader: bytes.NewReader(content), now: &now, most: &most})
			})
		}
		return g.Wait()
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if allowed := int64(cap(s.workers.free)); most.Load() > allowed {
		t.Errorf("%d streams were read at once, in %d workspaces", most.Load(), allowed)
	}
	if len(s.workers.free) != cap(s.workers.free) || s.workers.out != 0 || s.workers.reading != 0 {
		t.Errorf("%d workspaces of %d are back; %d are out, %d are being fed", len(s.workers.free), cap(s.workers.free), s.workers.out, s.workers.reading)
	}
	if d := state.diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
		t.Error(d)
	}
}

// One goroutine feeds more streams in turn than there are workspaces, and would wait for ever for the first that has none.
func TestOneGoroutineFeedsManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newStore(memstore.New(), false, withDefaults(&Options{MemoryBudget: minBudget}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }() // it has no connections
		streams := cap(s.workers.free) + 3
		info, err := s.Save(t.Context(), "j", func(w *Writer) error {
			var g errgroup.Group
			feeds := make([]*io.PipeWriter, streams)
			for i := range feeds {
				var r *io.PipeReader
				r, feeds[i] = io.Pipe()
				g.Go(func() error { return w.Add(fmt.Sprint(i), r, Pages("*")) })
			}
			for range 3 {
				for i, f := range feeds {
					if _, err := f.Write(noise(uint64(i), 10_000)); err != nil {
						return err
					}
				}
			}
			for _, f := range feeds {
				_ = f.Close()
			}
			return g.Wait()
		}, nil)
		if err != nil || info.Bytes != int64(streams)*30_000 {
			t.Errorf("%d bytes, %v", info.Bytes, err)
		}
		if len(s.workers.free) != cap(s.workers.free) || s.workers.out != 0 {
			t.Errorf("%d workspaces of %d are back, %d are out", len(s.workers.free), cap(s.workers.free), s.workers.out)
		}
	})
}

// Nobody gets a workspace beyond the budget because the store is slow, and who waits can be called back.
func TestWaitForAWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1)
		ws, err := w.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*stallTime, errors.New("enough"))
		defer cancel()
		if _, err := w.get(ctx); err == nil || err.Error() != "enough" {
			t.Errorf("while the other one works: %v", err)
		}
		var wg sync.WaitGroup
		r, feed := io.Pipe()
		wg.Go(func() { _, _ = w.reader(r).Read(make([]byte, 1)) })
		synctest.Wait()
		more, err := w.get(t.Context()) // the other one waits to be fed
		if err != nil {
			t.Fatal(err)
		}
		_ = feed.Close()
		wg.Wait()
		w.put(more)
		w.put(ws)
		if len(w.free) != 1 || w.out != 0 {
			t.Errorf("%d workspaces are free, %d out", len(w.free), w.out)
		}
	})
}
