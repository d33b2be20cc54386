package checkpoint

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	// planFrames bounds how many wants are planned at once: 80 bytes each.
	planFrames = 8 << 10
	// planFirst is the same for the first batch: enough for all streams to begin with.
	planFirst = 1 << 10
	// mostWants bounds how many are with those who fetch: where files are tiny, one request brings thousands, and making the files takes longer than planning them.
	mostWants = planFrames * 3 / 2
)

// planner turns tables into runs: what is wanted of one pack, in order, few gaps between.
type planner struct {
	r     *restorer
	runs  chan<- []want
	mu    sync.Mutex // targets that are compared with local files are planned side by side
	batch []want
	size  int // that a batch may have
}

// plan sends what has to be read to runs.
func (r *restorer) plan(ctx context.Context, runs chan<- []want) error {
	p := &planner{r: r, runs: runs, size: planFirst}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	compares := r.found || r.o.Update
	for c := range r.all() {
		switch {
		case !c.isFile():
		case compares:
			number := c.number // c is valid until the next one
			g.Go(func() error { return p.target(gctx, r.at(number)) })
		default:
			if err := p.target(ctx, c); err != nil {
				return err
			}
		}
		if gctx.Err() != nil {
			break
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.flush(ctx)
}

// target plans one file.
func (p *planner) target(ctx context.Context, c chosen) error {
	if err := p.file(ctx, c.target(), c.Part); err != nil {
		return p.r.c.targetError(string(c.Name), err)
	}
	return nil
}

func (p *planner) file(ctx context.Context, t *target, part *format.Part) error {
	in := &directory{work: p.r.work}
	defer in.close()
	var old *os.File
	if p.r.staged[t.name] {
		f, err := p.r.openNew(t, in)
		if err != nil {
			return err
		}
		old = f
	} else if f, unchanged, err := p.r.startFromLocal(ctx, t, part, in); err != nil || unchanged {
		return err
	} else {
		old = f
	}
	if old != nil {
		defer func() { _ = old.Close() }() // what was written to it is closed by who finishes the file
	}
	var have int64
	for i := range part.Segments {
		n, err := p.segment(ctx, t, part, i, old)
		if err != nil {
			return err
		}
		have += n
	}
	if have == 0 && t.size > 0 {
		return nil
	}
	_, err := p.r.done(t, old, in, have)
	return err
}

// segment plans one segment and returns how many of its bytes need no fetching.
func (p *planner) segment(ctx context.Context, t *target, part *format.Part, i int, old *os.File) (have int64, err error) {
	off, length := int64(i)*int64(part.SegmentSize), format.SegmentLength(part, i)
	table, packs, err := p.r.c.table(ctx, p.r.m, part.Segments[i], length)
	if err != nil {
		return 0, err
	}
	missing := []span{{0, uint32(length)}}
	if old != nil {
		if missing, err = p.r.missing(ctx, old, t, off, length, table, false); err != nil {
			return 0, err
		}
	}
	kept := int64(length) - total(missing)
	p.r.kept.Add(kept)
	wants, zeros := wantsOf(t, off, table, packs, missing)
	for _, z := range zeros {
		if old != nil {
			if err := writeZeros(old, off+int64(z.off), int64(z.n)); err != nil {
				return 0, err
			}
		}
	}
	if len(zeros) > 0 {
		t.sparse.Store(true)
	}
	return kept + total(zeros), p.put(ctx, wants)
}

// wantsOf lists what has to be read for the missing spans of a segment at offset off of its part, and those that are zeros. It uses missing up.
func wantsOf(t *target, off int64, table *format.Table, packs packs, missing []span) (wants []want, zeros []span) {
	at := uint32(0) // where the extent starts in the segment
	for row := range table.ExtentChunk {
		e := table.Extent(row)
		for len(missing) > 0 && missing[0].off < at+e.Length {
			m := missing[0]
			n := min(m.off+m.n, at+e.Length) - m.off
			if e.Chunk == format.Zeros {
				zeros = append(zeros, span{m.off, n})
			} else {
				c := table.Chunk(int(e.Chunk))
				c.Pack = packs.object(c.Pack)
				wants = append(wants, want{chunk: c, t: t, off: off + int64(m.off), start: e.Start + m.off - at, length: n})
			}
			if missing[0] = (span{m.off + n, m.n - n}); missing[0].n == 0 {
				missing = missing[1:]
			}
		}
		at += e.Length
	}
	return wants, zeros
}

// put adds wants to the batch and sends it when it is full.
func (p *planner) put(ctx context.Context, wants []want) error {
	p.mu.Lock()
	p.batch = append(p.batch, wants...)
	full := len(p.batch) >= p.size
	p.mu.Unlock()
	if !full {
		return nil
	}
	return p.flush(ctx)
}

// flush sends the batch, without the lock: fetching may be slower than planning.
func (p *planner) flush(ctx context.Context) error {
	p.mu.Lock()
	batch := p.batch
	p.batch, p.size = nil, planFrames
	p.mu.Unlock()
	slices.SortFunc(batch, compareWants)
	for len(batch) > 0 {
		n := cutRun(batch)
		if err := p.r.wants.Acquire(ctx, weightOf(batch[:n])); err != nil {
			return context.Cause(ctx)
		}
		select {
		case p.runs <- batch[:n:n]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		batch = batch[n:]
	}
	return nil
}

// weightOf is what a run takes of restorer.wants until it is done.
func weightOf(run []want) int64 { return int64(min(len(run), mostWants)) }

// compareWants orders by place; wants of one chunk become neighbours. Tables that disagree about a chunk, as hostile ones may, are read and checked each for itself.
func compareWants(a, b want) int {
	return cmp.Or(cmp.Compare(a.chunk.Pack, b.chunk.Pack), cmp.Compare(a.chunk.Offset, b.chunk.Offset), cmp.Compare(a.chunk.Stored, b.chunk.Stored),
		cmp.Compare(a.chunk.Raw, b.chunk.Raw), bytes.Compare(a.chunk.Hash[:], b.chunk.Hash[:]))
}

// cutRun returns how many of the first sorted wants make one request: of one pack, with small gaps, none before the end of another.
func cutRun(wants []want) int {
	first, end := wants[0].chunk, wants[0].end()
	for i := 1; i < len(wants); i++ {
		w := &wants[i]
		if w.chunk == wants[i-1].chunk {
			continue
		}
		if w.chunk.Pack != first.Pack || w.chunk.Offset < end || w.chunk.Offset > end+planGap {
			return i
		}
		end = w.end()
	}
	return len(wants)
}
