package credentials

import "time"

const (
	// trusted is the age at which a token that nobody complained of is taken to have worked: refused then, it
	// was revoked, and a new one is worth a fetch.
	trusted = 5 * time.Second

	// maxHold is how long a token is kept at most that was refused from the start.
	maxHold = time.Minute
)

// refusals limits what a service that refuses every token can cost.
type refusals struct {
	suspect *Token    // refused before it was trusted
	row     int       // so many suspects in a row
	last    time.Time // when one was refused
}

// allow reports whether a token that came at renewed, and which a service has refused now, may be dropped. Of tokens
// that were refused from the start two may be dropped at once, as a token server may not have heard of a
// revocation yet; the following ones are kept for 1 s, 2 s and so on. A token that nobody complained of for long enough
// ends the row, whether it is this one or one between the last refusal and this one.
func (r *refusals) allow(t *Token, now, renewed time.Time) bool {
	age, quiet := now.Sub(renewed), renewed.Sub(r.last)
	r.last = now
	if r.suspect != t {
		if age >= trusted {
			*r = refusals{last: now}
			return true
		}
		if quiet >= trusted {
			r.row = 0
		}
		r.suspect = t
		r.row++
	}
	return r.row <= 2 || age >= min(time.Second<<min(r.row-3, 10), maxHold)
}
