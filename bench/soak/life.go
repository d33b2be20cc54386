package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// ending is how a life of a job is to end.
type ending int

const (
	goesOn    ending = iota
	closes           // Owner.Close
	abandons         // nothing: as after a crash of the process
	takenOver        // the next life begins while this one goes on, and has to fence it
)

// tend sees to it that a job has an owner, and that it loses it now and then.
func (w *World) tend(ctx context.Context, j *job) {
	var former sync.WaitGroup
	defer former.Wait()
	for n := 0; !w.stopped(); n++ {
		l := &life{World: w, job: j, end: make(chan ending, 1), over: make(chan struct{})}
		former.Go(func() {
			defer close(l.over)
			l.run(ctx)
		})
		how := []ending{closes, abandons, takenOver, takenOver}[rand.N(4)]
		if !l.lasts(ctx) {
			continue
		}
		if how != takenOver {
			l.end <- how
			<-l.over
			continue
		}
		former.Go(func() { l.watch(ctx) })
	}
}

// life is one owner of a job, from the acquisition to its end.
type life struct {
	*World
	job  *job
	end  chan ending
	over chan struct{}
}

// lasts waits for the time that the life is given; false if it ended before.
func (l *life) lasts(ctx context.Context) bool {
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-l.over:
			cancel()
		case <-over.Done():
		}
	}()
	l.pause(over, l.Life)
	select {
	case <-l.over:
		return false
	default:
		return true
	}
}

// watch objects if an owner that was taken over goes on for too long. What counts is time in which the new owner is there for certain, so it is generous.
func (l *life) watch(ctx context.Context) {
	t := time.NewTimer(10 * (l.Patience + l.RetryFor))
	defer t.Stop()
	select {
	case <-l.over:
	case <-l.stopping:
	case <-ctx.Done():
	case <-t.C:
		l.referee.Violate(Hang, l.job.name, "an owner that was taken over is still at work")
	}
}

func (l *life) run(ctx context.Context) {
	store := l.job.store
	select {
	case l.guests <- struct{}{}:
		defer func() { <-l.guests }()
		var err error
		if store, err = l.open(ctx, l.job.state.Kind == KindSealed); err != nil {
			l.referee.Violate(Kind, l.job.name, "open: %v", err)
			return
		}
		defer func() {
			if err := store.Close(); err != nil {
				l.referee.Violate(Kind, l.job.name, "close: %v", err)
			}
		}()
	default:
	}
	owner, others := l.acquire(ctx, store)
	if owner == nil {
		return
	}
	l.lives.Begun.Add(1)
	dir := l.scratch(l.job.name)
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			l.referee.Violate(Garbage, l.job.name, "%v", err)
		}
	}()
	// What an abandoned owner has under way ends with its process.
	ctx, crash := context.WithCancel(ctx)
	defer crash()
	if !l.recover(ctx, owner, dir) {
		_ = owner.Close()
		return
	}
	s := &saver{life: l, owner: owner, others: others, tree: &tree{dir: dir, state: l.job.state}}
	switch l.work(ctx, s, crash) {
	case abandons:
		l.lives.Abandoned.Add(1)
	case takenOver:
		l.lives.TakenOver.Add(1)
		fallthrough
	default:
		if err := owner.Close(); err != nil {
			l.referee.Violate(Kind, l.job.name, "close: %v", err)
		}
	}
}

// work saves until the life is to end or a newer owner has the job.
func (l *life) work(ctx context.Context, s *saver, crash func()) ending {
	for {
		select {
		case how := <-l.end:
			return l.leave(ctx, s, how, crash)
		case <-l.stopping:
			return goesOn
		case <-ctx.Done():
			return goesOn
		default:
		}
		began := time.Now()
		if s.save(ctx) == "fenced" {
			return takenOver
		}
		l.idle(ctx, l.Pace-time.Since(began))
	}
}

// leave ends a life. Half of those that crash do so in the middle of a save.
func (l *life) leave(ctx context.Context, s *saver, how ending, crash func()) ending {
	if how == closes {
		l.lives.Closed.Add(1)
		return how
	}
	if rand.N(2) == 0 {
		t := time.AfterFunc(rand.N(200*time.Millisecond), crash)
		defer t.Stop()
		if s.save(ctx) == "fenced" {
			return takenOver
		}
	}
	return how
}

// idle waits about so long, or until the life is to end.
func (l *life) idle(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d*3/4 + rand.N(max(d/2, 1)))
	defer t.Stop()
	select {
	case <-t.C:
	case how := <-l.end:
		l.end <- how // it has room for one, and was just emptied
	case <-l.stopping:
	case <-ctx.Done():
	}
}

// acquire tries until the job is acquired; nil when the world stops.
func (l *life) acquire(ctx context.Context, store *tidemark.Store) (*checkpoint.Owner, func() bool) {
	for !l.stopped() {
		tried, cancel := l.try(ctx)
		ended, others := l.referee.Claim(l.job.name)
		owner, err := store.Acquire(tried, l.job.name, &checkpoint.AcquireOptions{Retention: checkpoint.Retention{KeepLast: keepLast}})
		if err == nil {
			ended(owner.Epoch())
		} else {
			ended(0)
		}
		l.ended(tried, opAcquire, l.job.name, err)
		cancel()
		if err == nil {
			return owner, others
		}
		l.pause(ctx, l.Pace)
	}
	return nil, nil
}

// recover restores the latest checkpoint into dir, as a job does that starts again; false when the world stops before that could be done.
func (l *life) recover(ctx context.Context, owner *checkpoint.Owner, dir string) bool {
	for !l.stopped() && ctx.Err() == nil {
		c, kind := l.latest(ctx, owner.Job)
		if kind == "not_found" {
			return true
		}
		if c != nil && l.restore(ctx, l.job, c, dir, false) == endOK {
			return true
		}
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.referee.Violate(Garbage, l.job.name, "%v", err)
			return false
		}
		l.pause(ctx, l.Pace)
	}
	return false
}
