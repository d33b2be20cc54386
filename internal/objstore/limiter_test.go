package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// slowStore answers as a service would: answer decides how long each request takes, by how many are under way, and what it is told. Of what is
// put it keeps the names.
type slowStore struct {
	objstore.Store
	answer func(busy int, op memstore.Op) (time.Duration, error)

	mu            sync.Mutex
	keys          map[string]bool
	busy, busiest int
	requests      int
}

func newSlowStore(answer func(busy int, op memstore.Op) (time.Duration, error)) *slowStore {
	return &slowStore{Store: memstore.New(), answer: answer, keys: map[string]bool{}}
}

func (s *slowStore) do(op memstore.Op) error {
	s.mu.Lock()
	s.busy++
	s.requests++
	s.busiest = max(s.busiest, s.busy)
	took, err := s.answer(s.busy, op)
	s.mu.Unlock()
	time.Sleep(took) // in a bubble
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	if op.Method == "put" && err == nil {
		s.keys[op.Key] = true
	}
	return err
}

func (s *slowStore) Put(_ context.Context, key string, body []byte, _ objstore.Version) (objstore.Version, error) {
	return "1", s.do(memstore.Op{Method: "put", Key: key, Size: len(body)})
}

func (s *slowStore) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if err := s.do(memstore.Op{Method: "stat", Key: key}); err != nil {
		return objstore.Info{}, err
	}
	return s.Store.Stat(ctx, key)
}

func (s *slowStore) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := s.do(memstore.Op{Method: "list", Key: prefix}); err != nil {
			yield(objstore.Info{}, err)
		}
	}
}

func (s *slowStore) take() (requests, busiest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, busiest = s.requests, s.busiest
	s.requests, s.busiest = 0, s.busy
	return requests, busiest
}

// work has n callers create objects of this size until stop says so, and reports how many were created.
func work(t *testing.T, r *objstore.Retrying, n, size int, stop func() bool) (done func() int) {
	body := make([]byte, size)
	var mu sync.Mutex
	created := 0
	var workers sync.WaitGroup
	for i := range n {
		workers.Go(func() {
			for k := 0; !stop(); k++ {
				if err := r.Create(t.Context(), fmt.Sprintf("w%d/%d", i, k), body); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				created++
				mu.Unlock()
			}
		})
	}
	return func() int {
		workers.Wait()
		return created
	}
}

func throttled(after time.Duration) error {
	return &objstore.Error{Kind: objstore.KindThrottled, Op: "put", RetryAfter: after}
}

const large = 1 << 20

func TestConcurrencyGrowsWhereItHelps(t *testing.T) {
	for name, c := range map[string]struct {
		took func(busy int) time.Duration
		size int
		want [2]int // of the limit, in the end
	}{
		"a store that takes everything":    {func(int) time.Duration { return 100 * time.Millisecond }, large, [2]int{16, 16}},
		"the same for small objects":       {func(int) time.Duration { return 20 * time.Millisecond }, 10, [2]int{16, 16}},
		"a link that is full with four":    {func(busy int) time.Duration { return time.Duration(max(busy, 4)) * 25 * time.Millisecond }, large, [2]int{5, 9}},
		"a server that is busy with four":  {func(busy int) time.Duration { return time.Duration(max(busy, 4)) * 5 * time.Millisecond }, 10, [2]int{5, 9}},
		"a link that is full from the one": {func(busy int) time.Duration { return time.Duration(busy) * 25 * time.Millisecond }, large, [2]int{4, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSlowStore(func(busy int, _ memstore.Op) (time.Duration, error) { return c.took(busy), nil })
				r := objstore.NewRetrying(s, nil)
				if r.Concurrency() != 4 || r.MaxConcurrency() != 16 {
					t.Fatalf("starts at %d of %d", r.Concurrency(), r.MaxConcurrency())
				}
				end := time.Now().Add(time.Minute)
				work(t, r, 40, c.size, func() bool { return time.Now().After(end) })()
				if got := r.Concurrency(); got < c.want[0] || got > c.want[1] {
					t.Errorf("%d requests at once after a minute, want %v", got, c.want)
				}
				if _, busiest := s.take(); busiest > 17 {
					t.Errorf("%d requests were under way, want at most 16 and the one that is spare", busiest)
				}
			})
		})
	}
}

