package bench

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// steady is the load of the episodes: 200 calls a second, of which each may take as long as a checkpoint can wait.
var steady = load{callers: 4, every: 20 * time.Millisecond, deadline: 10 * time.Second}

// busy is the load where waits are timed.
var busy = load{callers: 64, every: 5 * time.Millisecond, deadline: 10 * time.Second}

// episode is one token, the trouble that its renewal meets, and the time after.
type episode struct {
	habits  habits
	load    load
	trouble func(expiry time.Time) trouble // called when the refresh arrives; expiry is the first token's
	grace   time.Duration                  // how long after the recovery a new token is waited for
	heals   bool                           // the server recovers, so that it matters how soon that is noticed
}

// play runs the episode from a warm start. Calls count from just before the trouble to just after the renewal, so that
// how long a contender was content with its first token does not dilute what came then.
func (e episode) play(ctx context.Context, s *stage, c Contender) (Result, error) {
	return s.warm(ctx, c, e.habits, func(srv *server, client Client, seen *tally) (r Result, err error) {
		expiry := time.Now().Add(e.habits.life)
		srv.onNext(func() trouble { return e.trouble(expiry) })
		stop := e.load.start(ctx, client, seen)
		began, recovered, ok := e.watch(ctx, srv, seen)
		from, to := began.Add(-500*time.Millisecond), time.Now()
		v := seen.between(from, to)
		srv.abandon() // or callers who queue for a lock would go on to ask a slow server one after the other
		stop()
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if !ok {
			return r, errors.New("no refresh came in the life of a token")
		}
		r = outcome(v, srv, began)
		spans, total := v.dark()
		dark := total.Seconds()
		r.Dark = &dark
		if e.heals {
			r.meanwhile(srv, recovered)
			r.after(recovered, seen.renewedAt())
		} else {
			r.Unrenewed = seen.renewedAt().IsZero()
		}
		r.Timeline = lane(began, from, to, recovered.Sub(began), srv.fetches(), spans, seen.renewedAt())
		return r, nil
	})
}

// watch waits for the trouble, its end and the renewal.
func (e episode) watch(ctx context.Context, srv *server, seen *tally) (began, recovered time.Time, ok bool) {
	if !awaits(ctx, e.habits.life+e.grace, func() bool {
		began, recovered = srv.troubled()
		return !began.IsZero()
	}) {
		return began, recovered, false
	}
	pause(ctx, time.Until(recovered))
	awaits(ctx, e.grace, func() bool { return !seen.renewedAt().IsZero() })
	pause(ctx, 300*time.Millisecond) // to see the callers served again
	return began, recovered, true
}

func forToken(until time.Duration, then emulator.Then) []emulator.Fault {
	return []emulator.Fault{{
		Match: emulator.Match{Server: emulator.ServerMetadata, Path: tokenPath, Until: until}, Then: then,
	}}
}

func expiryCases() []Case {
	return []Case{{
		Name: "expiry-750ms", Kind: Episode, rounds: 3,
		About: "64 callers, 12,800 calls a second, while the token is renewed once; the server takes 750 ms",
		Goal:  "1 fetch, p99.9 ≤ 0.1 ms",
		reached: func(r Result) bool {
			return *r.Fetches == 1 && *r.Errors == 0 && r.Latency.P999 <= 0.1e-3
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return slow(s.pick(200*time.Millisecond, 750*time.Millisecond, 750*time.Millisecond), c.life(9*time.Second)).play(ctx, s, c)
		},
	}, {
		Name: "expiry-5s", Kind: Episode, rounds: 1,
		About: "the same with a server that takes 5 s, which is as long as Google's metadata client waits for an answer",
		Goal:  "1 fetch, p99.9 ≤ 0.1 ms",
		reached: func(r Result) bool {
			return *r.Fetches == 1 && *r.Errors == 0 && r.Latency.P999 <= 0.1e-3
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return slow(s.pick(time.Second, 5*time.Second, 5*time.Second), c.life(30*time.Second)).play(ctx, s, c)
		},
	}}
}

// slow is a renewal that takes long, at every try.
func slow(takes, life time.Duration) episode {
	return episode{
		habits: habits{life: life, reuse: -1}, load: busy, grace: 8 * time.Second,
		trouble: func(time.Time) trouble {
			return trouble{takes, forToken(0, emulator.Then{Effect: emulator.EffectDelay, For: takes})}
		},
	}
}

func throttleCase() Case {
	return Case{
		Name: "throttle", Kind: Episode, rounds: 1, together: true,
		About:   "no token yet; the server answers 429 with Retry-After 5 for 10 s. 8 callers, each asking again 50 ms after an error",
		Goal:    "≤ 3 fetches",
		reached: func(r Result) bool { return *r.Fetches <= 3 && *r.Errors == 0 },
		play: func(ctx context.Context, s *stage, c Contender) (r Result, err error) {
			lasts, after := s.pick(2*time.Second, 10*time.Second, 10*time.Second), s.pick(time.Second, 5*time.Second, 5*time.Second)
			srv, err := s.site.open(habits{life: time.Hour})
			if err != nil {
				return r, err
			}
			defer srv.close()
			defer context.AfterFunc(ctx, srv.abandon)()
			client, err := c.Open(srv.endpoint)
			if err != nil {
				return r, err
			}
			srv.onNext(func() trouble {
				return trouble{lasts, forToken(lasts, emulator.Then{
					Effect: emulator.EffectStatus, Status: http.StatusTooManyRequests, RetryAfter: after,
				})}
			})
			e, seen := episode{grace: 45 * time.Second}, &tally{}
			stop := load{callers: 8, every: 50 * time.Millisecond, deadline: 60 * time.Second}.start(ctx, client, seen)
			began, recovered, _ := e.watch(ctx, srv, seen)
			to := time.Now()
			v := seen.between(began, to)
			srv.abandon()
			stop()
			r = outcome(v, srv, began)
			r.meanwhile(srv, recovered)
			r.after(recovered, seen.renewedAt())
			spans, _ := v.dark()
			r.Timeline = lane(began, began, to, recovered.Sub(began), srv.fetches(), spans, seen.renewedAt())
			return r, errors.Join(ctx.Err(), client.Close())
		},
	}
}
