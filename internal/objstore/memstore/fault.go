package memstore

import (
	"context"
	"errors"
	"sync"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Op is one request, before it is carried out.
type Op struct {
	N      int    // the number of the request on this connection, from 1, since SetFault
	Method string // "get", "put", "range", "stat", "list" (each page), "dirs" (each page), "delete"
	Key    string // the prefix, for listings
	Cond   objstore.Version
	Size   int // of the body of a put
}

// Outcome is what becomes of a request. What is done and what is reported are independent of each other.
type Outcome struct {
	// Apply carries the request out.
	Apply bool
	// Err is what the caller is told instead of the result. An error that is no *objstore.Error is reported as KindUnavailable,
	// like a time-out. A request that is not applied and has no Err is a lost one: also KindUnavailable.
	Err error
	// Hang makes the caller wait until its context ends, after the request was applied or not.
	Hang bool
	// Stop kills the process that uses this connection: this request returns ErrStopped, applied or not, and so
	// does every later one without effect and without a call of the hook.
	Stop bool
	// Later is given a func that carries the request out whenever the test calls it, from the second call on without effect.
	// It returns what the store would have answered. The caller is told what Err and Hang say; Apply is ignored.
	Later func(apply func() error)
}

// OK carries a request out and reports what happened.
var OK = Outcome{Apply: true}

// ErrStopped is wrapped by the errors of a connection whose process is dead. It is not retryable.
var ErrStopped = errors.New("memstore: the process is dead")

var errLost = errors.New("memstore: the request or its reply was lost")

// SetFault lets hook decide every request on this connection, one at a time unless requests are concurrent. It starts
// the numbers again at 1 and revives a dead connection; a nil hook carries everything out.
func (s *Store) SetFault(hook func(Op) Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.n, s.dead = hook, 0, false
}

// Requests is how many requests there were on this connection since SetFault, those of a dead process not counted.
func (s *Store) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// admit numbers a request and returns the hook that decides it.
func (s *Store) admit(op *Op) (hook func(Op) Outcome, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return nil, true
	}
	s.n++
	op.N = s.n
	return s.fault, false
}

func (s *Store) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

// do sends one request: count it, ask for its fate, carry it out (or not), report (the truth or not).
func (s *Store) do(ctx context.Context, class objstore.Class, op Op, apply func() error) error {
	if ctx.Err() != nil {
		return objstore.ContextError(ctx, op.Method, op.Key)
	}
	if err := checkKey(op); err != nil {
		return err
	}
	hook, dead := s.admit(&op)
	if dead {
		return failed(op, objstore.KindUnknown, ErrStopped)
	}
	objstore.Count(ctx, class)
	o := OK
	if hook != nil {
		o = hook(op)
	}
	if op.Method == "put" && (o.Later != nil || o.Apply && (o.Err != nil || o.Hang || o.Stop)) {
		s.space.excuse(op.Key)
	}
	var err error
	switch {
	case o.Later != nil:
		o.Later(sync.OnceValue(apply))
	case o.Apply:
		err = apply()
	}
	switch {
	case o.Stop:
		s.kill()
		return failed(op, objstore.KindUnknown, ErrStopped)
	case o.Hang:
		<-ctx.Done()
		return objstore.ContextError(ctx, op.Method, op.Key)
	case o.Err != nil:
		return report(op, o.Err)
	case o.Later != nil || !o.Apply:
		return failed(op, objstore.KindUnavailable, errLost)
	}
	return err
}

func report(op Op, err error) error {
	var e *objstore.Error
	if errors.As(err, &e) {
		return err
	}
	return failed(op, objstore.KindUnavailable, err)
}

func checkKey(op Op) error {
	if op.Method == "list" || op.Method == "dirs" {
		return objstore.CheckPrefix(op.Method, op.Key)
	}
	return objstore.CheckKey(op.Method, op.Key)
}