// TestIdleCallersGrowNothing: three callers never need more than three.
func TestIdleCallersGrowNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) { return 10 * time.Millisecond, nil })
		r := objstore.NewRetrying(s, nil)
		end := time.Now().Add(10 * time.Second)
		work(t, r, 3, large, func() bool { return time.Now().After(end) })()
		if r.Concurrency() != 4 {
			t.Errorf("%d", r.Concurrency())
		}
	})
}

// TestAMinuteOfThrottling: nothing is lost, the store is left alone meanwhile, and the speed from before comes back.
func TestAMinuteOfThrottling(t *testing.T) {
	for name, refusal := range map[string]error{
		"429":                        throttled(0),
		"429 with Retry-After":       throttled(5 * time.Second),
		"503":                        &objstore.Error{Kind: objstore.KindUnavailable, Op: "put", Status: 503},
		"503 that says when to come": &objstore.Error{Kind: objstore.KindUnavailable, Op: "put", Status: 503, RetryAfter: 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				bad := func() bool {
					at := time.Since(start)
					return at >= time.Minute && at < 2*time.Minute
				}
				s := newSlowStore(func(int, memstore.Op) (time.Duration, error) {
					if bad() {
						return 10 * time.Millisecond, refusal
					}
					return 100 * time.Millisecond, nil
				})
				r := objstore.NewRetrying(s, &objstore.RetryOptions{MaxElapsed: 5 * time.Minute})
				done := work(t, r, 16, large, func() bool { return time.Since(start) > 4*time.Minute })
				time.Sleep(time.Minute)
				before, _ := s.take()
				if r.Concurrency() != 16 {
					t.Errorf("%d at once before", r.Concurrency())
				}
				time.Sleep(time.Minute)
				during, _ := s.take()
				low := r.Concurrency()
				time.Sleep(time.Minute)
				s.take()
				time.Sleep(time.Minute)
				after, _ := s.take()
				if created := done(); created != len(s.keys) || created == 0 {
					t.Errorf("%d of %d objects are there", len(s.keys), created)
				}
				if low != 1 {
					t.Errorf("%d at once after a minute of refusals", low)
				}
				// 16 callers, each of which waits longer from try to try, up to ten seconds: about 280, by chance more or less. Without waiting they
				// would be thousands.
				if during > 500 {
					t.Errorf("%d requests in the minute, %d in the one before", during, before)
				}
				if after < before*9/10 {
					t.Errorf("%d requests a minute after it recovered, %d before", after, before)
				}
			})
		})
	}
}

// TestRetryAfterHoldsForAll: who was not refused himself waits too, and so does a listing.
func TestRetryAfterHoldsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var early []string
		s := newSlowStore(func(_ int, op memstore.Op) (time.Duration, error) {
			at := time.Since(start)
			if at == 0 {
				return 0, throttled(20 * time.Second)
			}
			if at < 20*time.Second {
				early = append(early, fmt.Sprint(op.Method, " at ", at))
			}
			return 0, nil
		})
		r := objstore.NewRetrying(s, nil)
		var all sync.WaitGroup
		all.Go(func() { _ = r.Create(t.Context(), "first", nil) })
		synctest.Wait()
		time.Sleep(time.Second)
		all.Go(func() { _ = r.Create(t.Context(), "second", nil) })
		all.Go(func() { _, _ = r.Swap(t.Context(), "HEAD", nil, objstore.Absent) })
		all.Go(func() { _, _ = r.Stat(t.Context(), "x") })
		all.Go(func() {
			for _, err := range r.List(t.Context(), "") {
				if err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		if len(early) > 0 {
			t.Errorf("sent in the time that the store asked for: %q", early)
		}
		if requests, _ := s.take(); requests != 6 {
			t.Errorf("%d requests, want 6", requests)
		}
	})
}

// TestAbsurdRetryAfter: nobody waits longer than his patience, and nothing is sent meanwhile.
func TestAbsurdRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) { return 0, throttled(time.Hour) })
		r := objstore.NewRetrying(s, nil)
		start := time.Now()
		for range 3 {
			if _, err := r.Stat(t.Context(), "k"); objstore.KindOf(err) != objstore.KindThrottled {
				t.Error(err)
			}
		}
		if requests, _ := s.take(); requests != 1 || time.Since(start) != 0 {
			t.Errorf("%d requests in %s", requests, time.Since(start))
		}
	})
}

