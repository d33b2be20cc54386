package checkpoint

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/format"
)

// data reads every chunk of a checkpoint that was not read before for another one.
func (v *verifier) data(ctx context.Context, c loaded) error {
	var batch []want
	for _, p := range c.m.Parts.All() {
		t := &target{part: string(p.Name)}
		for i, s := range p.Segments {
			length := format.SegmentLength(p, i)
			v.progress.Bytes.Add(int64(length))
			table, packs, err := c.table(ctx, c.m, s, length)
			if err != nil {
				if !v.damage(err, "table", c, string(p.Name)) {
					return err
				}
				continue
			}
			for row := range table.ChunkPack {
				chunk := table.Chunk(row)
				chunk.Pack = packs.object(chunk.Pack)
				o := c.m.Objects[chunk.Pack]
				at := v.at(o, chunk)
				switch broken := v.broken[c.keyOf(o)]; {
				case !v.first(at):
				case broken.Kind == "missing":
					v.bad[at] = broken.Detail
				default:
					batch = append(batch, want{chunk: chunk, t: t})
				}
			}
			if len(batch) >= planFrames {
				if err := v.chunks(ctx, c, batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		v.progress.Parts.Add(1)
	}
	return v.chunks(ctx, c, batch)
}

// damage records err as a problem if it is one of the data.
func (v *verifier) damage(err error, kind string, c loaded, part string) bool {
	var e *Error
	if !errors.As(err, &e) || !errors.Is(e, ErrCorrupt) {
		return false
	}
	v.problem(Problem{Kind: kind, Checkpoint: c.retained.Id.Checkpoint, Part: part, Object: e.Object, Detail: e.Err.Error()})
	return true
}

// blame names the parts of a checkpoint that need a bad chunk, whoever it was read for.
func (v *verifier) blame(ctx context.Context, c loaded) error {
	for _, p := range c.m.Parts.All() {
		named := map[uint32]bool{} // by object
		for i, s := range p.Segments {
			table, packs, err := c.table(ctx, c.m, s, format.SegmentLength(p, i))
			if errors.Is(err, ErrCorrupt) {
				continue // it has been reported
			}
			if err != nil {
				return err
			}
			for row := range table.ChunkPack {
				chunk := table.Chunk(row)
				chunk.Pack = packs.object(chunk.Pack)
				o := c.m.Objects[chunk.Pack]
				detail, bad := v.bad[v.at(o, chunk)]
				if !bad || named[chunk.Pack] {
					continue
				}
				named[chunk.Pack] = true
				v.problem(Problem{Kind: "chunk", Checkpoint: c.retained.Id.Checkpoint, Part: string(p.Name), Object: c.keyOf(o), Detail: detail})
			}
		}
	}
	return nil
}

// chunks reads a batch in the order of the packs, several packs at once.
func (v *verifier) chunks(ctx context.Context, c loaded, batch []want) error {
	if len(batch) == 0 {
		return nil
	}
	slices.SortFunc(batch, compareWants)
	store := v.job.store
	sp, err := store.spaces(ctx, store.opts.Concurrency)
	if err != nil {
		return err
	}
	defer sp.close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(store.objects.MaxConcurrency())
	for len(batch) > 0 && ctx.Err() == nil {
		n := cutRun(batch)
		run := batch[:n]
		batch = batch[n:]
		g.Go(func() error { return v.read(ctx, c, run, sp) })
	}
	return g.Wait()
}

// read checks a run. One that cannot be read as a whole is read chunk by chunk, to tell which of them it is.
func (v *verifier) read(ctx context.Context, c loaded, run []want, sp *spaces) error {
	o := c.m.Objects[run[0].chunk.Pack]
	checked := 0
	err := c.frames(ctx, c.m, run, sp, func(same []want, content []byte, err error) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		checked += len(same)
		if err != nil {
			return v.found(err, v.at(o, same[0].chunk))
		}
		v.report.CheckedBytes += int64(len(content))
		return nil
	})
	rest := run[checked:]
	switch {
	case err == nil || !errors.Is(err, ErrCorrupt) || len(rest) == 0:
		return err
	case len(rest) == 1:
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.found(err, v.at(o, rest[0].chunk))
	}
	for i := range rest {
		if err := v.read(ctx, c, rest[i:i+1], sp); err != nil {
			return err
		}
	}
	return nil
}

// found notes a bad chunk, unless err says nothing of the chunk.
func (v *verifier) found(err error, at chunkAt) error {
	var e *Error
	if !errors.As(err, &e) || !errors.Is(e, ErrCorrupt) {
		return err
	}
	v.bad[at] = e.Err.Error()
	return nil
}
