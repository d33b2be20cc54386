package objstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Retrying is the one retry layer above a Store: what it returns is final. It holds no lock across a request. It also bounds how many requests are
// under way, all callers together, and adapts to what the store takes: see Concurrency. It has no Put, because a conditional write that was sent twice needs an owner for its outcome: Create settles it
// for immutable objects, the caller of Swap settles it itself.
type Retrying struct {
	s                   Store
	maxElapsed, attempt time.Duration
	slots               *limiter
}

// NewRetrying wraps s.
func NewRetrying(s Store, o *RetryOptions) *Retrying {
	if o == nil {
		o = &RetryOptions{}
	}
	r := &Retrying{s: s, maxElapsed: cmp.Or(o.MaxElapsed, defaultMaxElapsed), attempt: cmp.Or(o.Attempt, defaultAttempt)}
	r.slots = newLimiter(cmp.Or(max(o.Concurrency, 0), defaultConcurrency), max(r.maxElapsed, 0))
	return r
}

// Concurrency is how many requests may be under way at the moment. It starts at RetryOptions.Concurrency, grows up to four times that while
// there are more to send and the store answers as fast as before, and is halved when it throttles.
func (r *Retrying) Concurrency() int { return r.slots.now() }

// MaxConcurrency is what Concurrency may grow to: more callers at once only wait.
func (r *Retrying) MaxConcurrency() int { return r.slots.most }

// Traits are the Store's.
func (r *Retrying) Traits() Traits { return r.s.Traits() }

// String names the Store.
func (r *Retrying) String() string { return r.s.String() }

// Close closes the Store.
func (r *Retrying) Close() error { return r.s.Close() }

var errStalled = errors.New("no answer in time")

// once runs one try in its slot and under its own deadline, which allows for size bytes on a slow link.
func (r *Retrying) once(ctx context.Context, s *slot, try func(context.Context) error) (err error) {
	defer func() { s.release(err) }()
	d := r.attempt + time.Duration(max(s.size, 0)/slowestLink)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("%w (%s)", errStalled, d))
	defer cancel()
	return try(ctx)
}

func (r *Retrying) do(ctx context.Context, op, key string, size int64, try func(context.Context) error) error {
	return r.doAs(ctx, priorityOf(size), op, key, size, try)
}

func (r *Retrying) doAs(ctx context.Context, p priority, op, key string, size int64, try func(context.Context) error) error {
	if ctx.Err() != nil {
		return ContextError(ctx, op, key)
	}
	for s := r.newSeries(); ; {
		slot, err := r.slots.acquire(ctx, op, key, size, p)
		if err == nil {
			s.begin() // the wait for the first slot is our own doing, and no lack of patience with the store
			err = r.once(ctx, slot, try)
		}
		if err == nil {
			return nil
		}
		if err := s.again(ctx, err); err != nil {
			return err
		}
	}
}

// largestWhole bounds what a limit adds to the deadline of a Get: callers may set it far above what they expect, and larger
// objects are read by range.
const largestWhole = 64 << 20

// Get is Store.Get.
func (r *Retrying) Get(ctx context.Context, key string, limit int64) ([]byte, Version, error) {
	var body []byte
	var version Version
	// What is read whole is small, whatever the limit: HEAD, manifests.
	err := r.doAs(ctx, small, "get", key, min(limit, largestWhole), onceMore(func(ctx context.Context) (err error) {
		body, version, err = r.s.Get(ctx, key, limit)
		return err
	}))
	if err != nil {
		return nil, Absent, err
	}
	return body, version, nil
}

// ReadRange is Store.ReadRange.
func (r *Retrying) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	return r.do(ctx, "range", key, int64(len(p)), onceMore(func(ctx context.Context) error {
		return r.s.ReadRange(ctx, key, off, p)
	}))
}

// onceMore reads once more what is not what it has to be, before it is called corrupt: the first time it may have been damaged on the way.
func onceMore(read func(context.Context) error) func(context.Context) error {
	again := true
	return func(ctx context.Context) error {
		err := read(ctx)
		if kind := KindOf(err); (kind == KindCorrupt || kind == KindTooLarge) && again {
			again = false
			countRetry(ctx)
			err = read(ctx)
		}
		return err
	}
}

