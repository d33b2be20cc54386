package checkpoint

import (
	"cmp"
	"context"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	// planFrames bounds how many frames are planned at once: about 100 bytes each.
	planFrames = 16 << 10
	// planGap is how many unwanted bytes are read rather than paying for another request.
	planGap = 64 << 10
)

// need is one frame that a restore reads, and where its content goes.
type need struct {
	chunk format.Chunk // Pack is the manifest's index
	dests []dest
}

// dest is a stretch of a chunk's content and its place in a file.
type dest struct {
	t             *target
	off           int64
	start, length uint32
}

// fetch writes the content of all targets into their temporary files. It plans in rounds of planFrames, so that memory does not grow with the checkpoint.
func (r *restorer) fetch(ctx context.Context, targets []*target) error {
	plan := make(plan)
	for _, t := range targets {
		for i := range t.part.Segments {
			table, packs, err := r.c.table(ctx, r.m, t.part.Segments[i], format.SegmentLength(t.part, i))
			if err != nil {
				return namePart(err, string(t.part.Name))
			}
			plan.add(t, int64(i)*int64(t.part.SegmentSize), table, packs)
			if len(plan) >= planFrames {
				if err := r.execute(ctx, plan); err != nil {
					return err
				}
				clear(plan)
			}
		}
	}
	return r.execute(ctx, plan)
}

// plan is what to read, by place: a chunk that several extents refer to is fetched once.
type plan map[place]*need

// place is where a chunk lies and what its table says of it. Tables that disagree, as hostile ones may, are read and checked each for itself.
type place struct {
	pack        uint32
	offset      uint64
	stored, raw uint32
	hash        format.Hash
}

// add plans one segment, which starts at offset off of its part.
func (p plan) add(t *target, off int64, table *format.Table, packs packs) {
	for row := range table.ExtentChunk {
		e := table.Extent(row)
		if e.Chunk == format.Zeros { // the file is as long as its part already, and zeros where nothing is written
			off += int64(e.Length)
			continue
		}
		c := table.Chunk(int(e.Chunk))
		c.Pack = packs.object(c.Pack)
		at := place{c.Pack, c.Offset, c.Stored, c.Raw, c.Hash}
		n := p[at]
		if n == nil {
			n = &need{chunk: c}
			p[at] = n
		}
		n.dests = append(n.dests, dest{t, off, e.Start, e.Length})
		off += int64(e.Length)
	}
}

// execute reads the plan's frames in few, large, parallel requests.
func (r *restorer) execute(ctx context.Context, plan plan) error {
	needs := make([]*need, 0, len(plan))
	for _, n := range plan {
		needs = append(needs, n)
	}
	slices.SortFunc(needs, func(a, b *need) int {
		return cmp.Or(cmp.Compare(a.chunk.Pack, b.chunk.Pack), cmp.Compare(a.chunk.Offset, b.chunk.Offset))
	})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.c.job.store.opts.Concurrency)
	for len(needs) > 0 && ctx.Err() == nil {
		n := coalesceChunks(len(needs), func(i int) format.Chunk { return needs[i].chunk }, r.c.job.store.buffers.size)
		run := needs[:n]
		needs = needs[n:]
		g.Go(func() error { return r.read(ctx, run) })
	}
	return g.Wait()
}

// coalesceChunks returns how many of the first of n chunks, sorted by their place, fit one ranged read of at most limit bytes.
func coalesceChunks(n int, chunk func(int) format.Chunk, limit int) int {
	first := chunk(0)
	end := first.Offset + uint64(first.Stored)
	for i := 1; i < n; i++ {
		c := chunk(i)
		if c.Pack != first.Pack || c.Offset > end+planGap || c.Offset+uint64(c.Stored)-first.Offset > uint64(limit) {
			return i
		}
		end = max(end, c.Offset+uint64(c.Stored))
	}
	return n
}

// read fetches one run of frames, verifies each and writes it where it belongs.
func (r *restorer) read(ctx context.Context, run []*need) error {
	buf, err := r.c.job.store.buffers.get(ctx)
	if err != nil {
		return err
	}
	defer r.c.job.store.buffers.put(buf)
	ws := workspaces.Get().(*workspace)
	defer workspaces.Put(ws)

	start, end := run[0].chunk.Offset, uint64(0)
	for _, n := range run {
		end = max(end, n.chunk.Offset+uint64(n.chunk.Stored))
	}
	o := r.m.Objects[run[0].chunk.Pack]
	b := buf[:end-start]
	if err := r.c.readPack(ctx, o, start, b, string(run[0].dests[0].t.part.Name)); err != nil {
		return err
	}
	for _, n := range run {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		content, err := format.DecodeFrame(ws.dirty, b[n.chunk.Offset-start:][:n.chunk.Stored], n.chunk, nil)
		if err != nil {
			key, _ := r.c.locate(o)
			return r.c.corrupt(string(n.dests[0].t.part.Name), key, err)
		}
		if err := r.write(content, n.dests); err != nil {
			return err
		}
	}
	return nil
}

// write puts a chunk's content where it belongs. A file is opened for each chunk and closed again: that costs microseconds, while files kept open would
// be as many as the checkpoint has parts.
func (r *restorer) write(content []byte, dests []dest) error {
	for len(dests) > 0 {
		t, n := dests[0].t, 1
		for n < len(dests) && dests[n].t == t {
			n++
		}
		if err := r.writeTo(t, content, dests[:n]); err != nil {
			return r.c.targetError(t, err)
		}
		dests = dests[n:]
	}
	return nil
}

func (r *restorer) writeTo(t *target, content []byte, dests []dest) (err error) {
	f, err := r.root.OpenFile(t.temp, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr // a full disk may be reported only here
		}
	}()
	for _, d := range dests {
		if _, err := f.WriteAt(content[d.start:d.start+d.length], d.off); err != nil {
			return err
		}
		r.progress.Bytes.Add(int64(d.length))
	}
	return nil
}
