package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A server that stops answering while a token is renewed, at any moment of the stale window, and answers again at any
// moment after, to new requests only: callers wait until 1.5 s after the recovery at most.
func TestExpiryDuringHang(t *testing.T) {
	for _, life := range []time.Duration{15 * time.Second, time.Minute, time.Hour} {
		for past := -4 * time.Second; past < 12*time.Second; past += 370 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				var o outage
				s := &server{life: life, renewBefore: life, latency: 2 * time.Millisecond, fails: o.fails}
				c := New(s, nil)
				defer closing(t, c)
				first, _ := get(t, c)
				o.set(errHang)
				recovery := first.Expiry().Add(past)
				time.AfterFunc(time.Until(recovery), func() { o.set(nil) })
				dark := first.Expiry().Add(-margin)
				limit := latest(dark, recovery.Add(1500*time.Millisecond))
				for time.Until(dark) > 50*time.Millisecond {
					if _, took := get(t, c); took != 0 {
						t.Fatalf("waited %v for a token that is valid", took)
					}
					time.Sleep(50 * time.Millisecond)
				}
				asked := s.fetches()
				var second *Token
				for second == nil || second == first {
					second, _ = get(t, c)
					time.Sleep(time.Millisecond)
				}
				if late := time.Since(limit); late > 5*time.Millisecond {
					t.Errorf("life %v, recovery %v after expiry: served %v too late", life, past, late)
				}
				if asked > 45 {
					t.Errorf("life %v: %d requests before expiry", life, asked)
				}
				if n := s.fetches() - asked; n > 3+int(max(0, time.Since(dark))/leastHang) {
					t.Errorf("life %v, recovery %v after expiry: %d requests past expiry", life, past, n)
				}
			})
		}
	}
}

// The stated rate holds also where the token's short life asks for more.
func TestRateWhileStale(t *testing.T) {
	for name, failure := range map[string]error{"503": errDown, "hanging": errHang} {
		for _, life := range []time.Duration{20 * time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute} {
			t.Run(fmt.Sprint(name, life), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var o outage
					s := &server{life: life, fails: o.fails}
					c := New(s, nil)
					defer closing(t, c)
					first, _ := get(t, c)
					o.set(failure)
					for time.Until(first.Expiry()) > margin+10*time.Millisecond {
						time.Sleep(10 * time.Millisecond)
						get(t, c)
					}
					s.mu.Lock()
					asked := slices.Clone(s.asked[1:])
					s.mu.Unlock()
					for i := range asked {
						if i >= staleLimit && asked[i].Sub(asked[i-staleLimit]) < time.Minute {
							t.Errorf("%d requests in %v", staleLimit+1, asked[i].Sub(asked[i-staleLimit]))
						}
					}
					if last := time.Until(asked[len(asked)-1]); life < time.Minute && last < -3*time.Second {
						t.Errorf("the last request before the expiry was %v before it", -last)
					}
				})
			})
		}
	}
}

// A server that is known to be slow is not asked twice, whoever waits.
func TestSlowServerIsNotHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, latency: 5 * time.Second}
		c := New(s, nil)
		defer closing(t, c)
		for range 5 {
			token, took := get(t, c)
			if took != s.latency {
				t.Fatalf("waited %v", took)
			}
			s.revoke()
			time.Sleep(time.Minute)
			c.Invalidate(token)
		}
		if n := s.fetches(); n > 6 {
			t.Errorf("%d requests for 5 tokens", n)
		}
	})
}

// Nor does impatience override what a server asks for.
func TestHurryHeedsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mode sync.Map
		s := &server{life: time.Hour, latency: time.Millisecond, fails: func(nth int, _ time.Duration) error {
			switch _, bad := mode.Load("bad"); {
			case !bad:
				return nil
			case nth == 2:
				return errHang
			}
			return &Error{Kind: Unavailable, Err: errors.New("HTTP 429"), RetryAfter: 20 * time.Second}
		}}
		c := New(s, nil)
		defer closing(t, c)
		first, _ := get(t, c)
		mode.Store("bad", true)
		c.Invalidate(first)
		ctx, cancel := context.WithTimeout(t.Context(), 19*time.Second)
		defer cancel()
		if _, err := c.Get(ctx); err == nil {
			t.Error("there is no token")
		}
		if n := s.fetches(); n != 3 {
			t.Errorf("%d requests, want the first, one that hangs, one that is told to come back later", n)
		}
	})
}

