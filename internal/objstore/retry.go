package objstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// RetryOptions tune a Retrying; the zero value and nil are the defaults.
type RetryOptions struct {
	// MaxElapsed is how long after the first try a new one may still start; the default is two minutes: longer than
	// a rolling restart of anything between here and the store, shorter than what a job calls a lost checkpoint.
	// The context ends a call earlier. A negative value means one try only.
	MaxElapsed time.Duration
	// Attempt is the deadline of a request without a body; the default is 30 seconds, ten times the slowest
	// answer that a healthy store gives. Bodies have one more second for each 512 KiB, so that a stalled
	// connection is given up but a link of 4 Mbit/s still gets its pack through.
	Attempt time.Duration
	// Concurrency is how many requests may be under way at first, see Retrying.Concurrency; the default is four.
	Concurrency int
}

const (
	defaultMaxElapsed = 2 * time.Minute
	defaultAttempt    = 30 * time.Second
	slowestLink       = 512 << 10 // bytes a second

	defaultConcurrency = 4

	// The first wait is drawn from [0, firstBackoff), each next one from twice the span, up to maxBackoff.
	// 100 ms outlasts a dropped connection; ten seconds notices the end of an outage soon enough.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// A store that throttles counts by the second (GCS: one write a second per name).
	throttledBackoff = time.Second
)

// GaveUp is the final error of a call that was tried more than once, or whose context ended.
type GaveUp struct {
	Tries   int
	Elapsed time.Duration
	// Ended is the cause of the context's end; nil if Retrying itself lost patience or met an error that no retry mends.
	Ended error
	// Last is what the last try said, an *Error.
	Last error
}

func (e *GaveUp) Error() string {
	tries := "1 try"
	if e.Tries != 1 {
		tries = fmt.Sprintf("%d tries", e.Tries)
	}
	after := fmt.Sprintf("after %s in %s", tries, e.Elapsed.Round(time.Millisecond))
	if e.Ended != nil {
		return fmt.Sprintf("%v (stopped %s: %v)", e.Last, after, e.Ended)
	}
	return fmt.Sprintf("%v (gave up %s)", e.Last, after)
}

func (e *GaveUp) Unwrap() []error {
	if e.Ended != nil {
		return []error{e.Last, e.Ended}
	}
	return []error{e.Last}
}

// ContextError is the *Error of a call whose context has ended: it matches ctx.Err() and the context's cause. Running
// out of time is KindUnavailable, being told to stop is no statement about the store.
func ContextError(ctx context.Context, op, key string) error {
	err := ctx.Err()
	kind := KindUnknown
	if errors.Is(err, context.DeadlineExceeded) {
		kind = KindUnavailable
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &Error{Kind: kind, Op: op, Key: key, Err: err}
}

// series is one call with all its tries.
type series struct {
	r     *Retrying
	start time.Time // of the first try
	tries int
}

func (r *Retrying) newSeries() *series { return &series{r: r, start: time.Now()} }

// begin is called before a try.
func (s *series) begin() {
	if s.tries == 0 {
		s.start = time.Now()
	}
}

// again waits before the next try, or returns the final error. err is what the last try said.
func (s *series) again(ctx context.Context, err error) error {
	s.tries++
	if ctx.Err() != nil {
		return s.gaveUp(err, context.Cause(ctx))
	}
	if !Retryable(err) {
		if s.tries == 1 {
			return err
		}
		return s.gaveUp(err, nil)
	}
	wait := s.backoff(err)
	if time.Since(s.start)+wait > s.r.maxElapsed {
		return s.gaveUp(err, nil)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		countRetry(ctx)
		return nil
	case <-ctx.Done():
		return s.gaveUp(err, context.Cause(ctx))
	}
}

// backoff draws from the whole span ("full jitter"), so that clients that failed together do not return together.
func (s *series) backoff(err error) time.Duration {
	first := firstBackoff
	if KindOf(err) == KindThrottled {
		first = throttledBackoff
	}
	span := min(first<<min(s.tries-1, 20), maxBackoff)
	wait := rand.N(span)
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		wait += e.RetryAfter
	}
	return wait
}

func (s *series) gaveUp(last, ended error) error {
	return &GaveUp{Tries: s.tries, Elapsed: time.Since(s.start), Ended: ended, Last: last}
}