// TestHalvedOncePerRound: sixteen refusals of requests that were under way together are one piece of news.
func TestHalvedOncePerRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := false
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) {
			if refuse {
				return 100 * time.Millisecond, throttled(0)
			}
			return 100 * time.Millisecond, nil
		})
		r := objstore.NewRetrying(s, &objstore.RetryOptions{Concurrency: 16, MaxElapsed: -1})
		refuse = true
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				if err := r.Create(t.Context(), fmt.Sprint(i), make([]byte, large)); objstore.KindOf(err) != objstore.KindThrottled {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if r.Concurrency() != 8 {
			t.Errorf("%d after one round of refusals at 16", r.Concurrency())
		}
	})
}

// TestCommitsAreNotStarved: packs hold all slots for a minute each, and more of them wait.
func TestCommitsAreNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore(func(_ int, op memstore.Op) (time.Duration, error) {
			if op.Size >= large {
				return time.Minute, nil
			}
			return 50 * time.Millisecond, nil
		})
		r := objstore.NewRetrying(s, nil)
		start := time.Now()
		done := work(t, r, 20, large, func() bool { return time.Since(start) > 10*time.Minute })
		for range 10 {
			time.Sleep(10 * time.Second)
			var all sync.WaitGroup
			at := time.Now()
			for i := range 10 {
				all.Go(func() {
					if _, err := r.Stat(t.Context(), fmt.Sprint("none", i)); objstore.KindOf(err) != objstore.KindNotFound {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			if _, err := r.Swap(t.Context(), "HEAD", nil, objstore.Absent); err != nil {
				t.Error(err)
			}
			if took := time.Since(at); took > 150*time.Millisecond {
				t.Errorf("a commit took %s behind packs, and ten small requests before it", took)
			}
			all.Wait()
			if took := time.Since(at); took > time.Second {
				t.Errorf("ten small requests took %s", took)
			}
		}
		done()
	})
}

// TestPacksAreNotStarved: a flood of small requests leaves the packs their turn.
func TestPacksAreNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) { return 50 * time.Millisecond, nil })
		r := objstore.NewRetrying(s, nil)
		start := time.Now()
		done := work(t, r, 200, 10, func() bool { return time.Since(start) > time.Minute })
		synctest.Wait()
		time.Sleep(time.Second)
		at := time.Now()
		if err := r.Create(t.Context(), "pack", make([]byte, large)); err != nil {
			t.Error(err)
		}
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("a pack took %s behind small requests", took)
		}
		done()
	})
}

// TestCancelledWaitersLeaveNothing: neither a slot nor a place in the queue.
func TestCancelledWaitersLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) { return time.Second, nil })
		r := objstore.NewRetrying(s, &objstore.RetryOptions{Concurrency: 2})
		because := errors.New("the save was given up")
		for range 20 {
			ctx, cancel := context.WithCancelCause(t.Context())
			var all sync.WaitGroup
			for i := range 10 {
				all.Go(func() {
					if err := r.Create(ctx, fmt.Sprint("c", i), make([]byte, large)); err != nil && !errors.Is(err, because) {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			cancel(because)
			all.Wait()
		}
		s.take()
		if err := r.Create(t.Context(), "last", make([]byte, large)); err != nil {
			t.Error(err)
		}
		if _, busiest := s.take(); busiest != 1 {
			t.Errorf("%d under way", busiest)
		}
	})
}

// TestCancelledInAPauseLeavesNothing: who gives up while the store wants quiet gives his slot back.
func TestCancelledInAPauseLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) {
			if time.Since(start) == 0 {
				return 0, throttled(time.Minute)
			}
			return time.Second, nil
		})
		r := objstore.NewRetrying(s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { _ = r.Create(ctx, fmt.Sprint("c", i), make([]byte, large)) })
		}
		synctest.Wait()
		time.Sleep(time.Second)
		cancel()
		all.Wait()
		time.Sleep(time.Minute)
		if err := r.Create(t.Context(), "later", make([]byte, large)); err != nil || time.Since(start) > 63*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// TestSlowAfterThrottling: a store that answers more slowly than it used to is still given what it was given at first.
func TestSlowAfterThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newSlowStore(func(int, memstore.Op) (time.Duration, error) {
			switch at := time.Since(start); {
			case at < 10*time.Second:
				return 10 * time.Millisecond, nil
			case at < 20*time.Second:
				return 10 * time.Millisecond, throttled(0)
			}
			return 100 * time.Millisecond, nil
		})
		r := objstore.NewRetrying(s, nil)
		work(t, r, 20, large, func() bool { return time.Since(start) > time.Minute })()
		if r.Concurrency() != 4 {
			t.Errorf("%d at once", r.Concurrency())
		}
	})
}
