package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// saver is what an owner saves with.
type saver struct {
	*life
	owner  *checkpoint.Owner
	others func() bool // whether somebody else may have acquired the job since
	tree   *tree
}

// save makes the next checkpoint of the job, and tells how that ended.
func (s *saver) save(ctx context.Context) string {
	name := s.job.name
	step := s.referee.Step(name)
	if onDisk(s.job.state.Kind) {
		if err := s.tree.advance(step); err != nil {
			s.referee.Violate(Kind, name, "change the state: %v", err)
			return endUntyped
		}
	}
	tried, cancel := s.try(ctx)
	defer cancel()
	info, err := s.commit(tried, step)
	kind := s.ended(tried, opSave, name, err)
	switch {
	case err == nil:
		s.lives.Acked.Add(1)
		if info.Epoch != s.owner.Epoch() {
			s.referee.Violate(Fence, name, "checkpoint %d is of epoch %d, its owner of epoch %d", info.Checkpoint, info.Epoch, s.owner.Epoch())
		}
	case kind == "fenced" && !s.others():
		s.referee.Violate(Kind, name, "fenced, and nobody else acquired the job: %v", err)
	}
	return kind
}

func (s *saver) commit(ctx context.Context, step uint64) (checkpoint.Info, error) {
	w, err := s.owner.Begin(ctx, &checkpoint.BeginOptions{Full: rand.N(100) == 0})
	if err != nil {
		return checkpoint.Info{}, err
	}
	defer func() { _ = w.Abort() }() // after Commit it does nothing
	if err := s.fill(ctx, w, step); err != nil {
		return checkpoint.Info{}, err
	}
	w.SetMetadata(stepKey, binary.BigEndian.AppendUint64(nil, step))
	ended := s.referee.Try(s.job.name, s.owner.Epoch(), w.Checkpoint(), step)
	info, err := w.Commit(ctx)
	ended(err == nil, errors.Is(err, checkpoint.ErrOutcomeUnknown))
	return info, err
}

// fill adds the state of a step.
func (s *saver) fill(ctx context.Context, w *checkpoint.Writer, step uint64) error {
	switch s.job.state.Kind {
	case KindStreams:
		return addStreams(s.job.state.parts(step), w.Add)
	case KindWorkers:
		return s.share(ctx, w, step)
	}
	return w.AddDir(prefix, s.tree.dir, checkpoint.Immutable("**.sst"), checkpoint.AppendOnly("**.log"), checkpoint.Content("**.dump"))
}

func addStreams(parts []part, add func(name string, r io.Reader, opts ...checkpoint.PartOption) error) error {
	for i := range parts {
		if err := add(prefix+"/"+parts[i].name, parts[i].reader(0)); err != nil {
			return err
		}
	}
	return nil
}

// share has each worker save its parts, and hands their handles over. Now and then one is restarted, before it has finished or after.
func (s *saver) share(ctx context.Context, w *checkpoint.Writer, step uint64) error {
	assignment, err := w.Assignment()
	if err != nil {
		return err
	}
	parts := s.job.state.parts(step)
	g, ctx := errgroup.WithContext(ctx)
	for i := range Workers {
		name := fmt.Sprintf("w%d", i)
		var own []part
		for _, p := range parts {
			if strings.HasPrefix(p.name, name+"/") {
				own = append(own, p)
			}
		}
		g.Go(func() error {
			lives := 1
			if rand.N(12) == 0 {
				lives = 2
				s.lives.Restarts.Add(1)
			}
			for life := range lives {
				if err := s.workerLife(ctx, w, assignment, name, own, life < lives-1); err != nil {
					return fmt.Errorf("worker %s: %w", name, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// workerLife is a worker's share, and what becomes of it: one that is to be restarted may have finished and handed over before.
func (s *saver) workerLife(ctx context.Context, w *checkpoint.Writer, assignment []byte, name string, parts []part, restarted bool) error {
	worker, err := s.owner.Join(ctx, assignment, name)
	if err != nil {
		return err
	}
	defer func() { _ = worker.Abort() }() // after Finish it does nothing
	if err := addStreams(parts, worker.Add); err != nil {
		return err
	}
	if restarted && rand.N(2) == 0 {
		return nil
	}
	handle, err := worker.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = w.AddHandle(handle)
	return err
}
