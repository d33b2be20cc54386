package bench

import (
	"context"
	"net/http"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

func repeatCases() []Case {
	return []Case{{
		Name: "repeat-300", Kind: Episode, rounds: 1, together: true,
		About: "the server hands out the same token until 300 s before its expiry, as GKE does (by default: until 1 s after the " +
			"contender first asks, or 9 s before expiry for one whose window is a share of the life; in real time lives are 16 min)",
		Goal:    "≤ 6 fetches, nobody blocked",
		reached: calmRepeat,
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return repeats(s, c, 960*time.Second, 300*time.Second, time.Second, 9*time.Second).play(ctx, s, c)
		},
	}, {
		Name: "repeat-120", Kind: Episode, rounds: 1, together: true,
		About: "the same until 120 s before expiry (by default: until 8 s after the contender first asks, or 3 s before expiry for one " +
			"whose window is a share of the life; in real time lives are 12 min)",
		Goal:    "≤ 6 fetches, nobody blocked",
		reached: calmRepeat,
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return repeats(s, c, 720*time.Second, 120*time.Second, 8*time.Second, 3*time.Second).play(ctx, s, c)
		},
	}}
}

// calmRepeat allows a hiccup of the scheduler, which is not the cache's.
func calmRepeat(r Result) bool {
	return *r.Fetches <= 6 && *r.Errors == 0 && *r.Dark == 0 && r.Latency.P999 <= 10e-3
}

// repeats is a server that hands out the same token until so much is left of it: until in real time, after the window's
// begin otherwise, or own for a contender that has no fixed window.
func repeats(s *stage, c Contender, life, until, after, own time.Duration) episode {
	if !s.real {
		life, until = c.life(30*time.Second), own
		if c.Window > 0 {
			until = c.Window - after
		}
	}
	return episode{
		habits: habits{life: life, reuse: until, latency: 2 * time.Millisecond}, load: steady, grace: until + 5*time.Second,
		trouble: func(expiry time.Time) trouble { return trouble{lasts: max(time.Until(expiry)-until, 0)} },
	}
}

func outageCases() []Case {
	const goal = "0 errors, 0 s dark, ≤ 12 fetches meanwhile, refreshed ≤ 5 s after recovery"
	bright := func(r Result) bool {
		return *r.Errors == 0 && *r.Dark == 0 && *r.Meanwhile <= 12 && r.Refreshed != nil && *r.Refreshed <= 5
	}
	return []Case{{
		Name: "outage-503", Kind: Episode, rounds: 1, together: true,
		About: "the server answers 503 for 60 s (by default 6 s) from the first refresh on, and is well before the token in hand expires",
		Goal:  goal, reached: bright,
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return outage(s, c, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusServiceUnavailable}).play(ctx, s, c)
		},
	}, {
		Name: "outage-hang", Kind: Episode, rounds: 1, together: true,
		About: "the same with a server that accepts requests and never answers them; those that came in the outage get no answer after it either",
		Goal:  goal, reached: bright,
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return outage(s, c, emulator.Then{Effect: emulator.EffectDelay, For: time.Hour}).play(ctx, s, c)
		},
	}, {
		Name: "outage-expiry", Kind: Episode, rounds: 1, together: true,
		About: "503 from the first refresh until 30 s (by default 3 s) after the token in hand has expired (tokens of 12 s by default)",
		Goal:  "≤ 1.5 s after recovery",
		reached: func(r Result) bool {
			return r.Refreshed != nil && *r.Refreshed <= 1.5
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return pastExpiry(s, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusServiceUnavailable}).play(ctx, s, c)
		},
	}}
}

// outage begins as the refresh comes due and ends while the token in hand is still valid, unless the contender's window
// is too short for that, as 10 s are for an outage of 60 s.
func outage(s *stage, c Contender, then emulator.Then) episode {
	lasts := s.pick(time.Second, 6*time.Second, time.Minute)
	life := c.life(s.pick(15*time.Second, time.Minute, 0))
	if s.real {
		life = max(270*time.Second, c.Window+15*time.Second)
	}
	return episode{
		habits: habits{life: life, reuse: -1}, load: steady, heals: true,
		grace:   s.pick(8*time.Second, 30*time.Second, 4*time.Minute),
		trouble: func(time.Time) trouble { return trouble{lasts, forToken(lasts, then)} },
	}
}
