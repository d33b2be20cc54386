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
	for _, p := range c.m.Parts {
		t := &target{part: p}
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
				if v.first(format.Nonce(c.m.Objects[chunk.Pack].Nonce), chunk) {
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
	if !v.broken[e.Object] {
		v.problem(Problem{Kind: kind, Checkpoint: c.retained.Id.Checkpoint, Part: part, Object: e.Object, Detail: e.Err.Error()})
	}
	return true
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

func (v *verifier) read(ctx context.Context, c loaded, run []want, sp *spaces) error {
	err := c.frames(ctx, c.m, run, sp, func(same []want, content []byte, err error) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if err != nil {
			if !v.damage(err, "chunk", c, same[0].name()) {
				return err
			}
			return nil
		}
		v.report.CheckedBytes += int64(len(content))
		return nil
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil && !v.damage(err, "chunk", c, run[0].name()) {
		return err
	}
	return nil
}
