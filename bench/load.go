package bench

import (
	"context"
	"sync"
	"time"
)

// load is callers who ask for a token again and again, as requests of a job do.
type load struct {
	callers  int
	every    time.Duration // a caller asks this long after it last began to ask, or at once if that took longer
	deadline time.Duration // of each call
}

// start runs the load until stop is called; stop waits for the calls under way, which end with ctx as far as the library
// lets them.
func (l load) start(ctx context.Context, c Client, t *tally) (stop func()) {
	done := make(chan struct{})
	var callers sync.WaitGroup
	for i := range l.callers {
		callers.Go(func() {
			// Spread over the interval, or all would come in one burst each time.
			next := time.NewTimer(l.every * time.Duration(i) / time.Duration(l.callers))
			defer next.Stop()
			for {
				select {
				case <-done:
					return
				case <-next.C:
				}
				began := time.Now()
				call(ctx, c, t, l.deadline, l.every)
				next.Reset(max(l.every-time.Since(began), 0))
			}
		})
	}
	return func() {
		close(done)
		callers.Wait()
	}
}

// call is one call with a deadline of its own.
func call(ctx context.Context, c Client, t *tally, deadline, every time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	s := t.begin(every)
	began := time.Now() // once more: taking notes is not the cache's time
	token, err := c.Token(ctx)
	t.end(s, sample{began: began, ended: time.Now(), every: every, err: err}, token)
}

// awaits polls until ok or the end of ctx or of the time allowed, and reports whether ok came. What it awaits is seconds
// away, and others note the time at which it came.
func awaits(ctx context.Context, allowed time.Duration, ok func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(allowed)
	defer over.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return ok()
		case <-tick.C:
		}
	}
	return true
}

// pause waits for d unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	awaits(ctx, d, func() bool { return false })
}
