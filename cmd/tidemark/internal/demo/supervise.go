package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// supervisor runs workers, one after the other, until the job is done: it kills them as planned and starts the next one.
type supervisor struct {
	job     assignment // for every worker but for what is its own
	args    []string   // of the worker's command line
	env     []string
	dir     string
	cloud   *cloud // nil with a store of the user's own
	plan    []kill
	screen  *screen
	seen    tallies
	current int // the worker that runs, counted from 1
}

// tallies are what the supervisor learns from events.
type tallies struct {
	checkpoints, kills, commitKills, restores int
	bytes, newBytes, storedBytes              int64  // of all commits
	done                                      uint64 // the most records that any worker had done
	replayed                                  uint64 // records that were done again, at least
	last                                      uint64 // the newest checkpoint
	clients                                   int    // of workers that have ended
	lives, mostFetches                        int    // of tokens; the most fetches that one life took in one worker
	summary                                   summary
	credentials                               string
}

// life is one worker's.
type life struct {
	process  *process
	clients  int
	sequence uint64
	fetches  int64 // that the metadata server had answered when it started
	running  bool
	finished bool
	failure  error
}

func (s *supervisor) run(ctx context.Context) error {
	for {
		killed, err := s.live(ctx)
		if err != nil || !killed {
			return err
		}
	}
}

// live runs one worker to its end: killed as planned, or done.
func (s *supervisor) live(ctx context.Context) (killed bool, err error) {
	l, err := s.start()
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, l.process.kill)()
	var (
		next  *kill
		armed bool
		fire  <-chan time.Time // time for a kill
		hit   <-chan struct{}  // a commit is held
	)
	if s.seen.kills < len(s.plan) {
		next = &s.plan[s.seen.kills]
	}
	for {
		select {
		case e, ok := <-l.process.events:
			if !ok {
				return false, s.ended(ctx, l)
			}
			s.take(l, e)
			switch {
			case next == nil || !l.running:
			case armed:
				if next.at == whileCommitting && e.Kind == eventSaving && fire == nil {
					fire = time.After(next.delay)
				}
			case l.sequence >= next.after && s.seen.checkpoints > 0:
				armed = true
				switch next.at {
				case atAnyTime:
					fire = time.After(next.delay)
				case beforeCommit, afterCommit:
					hit = s.cloud.door.hold(next.at)
				}
			}
		case <-fire:
			return s.kill(ctx, l, next)
		case <-hit:
			return s.kill(ctx, l, next)
		}
	}
}

func (s *supervisor) start() (*life, error) {
	s.current++
	a := s.job
	a.Worker, a.Dir = s.current, filepath.Join(s.dir, fmt.Sprintf("worker-%d", s.current))
	if err := os.Mkdir(a.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start worker %d: %w", s.current, err)
	}
	l := &life{}
	if s.cloud != nil {
		s.cloud.door.serves(s.current)
		l.fetches = s.cloud.Metadata().Stats().TokenRequests
	}
	var err error
	l.process, err = startProcess(s.args, s.env, a)
	return l, err
}

// kill ends the worker and closes its account. It was not killed if it had finished before.
func (s *supervisor) kill(ctx context.Context, l *life, k *kill) (killed bool, err error) {
	l.process.kill()
	_ = l.process.wait(func(e event) { s.take(l, e) }) // that it was killed is no news
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case l.failure != nil:
		return false, l.failure
	}
	s.account(l)
	if l.finished {
		return false, nil
	}
	s.seen.kills++
	if k.at != atAnyTime {
		s.seen.commitKills++
	}
	s.screen.killed(s.current, l.sequence, k.at)
	return true, nil
}

// ended is for a worker that was not killed by plan.
func (s *supervisor) ended(ctx context.Context, l *life) error {
	err := l.process.wait(nil)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case l.failure != nil:
		return l.failure
	case err != nil:
		return fmt.Errorf("worker %d: %w", s.current, err)
	case !l.finished:
		return fmt.Errorf("worker %d ended without having finished", s.current)
	}
	s.account(l)
	return nil
}

// account adds up what a worker cost that has ended.
func (s *supervisor) account(l *life) {
	s.seen.clients += l.clients
	if s.cloud == nil {
		return
	}
	lives := s.cloud.door.lives(s.current)
	fetches := int(s.cloud.Metadata().Stats().TokenRequests - l.fetches)
	s.seen.lives += lives
	if lives > 0 {
		s.seen.mostFetches = max(s.seen.mostFetches, (fetches+lives-1)/lives)
	}
}

// take learns from an event.
func (s *supervisor) take(l *life, e event) {
	l.clients = max(l.clients, e.Clients)
	l.sequence = max(l.sequence, e.Sequence)
	switch e.Kind {
	case eventRunning:
		l.running = true
		l.failure = s.restored(l, e)
	case eventCommitted:
		s.committed(e)
	case eventDone:
		l.finished = true
		s.seen.summary = e.Summary
		s.screen.finished(e)
	case eventFailed:
		l.failure = e.Failure.asError()
	}
	s.seen.done = max(s.seen.done, l.sequence)
}

func (s *supervisor) restored(l *life, e event) error {
	s.seen.credentials = e.Credentials
	switch {
	case e.Checkpoint < s.seen.last:
		return fmt.Errorf("worker %d restored checkpoint %d, but %d was committed: it is lost", s.current, e.Checkpoint, s.seen.last)
	case e.Checkpoint == 0:
		s.screen.started(s.current, l.process.pid())
		return nil
	}
	s.seen.restores++
	// A commit whose reply the killed worker did not get shows only now.
	unknown := e.Checkpoint > s.seen.last
	if unknown {
		s.count(e)
	}
	again := s.seen.done - min(s.seen.done, e.Sequence)
	s.seen.replayed += again
	s.screen.restored(s.current, e, again, unknown)
	return nil
}

func (s *supervisor) committed(e event) {
	s.count(e)
	s.screen.committed(e)
}

func (s *supervisor) count(e event) {
	s.seen.last = e.Checkpoint
	s.seen.checkpoints++
	s.seen.bytes += e.Bytes
	s.seen.newBytes += e.NewBytes
	s.seen.storedBytes += e.StoredBytes
}
