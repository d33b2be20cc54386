package credentials

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	// maxLead is the longest time before expiry at which a refresh is planned. The metadata server of GKE
	// begins to hand out a new token 5 min before the old one dies; asking earlier is certain to be in vain.
	maxLead = 5 * time.Minute

	// maxRepeats bounds the refreshes of one token that bring the same token. With the shares of askAgain a
	// server that renews 30 s before expiry is asked four times; one that renews only at expiry is left in
	// peace until then, which makes six with the fetches around expiry.
	maxRepeats = 4

	// minLead is the least life that is worth a last refresh: it must fit in before the token is withdrawn.
	minLead = margin + 500*time.Millisecond

	// memory is how many renewals a habit is believed: a day of hourly tokens. Servers are upgraded.
	memory = 24
)

// habit is what a server has shown of when it begins to hand out a token's successor, as life left of the
// old token. The point lies between newAt, where a new token came, and sameAt, where the old one was
// repeated; each is 0 while unknown.
type habit struct {
	newAt, sameAt time.Duration
	renewals      int
}

func (h *habit) repeated(left time.Duration) {
	h.sameAt = left
	if h.newAt >= left {
		h.newAt = 0
	}
}

func (h *habit) renewed(left time.Duration) {
	h.renewals++
	if h.renewals > memory {
		*h = habit{}
		return
	}
	if left > h.newAt && (h.sameAt == 0 || left < h.sameAt) {
		h.newAt = left
	}
}

// lead is how long before its expiry a token with so much life left is first refreshed: 5 min or a third of
// the life, less up to a fifth of that so that a fleet started at once does not come at once, and no earlier
// than the server has been seen to have a new token.
func (h *habit) lead(left time.Duration) time.Duration {
	window := min(maxLead, left/3)
	lead := window - rand.N(window/5+1)
	if h.sameAt > 0 && lead > h.newAt {
		switch {
		case h.newAt == 0:
			lead = min(lead, share(h.sameAt))
		case h.sameAt > 3*h.newAt/2:
			// Worth another look in between: a longer lead leaves more time for a failing server.
			lead = time.Duration(math.Sqrt(float64(h.sameAt) * float64(h.newAt)))
		default:
			lead = h.newAt - h.newAt/20
		}
	}
	return max(lead, min(minLead, left/2))
}

// askAgain is the life that should be left at the next refresh of a token that was just repeated.
func askAgain(left time.Duration, repeats int) (time.Duration, bool) {
	return max(share(left), minLead), repeats < maxRepeats && left > minLead+time.Second
}

// share is about a third: from 5 min down to 30 s in three steps, with jitter.
func share(left time.Duration) time.Duration {
	return left*3/10 + rand.N(left/10+1)
}
