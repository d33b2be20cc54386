package credentials

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
)

// Point 1: a fresh token costs no lock and no allocation, and is gone at its expiry without any call.
func TestHotGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, fails: func(nth int, _ time.Duration) error {
			if nth > 1 {
				return &Error{Kind: Unavailable, Err: errors.New("down")}
			}
			return nil
		}}
		c := New(s, nil)
		defer closing(t, c)
		first, _ := get(t, c)
		c.mu.Lock() // whoever needs the lock now, hangs
		if second, _ := get(t, c); second != first {
			t.Error("the second call brought another token")
		}
		c.mu.Unlock()
		if n := testing.AllocsPerRun(100, func() { _, _ = c.Get(t.Context()) }); n != 0 {
			t.Errorf("a hot Get allocates %v times", n)
		}
		time.Sleep(time.Until(first.Expiry()) - time.Second)
		synctest.Wait()
		if c.hot.Load() != nil || c.aging.Load() != nil {
			t.Error("the token is still published a second before its expiry")
		}
	})
}

// Point 2: while the token is valid, nobody waits for its successor.
func TestRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, renewBefore: 5 * time.Minute}
		c := New(s, nil)
		defer closing(t, c)
		if got := c.Stats().State; got != "expired" {
			t.Errorf("state before the first call: %s", got)
		}
		first, _ := get(t, c)
		if got := c.Stats().State; got != "fresh" {
			t.Errorf("state after the first call: %s", got)
		}
		s.latency = 5 * time.Second
		var stale bool
		for range 3600 {
			time.Sleep(time.Second)
			token, took := get(t, c)
			if took != 0 {
				t.Fatalf("a caller waited %v", took)
			}
			if left := time.Until(token.Expiry()); left < time.Second {
				t.Fatalf("served a token with %v left", left)
			}
			stale = stale || c.Stats().State == "stale"
		}
		second, _ := get(t, c)
		if second == first || s.fetches() != 2 {
			t.Errorf("same token: %v, fetches: %d, want a new one by 2 fetches", second == first, s.fetches())
		}
		if !stale || c.Stats().StaleServes == 0 {
			t.Error("the refresh of 5 s was not seen as the state stale")
		}
	})
}

// Point 3: a thousand callers, one fetch; who leaves does not take it away from the others.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, latency: 200 * time.Millisecond}
		c := New(s, nil)
		defer closing(t, c)
		leader, cancel := context.WithCancel(t.Context())
		led := make(chan error, 1)
		go func() {
			_, err := c.Get(leader)
			led <- err
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		var served, late atomic.Int32
		for i := range 1000 {
			wg.Go(func() {
				ctx, limit := t.Context(), 200*time.Millisecond
				if i%10 == 0 {
					limit = 100 * time.Millisecond
					short, cancel := context.WithTimeout(ctx, limit)
					defer cancel()
					ctx = short
				}
				began := time.Now()
				if _, err := c.Get(ctx); err == nil {
					served.Add(1)
				} else if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
					t.Errorf("Get: %v", err)
				}
				if time.Since(began) > limit {
					late.Add(1)
				}
			})
		}
		cancel()
		if err := <-led; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
		wg.Wait()
		if served.Load() != 900 || late.Load() != 0 || s.fetches() != 1 {
			t.Errorf("served %d of 900, %d late, %d fetches", served.Load(), late.Load(), s.fetches())
		}
		if got := c.Stats().Coalesced; got != 1000 {
			t.Errorf("coalesced %d of 1000", got)
		}
	})
}

// Point 3: when everybody has left, the attempt under way ends the matter.
func TestNobodyLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{fails: func(int, time.Duration) error { return &Error{Kind: Unavailable, Err: errors.New("down")} }}
		c := New(s, nil)
		defer closing(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("Get: %v", err)
		}
		time.Sleep(2 * time.Second)
		n := s.fetches()
		time.Sleep(time.Hour)
		if more := s.fetches() - n; more != 0 {
			t.Errorf("%d fetches for nobody", more)
		}
	})
}

// Point 8: the life counts from sending, and a suspended machine wakes up to the wall clock.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var suspended atomic.Int64
		wall := func() time.Time { return time.Now().Add(time.Duration(suspended.Load())) }
		s := &server{life: time.Hour, latency: 5 * time.Second}
		c := New(s, &Options{wall: wall})
		defer closing(t, c)
		sent := time.Now()
		first, _ := get(t, c)
		if first.deadline.Sub(sent) != time.Hour {
			t.Errorf("the life counts from %v after sending", first.deadline.Sub(sent)-time.Hour)
		}
		s.revoke()
		suspended.Store(int64(2 * time.Hour))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if c.hot.Load() != nil {
			t.Error("after a suspension past its expiry the token is still served")
		}
	})
}

// Point 11.
func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(&server{name: "a", life: time.Hour}, nil)
		defer closing(t, c)
		var source oauth2.TokenSource = c
		token, err := source.Token()
		if err != nil {
			t.Fatal(err)
		}
		if token.AccessToken != "a-token-1" || token.Type() != "Bearer" || !token.Expiry.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("got type %s, expiry %v", token.Type(), token.Expiry)
		}
	})
}

func TestCallerThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour}
		c := New(s, nil)
		defer closing(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Get(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if n := s.fetches(); n != 0 {
			t.Errorf("%d fetches for a caller that had left before it came", n)
		}
	})
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(&server{fails: func(int, time.Duration) error { return errHang }}, nil)
		defer closing(t, c)
		began := time.Now()
		_, err := c.Token()
		if took := time.Since(began); took != time.Minute || !errors.Is(err, ErrUnavailable) {
			t.Errorf("a caller without a deadline waited %v and got %v", took, err)
		}
		if !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("the error does not tell the last answer: %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(&server{fails: func(int, time.Duration) error { return errHang }}, nil)
		failed := make(chan error, 1)
		go func() {
			_, err := c.Get(t.Context())
			failed <- err
		}()
		synctest.Wait()
		closing(t, c)
		closing(t, c)
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("a waiter got %v", err)
		}
		if _, err := c.Get(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
	})
}
