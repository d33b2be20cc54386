package credentials

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = &Error{Kind: Unavailable, Source: "test server", Err: errors.New("HTTP 503 Service Unavailable")}

// during makes a server fail from the moment a test turns it on.
type outage struct {
	mu  sync.Mutex
	err error
}

func (o *outage) set(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *outage) fails(int, time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Point 5: an outage of up to a minute in the stale window is not seen by anybody, costs at most 12 requests, and
// is over within 5 s, also where the server hangs rather than answers. The dice are thrown several times.
func TestOutageWhileStale(t *testing.T) {
	for name, failure := range map[string]error{"503": errDown, "hanging": errHang} {
		t.Run(name, func(t *testing.T) {
			for i := range 48 {
				length, life := 600-i*13, time.Hour
				if i >= 24 { // a minute in a window that ends soon after: what is left of its attempts is not spent early
					length, life = 600, 250*time.Second
				}
				synctest.Test(t, func(t *testing.T) {
					var o outage
					s := &server{life: life, renewBefore: 5 * time.Minute, latency: 2 * time.Millisecond, fails: o.fails}
					c := New(s, nil)
					defer closing(t, c)
					first, _ := get(t, c)
					time.Sleep(life - min(life/3, 5*time.Minute))
					get(t, c)
					o.set(failure)
					for s.fetches() == 1 {
						time.Sleep(10 * time.Millisecond)
					}
					for range length {
						time.Sleep(100 * time.Millisecond)
						if _, took := get(t, c); took != 0 {
							t.Fatalf("a caller waited %v", took)
						}
					}
					if n := s.fetches() - 1; n > 12 || n < length/60 {
						t.Errorf("%d requests in an outage of %v", n, time.Duration(length)*100*time.Millisecond)
					}
					o.set(nil)
					time.Sleep(5 * time.Second)
					if second, _ := get(t, c); second == first {
						t.Error("not refreshed 5 s after the recovery")
					}
				})
			}
		})
	}
}

// Who waits for a token is not held by an attempt that hangs for as long as such attempts may take.
func TestRecoveryFromHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		o.set(errHang)
		s := &server{life: time.Hour, fails: o.fails}
		c := New(s, nil)
		defer closing(t, c)
		served := make(chan time.Time, 1)
		go func() {
			get(t, c)
			served <- time.Now()
		}()
		time.Sleep(attemptTime - time.Millisecond)
		if n := s.fetches(); n != 1 {
			t.Errorf("%d requests at a server that may merely be slow", n)
		}
		time.Sleep(24*time.Second + 100*time.Millisecond)
		if n := s.fetches(); n > 23 {
			t.Errorf("%d requests in half a minute", n)
		}
		o.set(nil)
		recovered := time.Now()
		if took := (<-served).Sub(recovered); took > 1500*time.Millisecond {
			t.Errorf("the recovery was noticed after %v", took)
		}
	})
}

// The answer that was overtaken does not undo the one that was faster.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, fails: func(nth int, _ time.Duration) error {
			switch nth {
			case 1:
				return errDown
			case 2:
				return errHang
			}
			return nil
		}}
		c := New(s, nil)
		defer closing(t, c)
		_, took := get(t, c)
		if n := s.fetches(); n != 3 || took > attemptTime/2+coldCap {
			t.Errorf("%d requests in %v, want the third to overtake the second", n, took)
		}
		synctest.Wait()
		if got := c.Stats(); got.State != "fresh" || got.Unavailable != 1 || got.LastError != "" {
			t.Errorf("after the success: %s, %d failures, last error %q", got.State, got.Unavailable, got.LastError)
		}
	})
}

// Point 5: an outage that outlasts the token: never served after, and over within a second and a half.
func TestOutagePastExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		s := &server{life: time.Hour, renewBefore: 5 * time.Minute, fails: o.fails}
		c := New(s, nil)
		defer closing(t, c)
		first, _ := get(t, c)
		time.Sleep(50 * time.Minute)
		o.set(errDown)
		var dark time.Time
		for dark.IsZero() {
			time.Sleep(100 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			token, err := c.Get(ctx)
			cancel()
			switch left := time.Until(first.Expiry()); {
			case err != nil && left > 2*time.Second:
				t.Fatalf("with %v left: %v", left, err)
			case err == nil && time.Until(token.Expiry()) < time.Second:
				t.Fatalf("served a token with %v left", time.Until(token.Expiry()))
			case err != nil:
				dark = time.Now()
			}
		}
		for range 10 {
			time.Sleep(10 * time.Minute)
			before := s.fetches()
			ctx, cancel := context.WithTimeout(t.Context(), 1100*time.Millisecond)
			_, err := c.Get(ctx)
			cancel()
			if err == nil || s.fetches() == before {
				t.Errorf("a new caller has to sit out the backoff of when there was none: %v", err)
			}
		}
		waited := make(chan time.Time, 1)
		go func() {
			if _, err := c.Get(t.Context()); err != nil {
				t.Error(err)
			}
			waited <- time.Now()
		}()
		time.Sleep(10 * time.Second)
		before := s.fetches()
		time.Sleep(20 * time.Second)
		if n := s.fetches() - before; n > 60 || n < 15 {
			t.Errorf("%d requests in 20 s while somebody waits", n)
		}
		o.set(nil)
		recovered := time.Now()
		if took := (<-waited).Sub(recovered); took > 1500*time.Millisecond {
			t.Errorf("the recovery was noticed after %v", took)
		}
	})
}

