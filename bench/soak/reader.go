package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// read is a reader: it looks for checkpoints and compares what is in them.
func (w *World) read(ctx context.Context) {
	for w.pause(ctx, w.Pace/2) {
		j := w.jobs[rand.N(len(w.jobs))]
		handle, err := j.store.Job(j.name)
		if err != nil {
			w.referee.Violate(Kind, j.name, "%v", err)
			return
		}
		c, _ := w.latest(ctx, handle)
		if c == nil {
			continue
		}
		if rand.N(3) == 0 {
			if c = w.older(ctx, handle); c == nil {
				continue
			}
		}
		w.look(ctx, j, c)
	}
}

// look reads a checkpoint in one of the ways there are; half of the readers hold a lease meanwhile.
func (w *World) look(ctx context.Context, j *job, c *checkpoint.Checkpoint) {
	leased := rand.N(2) == 0
	if leased {
		tried, cancel := w.try(ctx)
		lease, err := c.Pin(tried, fmt.Sprintf("reader %d", w.next.Add(1)), 10*w.Patience)
		w.ended(tried, opPin, j.name, err)
		cancel()
		if err != nil {
			return
		}
		defer func() {
			tried, cancel := w.try(ctx)
			defer cancel()
			w.ended(tried, opRelease, j.name, lease.Release(tried))
		}()
	}
	if rand.N(2) == 0 {
		w.readParts(ctx, j, c, leased)
		return
	}
	dir := w.scratch("reader")
	w.restore(ctx, j, c, dir, leased)
	if err := os.RemoveAll(dir); err != nil {
		w.referee.Violate(Garbage, j.name, "%v", err)
	}
}

// latest finds the latest checkpoint, and holds the referee's knowledge against it.
func (w *World) latest(ctx context.Context, j *checkpoint.Job) (*checkpoint.Checkpoint, string) {
	floor := w.referee.Floor(j.Name())
	tried, cancel := w.try(ctx)
	defer cancel()
	c, err := j.Latest(tried)
	kind := w.ended(tried, opLatest, j.Name(), err)
	switch {
	case err == nil:
		w.referee.Latest(j.Name(), floor, c.Info().Checkpoint)
		return c, kind
	case kind == "not_found" && floor > 0:
		w.referee.Violate(Lost, j.Name(), "there is no checkpoint after %d had been acknowledged: %v", floor, err)
	}
	return nil, kind
}

// older picks one of the retained checkpoints, after a look at all of them.
func (w *World) older(ctx context.Context, j *checkpoint.Job) *checkpoint.Checkpoint {
	tried, cancel := w.try(ctx)
	infos, err := j.List(tried)
	w.ended(tried, opList, j.Name(), err)
	cancel()
	if err != nil || len(infos) == 0 {
		return nil
	}
	w.inOrder(j.Name(), infos)
	tried, cancel = w.try(ctx)
	defer cancel()
	c, err := j.Find(tried, fmt.Sprint(infos[rand.N(len(infos))].Checkpoint))
	// What is listed may be retired before it is looked up.
	if kindOf(tried, err) == "not_found" {
		err = &checkpoint.Error{Kind: checkpoint.ErrRetired, Err: err}
	}
	w.ended(tried, opFind, j.Name(), err)
	return c
}

// inOrder objects to a list, newest first, in which a later checkpoint is of an earlier epoch.
func (w *World) inOrder(job string, infos []checkpoint.Info) {
	for i := 1; i < len(infos); i++ {
		if newer, older := infos[i-1], infos[i]; newer.Checkpoint <= older.Checkpoint || newer.Epoch < older.Epoch {
			w.referee.Violate(Fence, job, "checkpoint %d of epoch %d follows %d of epoch %d", newer.Checkpoint, newer.Epoch, older.Checkpoint, older.Epoch)
		}
	}
}

// restore restores a checkpoint and compares it; held is with a lease. It leaves the directory.
func (w *World) restore(ctx context.Context, j *job, c *checkpoint.Checkpoint, dir string, held bool) string {
	tried, cancel := w.try(ctx)
	defer cancel()
	step, err := w.stepOf(tried, j, c)
	if err == nil {
		_, err = c.RestoreDir(tried, prefix, dir, nil)
	}
	if err == nil {
		err = compareTree(dir, j.state, step)
	} else if left := leftBehind(dir); left != "" {
		w.referee.Violate(Garbage, j.name, "a restore failed (%v) and left %s", err, left)
	}
	return w.judge(tried, opRestore, j, c, err, held)
}

// leftBehind names what a failed restore left in its directory.
func leftBehind(dir string) string {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, ", ")
}

// readParts reads a checkpoint part by part and compares it.
func (w *World) readParts(ctx context.Context, j *job, c *checkpoint.Checkpoint, held bool) {
	tried, cancel := w.try(ctx)
	defer cancel()
	step, err := w.stepOf(tried, j, c)
	if err == nil {
		err = compareParts(tried, c, j.state, step, rand.N(2) == 0)
	}
	w.judge(tried, opRead, j, c, err, held)
}

// stepOf reads which step a checkpoint holds, and asks the referee whether that may be.
func (w *World) stepOf(ctx context.Context, j *job, c *checkpoint.Checkpoint) (uint64, error) {
	metadata, err := c.Metadata(ctx)
	if err != nil {
		return 0, err
	}
	step, err := stepOf(metadata)
	if err != nil {
		return 0, err
	}
	info := c.Info()
	w.referee.Found(j.name, info.Checkpoint, info.Epoch, step)
	return step, nil
}

// judge counts how a restore ended. Retired is right only without a lease, and not of what is still the latest.
func (w *World) judge(ctx context.Context, op string, j *job, c *checkpoint.Checkpoint, err error, held bool) string {
	info := c.Info()
	kind := w.ended(ctx, op, j.name, err)
	switch {
	case err == nil:
		w.lives.Restored.Add(1)
		w.lives.Bytes.Add(info.Bytes)
	case kind == "retired" && (held || w.referee.Floor(j.name) <= info.Checkpoint):
		w.referee.Violate(Lost, j.name, "checkpoint %d was retired in spite of a lease or of being the latest: %v", info.Checkpoint, err)
	}
	return kind
}
