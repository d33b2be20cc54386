package bench

import (
	"context"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// hangExpiryCase is the outage that costs most: the requests that were sent in it are never answered, and callers who
// have no token any more wait for them.
func hangExpiryCase() Case {
	return Case{
		Name: "outage-hang-expiry", Kind: Episode, rounds: 1, together: true,
		About: "a server that accepts requests and never answers them, from the first refresh until 30 s (by default 3 s) after the token in " +
			"hand has expired (tokens of 12 s by default); requests that came in the outage get no answer after it either",
		Goal: "≤ 1.5 s after recovery",
		reached: func(r Result) bool {
			return r.Refreshed != nil && *r.Refreshed <= 1.5
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return pastExpiry(s, emulator.Then{Effect: emulator.EffectDelay, For: time.Hour}).play(ctx, s, c)
		},
	}
}

// pastExpiry is an outage that begins as the refresh comes due and outlasts the token in hand.
func pastExpiry(s *stage, then emulator.Then) episode {
	past := s.pick(time.Second, 3*time.Second, 30*time.Second)
	return episode{
		habits: habits{life: s.pick(6*time.Second, 12*time.Second, 330*time.Second), reuse: -1}, load: steady, heals: true,
		grace: s.pick(5*time.Second, 20*time.Second, 30*time.Second),
		trouble: func(expiry time.Time) trouble {
			lasts := time.Until(expiry) + past
			return trouble{lasts, forToken(lasts, then)}
		},
	}
}
