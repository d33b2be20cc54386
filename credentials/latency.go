package credentials

import "time"

// leastHang is the least time after which an attempt counts as hanging while somebody waits: so a recovery is noticed
// within 1.5 s, and a server that answers in a second is not asked twice.
const leastHang = 1200 * time.Millisecond

// latency is how long a server usually takes for a token; 0 while unknown.
type latency time.Duration

// learn believes a longer time at once and a shorter one by and by: asking a slow server twice makes it slower.
func (l *latency) learn(lasted time.Duration) {
	if d := latency(max(lasted, 1)); d > *l {
		*l = d
	} else {
		*l -= (*l - d) / 4
	}
}

// hanging is the time after which an attempt probably has no answer coming: twice the usual one. Of a server that
// nothing is known of, it is all that an attempt may take; half of that where an attempt has failed already.
func (l latency) hanging(timeout time.Duration, failed bool) time.Duration {
	switch {
	case failed:
		timeout /= 2
	case l == 0:
		return timeout
	}
	return min(max(2*time.Duration(l), leastHang), timeout)
}
