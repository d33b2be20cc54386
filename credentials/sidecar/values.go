package sidecar

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tidemark-go/tidemark/credentials"
)

const (
	// maxKnown and maxKept bound what is remembered of values: 256 × 16 KiB is 4 MiB at most. All that there is to
	// remember of a machine is a few dozen answers of some hundred bytes.
	maxKnown = 256
	maxKept  = 16 << 10

	// maxAsking bounds the requests for values that are under way upstream, each of which may bring 1 MiB.
	maxAsking = 12

	// attemptTime bounds one of them: a value takes the server a millisecond.
	attemptTime = 2 * time.Second

	// staleWait is how long a client waits for a new answer while there is an old one.
	staleWait = time.Second

	// calm is how long after a failure an old answer is served without asking.
	calm = 5 * time.Second
)

// values asks the upstream for what is not a token, and remembers what can be.
type values struct {
	up       *upstream
	asking   chan struct{}
	waiting  slots
	patience time.Duration
	count    *counters
	ctx      context.Context
	work     *sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	held    *simplelru.LRU[string, *value]
	flights map[string]*flight
}

// value is an answer that is remembered.
type value struct {
	answer *answer
	until  time.Time // zero: for ever
	calm   time.Time // after a failure: serve the old answer until then
}

// flight is a question under way, on behalf of all who ask the same.
type flight struct {
	done   chan struct{}
	answer *answer
	err    error
}

func newValues(ctx context.Context, work *sync.WaitGroup, up *upstream, waiting slots, patience time.Duration, count *counters) *values {
	held, err := simplelru.NewLRU[string, *value](maxKnown, nil)
	if err != nil {
		panic(err) // the size is a constant above zero
	}
	return &values{
		up: up, asking: make(chan struct{}, maxAsking), waiting: waiting, patience: patience, count: count, ctx: ctx, work: work,
		held: held, flights: make(map[string]*flight),
	}
}

// get answers from memory if it may, and from upstream otherwise.
func (v *values) get(ctx context.Context, path string, query url.Values) (*answer, error) {
	c := constancyOf(path, query)
	if c == live {
		return v.pass(ctx, path, query.Encode())
	}
	key := path + "?" + query.Encode()
	now := time.Now()
	v.mu.Lock()
	old, _ := v.held.Get(key)
	if old != nil && (old.until.IsZero() || now.Before(old.until)) {
		v.mu.Unlock()
		return old.answer, nil
	}
	if old != nil && old.answer.status >= http.StatusBadRequest {
		old = nil // what was missing may be there by now
	}
	if old != nil && now.Before(old.calm) {
		v.mu.Unlock()
		v.count.stale.Add(1)
		return old.answer, nil
	}
	f := v.flights[key]
	switch {
	case f != nil:
		v.count.joined.Add(1)
	case v.closed:
		v.mu.Unlock()
		return nil, credentials.ErrClosed
	default:
		f = &flight{done: make(chan struct{})}
		v.flights[key] = f
		v.work.Go(func() { v.fly(f, key, path, query.Encode(), c) })
	}
	v.mu.Unlock()
	return v.wait(ctx, f, old)
}

// close refuses new flights; the end of ctx ends those under way.
func (v *values) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
}

// wait is one client's part in a flight. It leaves with the old answer, if there is one, rather than with none.
func (v *values) wait(ctx context.Context, f *flight, old *value) (*answer, error) {
	if !v.waiting.take() {
		if old != nil {
			v.count.stale.Add(1)
			return old.answer, nil
		}
		return nil, errBusy
	}
	defer v.waiting.give()
	var late <-chan time.Time
	if old != nil {
		timer := time.NewTimer(staleWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-f.done:
		if f.err == nil || old == nil {
			return f.answer, f.err
		}
	case <-late:
	case <-ctx.Done():
		if old == nil {
			return nil, ctx.Err()
		}
	}
	v.count.stale.Add(1)
	return old.answer, nil
}

// fly asks until there is an answer or the patience is over: a pod's metadata server may not be there for its first seconds,
// and clients that come meanwhile share these attempts rather than one failure.
func (v *values) fly(f *flight, key, path, query string, c constancy) {
	ctx, cancel := context.WithTimeout(v.ctx, v.patience)
	defer cancel()
	for attempt := 0; ; attempt++ {
		f.answer, f.err = v.ask(ctx, path, query)
		if f.err == nil || !v.pause(ctx, attempt, f.err) {
			break
		}
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.flights, key)
	if f.err != nil {
		if old, ok := v.held.Peek(key); ok {
			v.held.Add(key, &value{old.answer, old.until, now.Add(calm)})
		}
	} else if until, keep := c.until(f.answer, now); keep {
		v.held.Add(key, &value{answer: f.answer, until: until})
	}
	close(f.done)
}

// pause sleeps before the next attempt, by full jitter or as long as the server says, and reports whether there is to be one.
func (v *values) pause(ctx context.Context, attempt int, err error) bool {
	d := rand.N(min(100*time.Millisecond<<min(attempt, 10), time.Second))
	if e, ok := errors.AsType[*unavailable](err); ok {
		d = max(d, e.retryAfter)
	}
	if end, ok := ctx.Deadline(); ctx.Err() != nil || ok && time.Until(end) < d {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// ask is one attempt, and waits for its turn among them.
func (v *values) ask(ctx context.Context, path, query string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	select {
	case v.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, &unavailable{host: v.up.host, reason: errors.New("too many requests to it are under way")}
	}
	defer func() { <-v.asking }()
	v.count.fetches.Add(1)
	a, err := v.up.ask(ctx, path, query)
	if err == nil && a.status == http.StatusOK && a.page() {
		return nil, &unavailable{host: v.up.host, reason: errors.New("it answered with a web page; is there a proxy in between?")}
	}
	return a, err
}

// pass asks for what may be another thing each time.
func (v *values) pass(ctx context.Context, path, query string) (*answer, error) {
	if !v.waiting.take() {
		return nil, errBusy
	}
	defer v.waiting.give()
	return v.ask(ctx, path, query)
}