// However long an attempt may take, only so many are under way at once, and a recovery is noticed as soon.
func TestFlightsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		s := &counting{server: &server{life: time.Hour, fails: o.fails}}
		c := New(s, &Options{AttemptTimeout: 10 * time.Minute})
		defer closing(t, c)
		first, _ := get(t, c)
		s.revoke()
		o.set(errHang)
		c.Invalidate(first)
		time.AfterFunc(time.Minute/2, func() { o.set(nil) })
		if _, took := get(t, c); took > time.Minute/2+1500*time.Millisecond {
			t.Errorf("waited %v", took)
		}
		synctest.Wait()
		if s.most > maxFlights+1 || s.under != 0 { // one that was called off may be just leaving
			t.Errorf("%d attempts at once, and %d are left", s.most, s.under)
		}
	})
}

type counting struct {
	*server
	mu          sync.Mutex
	under, most int
}

func (s *counting) Fetch(ctx context.Context) (*Token, error) {
	s.add(1)
	defer s.add(-1)
	return s.server.Fetch(ctx)
}

func (s *counting) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under += n
	s.most = max(s.most, s.under)
}

// scripted answers each attempt as it is told to, whatever becomes of the attempt's context.
type scripted struct {
	answers []scriptedAnswer
	mu      sync.Mutex
	asked   int
}

type scriptedAnswer struct {
	after time.Duration
	value string
	life  time.Duration
}

func (s *scripted) Identity() string { return "test|scripted" }

func (s *scripted) Fetch(context.Context) (*Token, error) {
	s.mu.Lock()
	a := s.answers[min(s.asked, len(s.answers)-1)]
	s.asked++
	s.mu.Unlock()
	sent := time.Now()
	time.Sleep(a.after)
	return NewToken(a.value, "", "", sent, a.life)
}

// Of two answers the token that lives longer is kept, whichever comes first.
func TestLaterExpiryWins(t *testing.T) {
	old, young := scriptedAnswer{2 * time.Second, "old", 40 * time.Second}, scriptedAnswer{time.Second, "young", time.Hour}
	for name, order := range map[string][2]scriptedAnswer{
		"younger first": {{3 * time.Second, "old", 40 * time.Second}, young},
		"older first":   {old, {2 * time.Second, "young", time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{answers: []scriptedAnswer{{time.Millisecond, "first", time.Hour}, order[0], order[1]}}
				c := New(s, nil)
				defer closing(t, c)
				first, _ := get(t, c)
				time.Sleep(time.Minute)
				c.Invalidate(first)
				get(t, c)
				time.Sleep(5 * time.Second)
				if token, _ := get(t, c); token.Value() != "young" || s.asked != 3 {
					t.Errorf("%s is kept after %d requests", token.Value(), s.asked)
				}
			})
		})
	}
}

// An attempt that was sent before a token was refused does not bring it back, and one that brings another is not lost.
func TestRefusedWhileAsked(t *testing.T) {
	for late, want := range map[string]string{"first": "third", "second": "second"} {
		t.Run(late, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{answers: []scriptedAnswer{
					{time.Millisecond, "first", time.Hour}, {3 * time.Second, late, time.Hour}, {4 * time.Second, "third", time.Hour},
				}}
				c := New(s, nil)
				defer closing(t, c)
				first, _ := get(t, c)
				for c.Stats().Fetches < 2 { // until the refresh is under way
					time.Sleep(10 * time.Millisecond)
					get(t, c)
				}
				c.Invalidate(first)
				if token, _ := get(t, c); token.Value() != want {
					t.Errorf("got the %s token, want the %s", token.Value(), want)
				}
				time.Sleep(10 * time.Second)
				if token, _ := get(t, c); token.Value() == "first" {
					t.Error("the refused token is back")
				}
			})
		})
	}
}
