package objstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// limiter bounds how many requests of one store are under way, and finds out how many the store takes: one more after each round in which all
// were answered, half as many when it throttles ("additive increase, multiplicative decrease"), never more than most. Answers that
// take twice as long as they used to end the growth and take it back, down to start and not below: time alone is no proof.
//
// Requests wait in the order in which they came, except that a write of HEAD goes first, and that one slot beyond the limit is for
// requests without a large body: packs that are uploaded for minutes must not make a commit wait, nor a listing.
type limiter struct {
	start, most int
	patience    time.Duration // a pause that is longer is refused at once

	mu      sync.Mutex
	limit   int
	used    int
	spare   bool // the slot beyond the limit is in use
	queue   []*waiter
	until   time.Time // the store asked for no request before
	lowered time.Time
	round   round
	// floor is, by "has a large body", how many seconds a request, or a byte, took when it took least; floorAt is when that was looked for last.
	floor   [2]float64
	floorAt time.Time
}

// round is what happened since the limit was last looked at.
type round struct {
	answers int
	slow    float64    // sum of how many times longer than floor answers took
	time    [2]float64 // sums, as in floor
	n       [2]int
}

const (
	// mostFactor times the concurrency that was asked for is as far as it grows: memory and connections are sized for that.
	mostFactor = 4
	// largeBody is what takes longer to send than to ask for on the links that there are.
	largeBody = 256 << 10
	// Times vary by half from one round to the next on a healthy store; twice the time for twice the requests means that nothing is won.
	growBelow, shrinkAbove = 1.5, 2.0
	// floorAge is when the floor is forgotten, and found again at the concurrency of the start: the path may have become another.
	floorAge = 5 * time.Minute
)

type priority uint8

const (
	bulk   priority = iota // has a large body
	small                  // has none
	urgent                 // somebody's commit
)

func priorityOf(size int64) priority {
	if size > largeBody {
		return bulk
	}
	return small
}

type waiter struct {
	priority priority
	granted  bool
	spare    bool
	ready    chan struct{}
}

// slot is the right to have one request under way.
type slot struct {
	l       *limiter
	w       *waiter
	size    int64
	started time.Time
}

func newLimiter(start int, patience time.Duration) *limiter {
	return &limiter{start: start, most: mostFactor * start, limit: start, patience: patience, floorAt: time.Now()}
}

// acquire waits for a slot and for the end of a pause that the store asked for. Its error is a *Error.
func (l *limiter) acquire(ctx context.Context, op, key string, size int64, p priority) (*slot, error) {
	w := l.enter(p)
	select {
	case <-w.ready:
	case <-ctx.Done():
		l.abandon(w)
		return nil, ContextError(ctx, op, key)
	}
	if err := l.pause(ctx, op, key); err != nil {
		l.abandon(w)
		return nil, err
	}
	return &slot{l, w, size, time.Now()}, nil
}

func (l *limiter) enter(p priority) *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &waiter{priority: p, ready: make(chan struct{})}
	at := len(l.queue)
	if p == urgent {
		at = 0
		for at < len(l.queue) && l.queue[at].priority == urgent {
			at++
		}
	}
	l.queue = slices.Insert(l.queue, at, w)
	l.dispatch()
	return w
}

// dispatch gives out what is free. The caller holds the lock.
func (l *limiter) dispatch() {
	for len(l.queue) > 0 {
		at, spare := 0, false
		if l.used >= l.limit {
			if l.spare {
				return
			}
			spare = true
			if at = slices.IndexFunc(l.queue, func(w *waiter) bool { return w.priority != bulk }); at < 0 {
				return
			}
		}
		w := l.queue[at]
		l.queue = slices.Delete(l.queue, at, at+1)
		w.granted, w.spare = true, spare
		if spare {
			l.spare = true
		} else {
			l.used++
		}
		close(w.ready)
	}
}

// abandon takes a waiter out, and its slot back if it was given one this moment.
func (l *limiter) abandon(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.granted {
		l.leave(w)
		return
	}
	l.queue = slices.DeleteFunc(l.queue, func(other *waiter) bool { return other == w })
}

func (l *limiter) leave(w *waiter) {
	if w.spare {
		l.spare = false
	} else {
		l.used--
	}
	l.dispatch()
}

// pause waits as long as the store asked all its clients to, whoever of us it told.
func (l *limiter) pause(ctx context.Context, op, key string) error {
	for {
		l.mu.Lock()
		wait := time.Until(l.until)
		l.mu.Unlock()
		switch {
		case wait <= 0:
			return nil
		case wait > l.patience:
			return &Error{Kind: KindThrottled, Op: op, Key: key, RetryAfter: wait,
				Err: fmt.Errorf("not sent: the store asked for no requests within the next %s", wait.Round(time.Second))}
		}
		if sleep(ctx, wait) != nil {
			return ContextError(ctx, op, key)
		}
	}
}

// release ends a request with what the store said of it.
func (s *slot) release(err error) {
	l, now := s.l, time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.throttle(err, s.started, now)
	// What was never in short supply proves nothing about more of it.
	if err == nil && s.w.priority != urgent && (len(l.queue) > 0 || l.used >= l.limit) {
		l.answered(now, s)
	}
	l.leave(s.w)
}

// observe is release for a request that has no slot.
func (l *limiter) observe(err error, started time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.throttle(err, started, time.Now())
}

// throttle halves the limit if err says so, once for all requests that were under way together.
func (l *limiter) throttle(err error, started, now time.Time) {
	var e *Error
	if !errors.As(err, &e) || !e.overloaded() {
		return
	}
	if until := now.Add(e.RetryAfter); e.RetryAfter > 0 && until.After(l.until) {
		l.until = until
	}
	if l.lowered.IsZero() || started.After(l.lowered) {
		l.limit, l.lowered, l.round = max(1, l.limit/2), now, round{}
	}
}

func (l *limiter) answered(now time.Time, s *slot) {
	kind, t := 0, now.Sub(s.started).Seconds()
	if s.w.priority == bulk {
		kind, t = 1, t/float64(s.size)
	}
	r := &l.round
	r.answers++
	r.n[kind]++
	r.time[kind] += t
	if l.floor[kind] > 0 {
		r.slow += t / l.floor[kind]
	} else {
		r.slow++
	}
	if r.answers < l.limit {
		return
	}
	switch slow := r.slow / float64(r.answers); {
	case l.limit < l.start || slow < growBelow:
		l.limit = min(l.limit+1, l.most)
	case slow > shrinkAbove && l.limit > l.start:
		l.limit--
	}
	for kind, n := range r.n {
		if n == 0 {
			continue
		}
		mean := r.time[kind] / float64(n)
		if l.floor[kind] == 0 || mean < l.floor[kind] {
			l.floor[kind] = mean
		}
	}
	l.round = round{}
	if now.Sub(l.floorAt) > floorAge {
		l.floor, l.floorAt, l.limit = [2]float64{}, now, min(l.limit, l.start)
	}
}

// now is the limit of this moment.
func (l *limiter) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}
