package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// wanted is one chunk that a part needs.
type wanted struct {
	chunk format.Chunk // Pack is the manifest's index
	part  string
}

// data reads every chunk of a checkpoint that was not read before for another one.
func (v *verifier) data(ctx context.Context, c loaded) error {
	var batch []wanted
	for _, p := range c.m.Parts {
		for i, s := range p.Segments {
			length := format.SegmentLength(p, i)
			v.progress.Bytes.Add(int64(length))
			t, packs, err := c.table(ctx, c.m, s, length)
			if err != nil {
				if !v.damage(err, "table", c, string(p.Name)) {
					return err
				}
				continue
			}
			for row := range t.ChunkPack {
				chunk := t.Chunk(row)
				chunk.Pack = packs.object(chunk.Pack)
				// The index of the pack is the manifest's own; its nonce is everybody's.
				at := chunkAt{format.Nonce(c.m.Objects[chunk.Pack].Nonce), place{0, chunk.Offset, chunk.Stored, chunk.Raw, chunk.Hash}}
				if !v.seen[at] {
					v.seen[at] = true
					batch = append(batch, wanted{chunk, string(p.Name)})
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

// chunks reads a batch in the order of the packs.
func (v *verifier) chunks(ctx context.Context, c loaded, batch []wanted) error {
	slices.SortFunc(batch, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(a.chunk.Pack, b.chunk.Pack), cmp.Compare(a.chunk.Offset, b.chunk.Offset))
	})
	buf, err := v.job.store.buffers.get(ctx)
	if err != nil {
		return err
	}
	defer v.job.store.buffers.put(buf)
	for len(batch) > 0 {
		n := coalesceChunks(len(batch), func(i int) format.Chunk { return batch[i].chunk }, len(buf))
		run := batch[:n]
		batch = batch[n:]
		if err := v.read(ctx, c, run, buf); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) read(ctx context.Context, c loaded, run []wanted, buf []byte) error {
	o, start := c.m.Objects[run[0].chunk.Pack], run[0].chunk.Offset
	var end uint64
	for _, w := range run {
		end = max(end, w.chunk.Offset+uint64(w.chunk.Stored))
	}
	b := buf[:end-start]
	if err := c.readPack(ctx, o, start, b, run[0].part); err != nil {
		if v.damage(err, "chunk", c, run[0].part) {
			return nil
		}
		return err
	}
	key, _ := c.locate(o)
	for _, w := range run {
		content, err := format.DecodeFrame(nil, b[w.chunk.Offset-start:][:w.chunk.Stored], w.chunk, nil)
		if err != nil {
			v.damage(c.corrupt(w.part, key, err), "chunk", c, w.part)
			continue
		}
		v.report.CheckedBytes += int64(len(content))
	}
	return nil
}
