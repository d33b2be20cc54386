package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// restore takes the job over and sets the worker up as the latest checkpoint says, or from nothing on the first run. It
// returns where to read on.
func (w *worker) restore(ctx context.Context) (position, error) {
	started := time.Now()
	store, err := w.clients.keep(ctx)
	if err != nil {
		return position{}, err
	}
	// First the fence: whoever worked on the job before can no longer commit, so what is latest now stays it.
	owner, err := store.Acquire(ctx, w.Job, &checkpoint.AcquireOptions{
		Owner: fmt.Sprintf("demo worker %d, process %d", w.Worker, os.Getpid()), Retention: checkpoint.Retention{KeepLast: keepLast},
	})
	if err != nil {
		return position{}, err
	}
	w.saver = &saver{owner: owner, worker: w}
	running := event{Kind: eventRunning}

	var from position
	// Only this "not found" is a first run; one that comes later is a checkpoint with something missing.
	last, err := w.find(ctx, "latest")
	switch {
	case errors.Is(err, checkpoint.ErrNotFound):
		from = w.source.at(0)
		w.state, err = openState(filepath.Join(w.Dir, partDatabase), w.Schema)
	case err == nil:
		w.state, from, err = w.load(ctx, last, filepath.Join(w.Dir, "state"))
		running = eventOf(eventRunning, last.Info(), from)
	}
	if err != nil {
		return position{}, err
	}
	credentials := w.clients.credentials()
	running.Epoch, running.Took = owner.Epoch(), time.Since(started)
	running.Clients, running.Fetches, running.Credentials = w.clients.count(), credentials.Fetches, credentials.Source
	return from, w.report.send(running)
}

// load restores a checkpoint: the database below dir through one client, the map through another.
func (w *worker) load(ctx context.Context, c *checkpoint.Checkpoint, dir string) (*state, position, error) {
	fail := func(err error) (*state, position, error) {
		return nil, position{}, fmt.Errorf("restore checkpoint %d: %w", c.Info().Checkpoint, err)
	}
	p, err := positionOf(ctx, c)
	if err != nil {
		return fail(err)
	}
	if _, err := c.RestoreDir(ctx, "", dir, &checkpoint.RestoreOptions{Match: partDatabase}); err != nil {
		return fail(err)
	}
	s, err := openState(filepath.Join(dir, partDatabase), w.Schema)
	if err != nil {
		return fail(err)
	}
	if s.sequence != p.Sequence {
		err = fmt.Errorf("the checkpoint is torn: its position is record %d, its database of record %d", p.Sequence, s.sequence)
	} else {
		err = w.loadPairs(ctx, s, fmt.Sprint(c.Info().Checkpoint))
	}
	if err != nil {
		return fail(errors.Join(err, s.close()))
	}
	return s, p, nil
}

func (w *worker) find(ctx context.Context, ref string) (*checkpoint.Checkpoint, error) {
	store, err := w.clients.keep(ctx)
	if err != nil {
		return nil, err
	}
	job, err := store.Job(w.Job)
	if err != nil {
		return nil, err
	}
	return job.Find(ctx, ref)
}

func (w *worker) loadPairs(ctx context.Context, s *state, ref string) (err error) {
	c, err := w.find(ctx, ref)
	if err != nil {
		return err
	}
	r, err := c.Open(ctx, partPairs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return s.loadPairs(r)
}
