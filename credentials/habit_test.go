package credentials

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Point 4: whenever a server begins to hand out a new token, nobody waits, the first life costs at most six
// fetches, and later ones cost two at most, one in the end.
func TestLearning(t *testing.T) {
	for _, habit := range []struct{ life, renew time.Duration }{
		{time.Hour, 10 * time.Minute}, {time.Hour, 5 * time.Minute}, {time.Hour, 4 * time.Minute},
		{time.Hour, 2 * time.Minute}, {time.Hour, time.Minute}, {time.Hour, 30 * time.Second},
		{12 * time.Hour, 10 * time.Second}, {time.Minute, 4 * time.Second}, {20 * time.Second, 5 * time.Second},
	} {
		t.Run(fmt.Sprintf("%v of %v", habit.renew, habit.life), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{life: habit.life, renewBefore: habit.renew, latency: 300 * time.Millisecond}
				c := New(s, nil)
				defer closing(t, c)
				held, _ := get(t, c)
				began := s.fetches()
				var lives []int
				for len(lives) < 10 {
					time.Sleep(habit.life / 1000)
					token, took := get(t, c)
					if took != 0 {
						t.Fatalf("life %d: a caller waited %v", len(lives)+1, took)
					}
					if token != held {
						lives = append(lives, s.fetches()-began)
						began, held = s.fetches(), token
					}
				}
				if lives[0] > 5 { // and the very first fetch of all makes six
					t.Errorf("fetches by life: %v, want at most 5 in the first", lives)
				}
				for i, n := range lives[1:] {
					if n > 2 {
						t.Errorf("fetches by life: %v, want at most 2 in life %d", lives, i+2)
					}
				}
				if last := lives[len(lives)-1]; last != 1 {
					t.Errorf("fetches by life: %v, want 1 in the last", lives)
				}
			})
		})
	}
}

// The worst server renews a token only when it is dead: somebody must wait then, but briefly, and it is
// not asked more than six times.
func TestRenewedOnlyWhenDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour}
		c := New(s, nil)
		defer closing(t, c)
		held, _ := get(t, c)
		began, lives := s.fetches(), 0
		for lives < 5 {
			time.Sleep(time.Second)
			token, took := get(t, c)
			if took > 2*time.Second {
				t.Fatalf("a caller waited %v", took)
			}
			if token != held {
				if n := s.fetches() - began; n > 6 {
					t.Errorf("life %d: %d fetches", lives+1, n)
				}
				began, held, lives = s.fetches(), token, lives+1
			}
		}
	})
}

// A fleet that starts at once must not refresh at once.
func TestLeadIsSpread(t *testing.T) {
	var h habit
	seen := make(map[time.Duration]bool)
	for range 1000 {
		lead := h.lead(time.Hour)
		if lead > 5*time.Minute || lead < 4*time.Minute {
			t.Fatalf("lead %v is not within 4 to 5 min", lead)
		}
		seen[lead.Truncate(time.Second)] = true
	}
	if len(seen) < 50 {
		t.Errorf("1000 leads fall in only %d seconds", len(seen))
	}
}

func TestLeadOfShortLives(t *testing.T) {
	for _, life := range []time.Duration{4 * time.Second, 6 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute} {
		t.Run(fmt.Sprint(life), func(t *testing.T) {
			var h habit
			if lead := h.lead(life); lead <= margin || lead > life/2 {
				t.Errorf("lead %v of a life of %v leaves no time to refresh or none to serve", lead, life)
			}
		})
	}
}

// Point 4: a cache that is used rarely is warm, one that is not used any more falls silent and starts again.
func TestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{life: time.Hour, renewBefore: 5 * time.Minute, latency: time.Second}
		c := New(s, nil)
		defer closing(t, c)
		get(t, c)
		for range 20 {
			time.Sleep(90 * time.Minute)
			if _, took := get(t, c); took != 0 {
				t.Fatalf("a job that asks every 90 min waited %v", took)
			}
		}
		time.Sleep(5 * time.Hour)
		n := s.fetches()
		time.Sleep(24 * time.Hour)
		if more := s.fetches() - n; more != 0 {
			t.Errorf("%d fetches in a day that nobody asked", more)
		}
		c.mu.Lock()
		if c.keeper != nil {
			t.Error("the unused cache still has a goroutine")
		}
		c.mu.Unlock()
		if token, _ := get(t, c); time.Until(token.Expiry()) < 50*time.Minute {
			t.Errorf("after a silent day: token with %v left", time.Until(token.Expiry()))
		}
	})
}