// Point 5: hard expiry starts the backoff over, whoever waits or not.
func TestExpiryResetsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		s := &server{life: time.Hour, fails: o.fails}
		c := New(s, nil)
		defer closing(t, c)
		first, _ := get(t, c)
		time.Sleep(50 * time.Minute)
		o.set(errDown)
		time.Sleep(time.Until(first.Expiry()) - margin - time.Millisecond)
		o.set(nil)
		time.Sleep(2 * time.Second)
		if got := c.Stats().State; got != "fresh" {
			t.Errorf("2 s after the expiry and the recovery the cache is %s", got)
		}
	})
}

// Trap 36: at the start of a pod everybody shares the retries, not one failure.
func TestPodStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, fails: func(_ int, at time.Duration) error {
			if at < 3*time.Second {
				return &Error{Kind: Unavailable, Err: errors.New("connection refused")}
			}
			return nil
		}}
		c := New(s, nil)
		defer closing(t, c)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if _, err := c.Get(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		wg.Wait()
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("served %v after the start, 1 s after the recovery was promised", took)
		}
		if n := s.fetches(); n > 25 {
			t.Errorf("%d requests in 3 s", n)
		}
	})
}

// Point 5: the error after the deadline says what was asked, how often, for how long, and the last answer.
func TestDeadlineError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{fails: func(int, time.Duration) error { return errDown }}
		c := New(s, nil)
		defer closing(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		_, err := c.Get(ctx)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != Unavailable || e.Attempts != s.fetches() || e.Elapsed != 8*time.Second {
			t.Fatalf("got %#v", err)
		}
		for _, part := range []string{"test server", "attempts in 8s", "503"} {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for name, after := range map[string]time.Duration{"cold": 0, "stale": 54 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var first time.Time
				var throttled int
				s := &server{life: time.Hour, renewBefore: 5 * time.Minute, fails: func(_ int, at time.Duration) error {
					if at < after {
						return nil
					}
					if first.IsZero() {
						first = time.Now()
					}
					if time.Since(first) >= 10*time.Second {
						return nil
					}
					throttled++
					return &Error{Kind: Unavailable, Err: errors.New("HTTP 429"), RetryAfter: 5 * time.Second}
				}}
				c := New(s, nil)
				defer closing(t, c)
				get(t, c)
				for range 58 * 60 {
					time.Sleep(time.Second)
					if _, took := get(t, c); took != 0 {
						t.Fatalf("waited %v", took)
					}
				}
				if throttled == 0 || throttled > 2 {
					t.Errorf("%d requests in 10 s, each answered with: come back in 5 s", throttled)
				}
			})
		})
	}
}

// Point 6: a refusal ends the wait of everybody at once, is remembered for a moment, and not for ever.
func TestRefusalIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		o.set(&Error{Kind: Refused, Err: errors.New("HTTP 403")})
		s := &server{life: time.Hour, fails: o.fails}
		c := New(s, nil)
		defer closing(t, c)
		began := time.Now()
		for range 1000 {
			if _, err := c.Get(t.Context()); !errors.Is(err, ErrRefused) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.fetches(); n > 15 {
			t.Errorf("%d requests in %v for an account that is refused", n, time.Since(began))
		}
		o.set(nil)
		time.Sleep(finalCap)
		get(t, c)
	})
}

// An answer that may mean "not ready yet" is asked for again for a while, then believed.
func TestSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{fails: func(int, time.Duration) error {
			return &Error{Kind: Misconfigured, Err: errors.New("HTTP 404"), settle: 15 * time.Second}
		}}
		c := New(s, nil)
		defer closing(t, c)
		for range 2 { // an hour later it is as new as at first
			began := time.Now()
			_, err := c.Get(t.Context())
			if took := time.Since(began); took < 15*time.Second || took > 17*time.Second || !errors.Is(err, ErrMisconfigured) {
				t.Errorf("after %v: %v", took, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Point 7: however many report a token, it is fetched once; a service that refuses all tokens causes no storm.
func TestInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, latency: 100 * time.Millisecond}
		c := New(s, nil)
		defer closing(t, c)
		first, _ := get(t, c)
		s.revoke()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				c.Invalidate(first)
				if second, _ := get(t, c); second == first {
					t.Error("the refused token is still served")
				}
			})
		}
		wg.Wait()
		second, _ := get(t, c)
		c.Invalidate(first)
		if third, _ := get(t, c); third != second || s.fetches() != 2 {
			t.Errorf("%d fetches for one refused token", s.fetches())
		}
		for range 600 {
			time.Sleep(time.Second)
			token, _ := get(t, c)
			c.Invalidate(token)
		}
		if n := s.fetches(); n > 25 {
			t.Errorf("%d fetches in 10 min of refusals", n)
		}
		time.Sleep(2 * time.Minute)
		for i := range 20 { // tokens that worked for a while and are revoked are another matter
			token, _ := get(t, c)
			c.Invalidate(token)
			if next, _ := get(t, c); next == token {
				t.Fatalf("revoked token %d is kept", i)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// Tokens that are refused when they are new, now and then, are no row of them if others worked in between.
func TestInvalidateNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(&server{life: 4 * time.Second, latency: 100 * time.Millisecond}, nil)
		defer closing(t, c)
		for i := range 10 {
			for range 20 {
				_, _ = get(t, c)
				time.Sleep(time.Second)
			}
			token, _ := get(t, c)
			c.Invalidate(token)
			if next, _ := get(t, c); next == token {
				t.Fatalf("token %d, refused after a while without a refusal, is kept", i)
			}
		}
	})
}
