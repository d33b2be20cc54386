package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// The parts and the metadata of the job's checkpoints.
const (
	partDatabase = "state.db"
	partPairs    = "pairs.jsonl"
	metaPosition = "position"
)

// keepLast is enough to look at, and makes retention part of every commit.
const keepLast = 5

// clients opens storage clients, far more than the job needs, because that is what jobs were seen to do: one for each part, one
// for each look at a checkpoint. What they cost in tokens is the point.
type clients struct {
	url string

	mu     sync.Mutex
	opened int
	kept   []*tidemark.Store // open until the worker ends
}

func (c *clients) open(ctx context.Context) (*tidemark.Store, error) {
	s, err := tidemark.Open(ctx, c.url, nil)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	return s, nil
}

// keep opens a client that closeAll closes.
func (c *clients) keep(ctx context.Context) (*tidemark.Store, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, s)
	return s, nil
}

func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

// credentials are those of the first client; the others share them.
func (c *clients) credentials() tidemark.CredentialStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == 0 {
		return tidemark.CredentialStats{}
	}
	return c.kept[0].Credentials()
}

func (c *clients) fetches() int64 { return c.credentials().Fetches }

func (c *clients) closeAll() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	c.kept = nil
	return errors.Join(errs...)
}

// snapshot is the job's state at one moment. The file is the saver's until it is idle again.
type snapshot struct {
	position position
	database string
	pairs    []byte
}

// saver commits snapshots, one after the other.
type saver struct {
	owner     *checkpoint.Owner
	worker    *worker
	snapshots chan snapshot
	idle      chan struct{} // holds a token while nothing is being saved
}

func (s *saver) run(ctx context.Context) error {
	for {
		select {
		case snap, ok := <-s.snapshots:
			if !ok {
				return nil
			}
			info, err := s.save(ctx, snap)
			if err == nil {
				err = s.lookAt(ctx, info, snap.position)
			}
			if err != nil {
				return err
			}
			s.idle <- struct{}{}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *saver) save(ctx context.Context, snap snapshot) (checkpoint.Info, error) {
	started := time.Now()
	w, err := s.owner.Begin(ctx, nil)
	if err != nil {
		return checkpoint.Info{}, err
	}
	defer func() { _ = w.Abort() }() // does nothing after a commit; before it, the first error counts
	if err := w.AddFile(partDatabase, snap.database); err != nil {
		return checkpoint.Info{}, err
	}
	if err := w.Add(partPairs, bytes.NewReader(snap.pairs)); err != nil {
		return checkpoint.Info{}, err
	}
	p, err := json.Marshal(snap.position)
	if err != nil {
		return checkpoint.Info{}, err
	}
	w.SetMetadata(metaPosition, p)
	if err := s.worker.report.send(event{Kind: eventSaving, Checkpoint: w.Checkpoint()}); err != nil {
		return checkpoint.Info{}, err
	}
	info, err := w.Commit(ctx)
	if err != nil {
		return checkpoint.Info{}, err
	}
	e := eventOf(eventCommitted, info, snap.position)
	e.Took, e.Clients = time.Since(started), s.worker.clients.count()
	return info, s.worker.report.send(e)
}

// lookAt reads a checkpoint back with a client of its own, as a monitor would.
func (s *saver) lookAt(ctx context.Context, want checkpoint.Info, wantPosition position) error {
	store, err := s.worker.clients.open(ctx)
	if err != nil {
		return err
	}
	err = func() error {
		job, err := store.Job(s.worker.Job)
		if err != nil {
			return err
		}
		c, err := job.Latest(ctx)
		if err != nil {
			return err
		}
		p, err := positionOf(ctx, c)
		if err != nil {
			return err
		}
		if c.Info().Checkpoint != want.Checkpoint || p.Sequence != wantPosition.Sequence {
			return fmt.Errorf("checkpoint %d of record %d was committed, but the latest is %d of record %d",
				want.Checkpoint, wantPosition.Sequence, c.Info().Checkpoint, p.Sequence)
		}
		return nil
	}()
	return errors.Join(err, store.Close())
}

func positionOf(ctx context.Context, c *checkpoint.Checkpoint) (position, error) {
	var p position
	meta, err := c.Metadata(ctx)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(meta[metaPosition], &p); err != nil {
		return p, fmt.Errorf("checkpoint %d has no position that can be read: %w", c.Info().Checkpoint, err)
	}
	return p, nil
}

func eventOf(kind eventKind, info checkpoint.Info, p position) event {
	return event{Kind: kind, Sequence: p.Sequence, Checkpoint: info.Checkpoint, Epoch: info.Epoch,
		Bytes: info.Bytes, NewBytes: info.NewBytes, StoredBytes: info.StoredBytes}
}
