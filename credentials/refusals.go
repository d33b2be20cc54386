package credentials

import "time"

const (
	// trusted is the age from which a refused token is dropped without further thought: it probably worked
	// once and was revoked. A service that refuses everything can cause one fetch in that time.
	trusted = 30 * time.Second

	// rashDrops is how many younger tokens may be dropped at once, and one more each rashEvery. The new
	// token of a server that has not heard of the revocation yet may be refused once more.
	rashDrops = 3
	rashEvery = time.Minute
)

// refusals limits what a service that refuses every token can cost.
type refusals struct {
	drops int
	last  time.Time
}

// allow reports whether a token of that age, which a service has refused, may be dropped now.
func (r *refusals) allow(age time.Duration, now time.Time) bool {
	if age >= trusted {
		return true
	}
	if refill := now.Sub(r.last) / rashEvery; refill > 0 {
		r.drops = max(r.drops-int(min(refill, rashDrops)), 0)
		r.last = now
	}
	if r.drops == rashDrops {
		return false
	}
	r.drops++
	return true
}