// Stat is Store.Stat.
func (r *Retrying) Stat(ctx context.Context, key string) (info Info, err error) {
	err = r.do(ctx, "stat", key, 0, func(ctx context.Context) (err error) {
		info, err = r.s.Stat(ctx, key)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// Delete is Store.Delete.
func (r *Retrying) Delete(ctx context.Context, key string) error {
	return r.do(ctx, "delete", key, 0, func(ctx context.Context) error { return r.s.Delete(ctx, key) })
}

// Swap is Store.Put, once: when the outcome is unknown (see Unknown), the caller reads the object to learn it.
func (r *Retrying) Swap(ctx context.Context, key string, body []byte, cond Version) (version Version, err error) {
	if ctx.Err() != nil {
		return Absent, ContextError(ctx, "put", key)
	}
	slot, err := r.slots.acquire(ctx, "put", key, int64(len(body)), urgent)
	if err != nil {
		return Absent, err
	}
	err = r.once(ctx, slot, func(ctx context.Context) (err error) {
		version, err = r.s.Put(ctx, key, body, cond)
		return err
	})
	if err != nil {
		return Absent, err
	}
	return version, nil
}

// resumer is implemented by a Store that can start a listing behind a key that it yielded before.
type resumer interface {
	ListAfter(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
}

// List is Store.List; after a failure it goes on behind the last key that it yielded, with fresh patience.
func (r *Retrying) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return resume(ctx, r, "list", prefix, func(i Info) string { return i.Key },
		func(ctx context.Context, after string) iter.Seq2[Info, error] {
			if s, ok := r.s.(resumer); ok && after != "" {
				return s.ListAfter(ctx, prefix, after)
			}
			return r.s.List(ctx, prefix)
		})
}

// Dirs is Store.Dirs; after a failure it skips what it yielded before.
func (r *Retrying) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return resume(ctx, r, "dirs", prefix, func(s string) string { return s },
		func(ctx context.Context, _ string) iter.Seq2[string, error] { return r.s.Dirs(ctx, prefix) })
}

func resume[T any](ctx context.Context, r *Retrying, op, prefix string, key func(T) string,
	open func(ctx context.Context, after string) iter.Seq2[T, error],
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if ctx.Err() != nil {
			yield(zero, ContextError(ctx, op, prefix))
			return
		}
		last := ""
		for s := r.newSeries(); ; {
			progress := func(item T) bool {
				last = key(item)
				s = r.newSeries()
				return yield(item, nil)
			}
			more, err := r.pass(ctx, op, prefix, func(ctx context.Context, step func(func() bool) bool) error {
				for item, err := range open(ctx, last) {
					if err != nil {
						return err
					}
					if key(item) > last && !step(func() bool { return progress(item) }) {
						return nil
					}
				}
				return nil
			})
			if !more || err == nil {
				return
			}
			if err := s.again(ctx, err); err != nil {
				yield(zero, err)
				return
			}
		}
	}
}

// pass runs one try of a listing. Its deadline covers the waits for the store only: the time that the consumer spends
// inside a step does not count. more is false when the consumer wants no more.
//
// It takes no slot: a consumer may send requests of its own inside a step, and a listing is one request at a time. But it waits when all
// wait, and its failures count.
func (r *Retrying) pass(ctx context.Context, op, prefix string,
	try func(ctx context.Context, step func(func() bool) bool) error,
) (more bool, err error) {
	if err := r.slots.pause(ctx, op, prefix); err != nil {
		return true, err
	}
	parent, started := ctx, time.Now()
	defer func() { r.slots.observe(err, started) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := fmt.Errorf("%w (%s)", errStalled, r.attempt)
	watchdog := time.AfterFunc(r.attempt, func() { cancel(stall) })
	defer watchdog.Stop()
	more = true
	err = try(ctx, func(consume func() bool) bool {
		watchdog.Stop()
		more = consume()
		watchdog.Reset(r.attempt)
		return more
	})
	if err != nil && parent.Err() == nil && errors.Is(context.Cause(ctx), errStalled) {
		err = &Error{Kind: KindUnavailable, Op: op, Key: prefix, Err: stall}
	}
	return more, err
}
