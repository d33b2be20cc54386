package credentials

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// minSpacing is the stated rate: two attempts of one identity never start closer together.
	minSpacing = 100 * time.Millisecond

	// coldCap bounds the backoff while callers wait, so that they notice a recovery within a second.
	coldCap = time.Second

	// loneCap bounds the backoff after expiry while nobody waits.
	loneCap = 30 * time.Second

	// staleEvery is the time between attempts while the token in hand is valid, so that a recovery is noticed
	// within 5 s; firstGap, and up to firstJitter more, the time after the first failure. It is longer for three
	// reasons: an outage of a minute then costs 12 requests, not 13; a fleet that fails as one is spread; and the
	// first attempt is over before a second one starts, so that a slow server is not asked twice. After that
	// minute the time doubles, up to loneCap.
	staleEvery   = 4900 * time.Millisecond
	firstGap     = 6200 * time.Millisecond
	firstJitter  = 1800 * time.Millisecond
	staleAMinute = 11

	// staleLimit is the stated rate while the token in hand is valid, for each minute, whatever else asks for more.
	staleLimit = 12

	// lastChance is how long before the token in hand is withdrawn a server that does not answer is asked once more, and
	// the least time between attempts as that moment nears.
	lastChance = time.Second

	// finalCap bounds how long a refusal is remembered instead of asking again.
	finalCap = 15 * time.Second

	// episodeGap is the silence after which a failure is no part of what happens now.
	episodeGap = 2 * loneCap

	// maxRetryAfter bounds what a server may ask for: a wrong Retry-After must not outlast the token's life.
	maxRetryAfter = time.Minute
)

var errDying = errors.New("the source still hands out the token that is about to expire")

// pace is the record of an episode of failure, from the first attempt that failed to the next success.
type pace struct {
	attempts int
	first    time.Time // when the first attempt started
	started  time.Time // when the latest one started
	recent   [staleLimit]time.Time
	tries    int           // attempts since the backoff was last reset
	fails    int           // of these, over and in vain
	jitter   time.Duration // of firstGap
	short    bool          // less than a minute was left of the token in hand at the first attempt
	finals   int
	last     *Error
	finalAt  time.Time // when last became the answer for everybody; zero if it is a reason to go on
	next     time.Time // no attempt before this, by our own backoff
	asked    time.Time // nor before this, by the server's Retry-After
}

// begin records an attempt. serving is the life of the token that is served meanwhile, 0 without one.
func (p *pace) begin(now time.Time, serving time.Duration) {
	if p.attempts == 0 || now.Sub(p.started) > episodeGap {
		*p = pace{first: now, asked: p.asked, jitter: rand.N(firstJitter), short: serving < time.Minute}
	}
	p.recent[p.attempts%len(p.recent)] = now
	p.attempts++
	p.tries++
	p.started = now
}

// fail records a failed attempt and plans the next. left is the life of the token that is served meanwhile, 0
// without one. It reports whether the failure is final: whoever waits has their answer.
func (p *pace) fail(e *Error, now time.Time, left time.Duration, awaited bool) bool {
	p.last = e
	p.fails++
	if e.RetryAfter > 0 {
		p.asked = now.Add(min(e.RetryAfter, maxRetryAfter))
	}
	p.finalAt = time.Time{}
	serving := left > 0
	if !serving && e.Kind != Unavailable && now.Sub(p.first) >= e.settle {
		p.finals++
		p.finalAt = now
		d := min(time.Second<<min(p.finals-1, 10), finalCap)
		p.next = now.Add(d/2 + rand.N(d/2))
		return true
	}
	switch {
	case serving:
		p.next = p.started.Add(p.staleGap(left + now.Sub(p.started)))
	case awaited:
		p.next = p.started.Add(rand.N(min(minSpacing<<min(p.fails, 10), coldCap)))
	default:
		p.next = p.started.Add(rand.N(min(minSpacing<<min(p.fails, 10), loneCap)))
	}
	return false
}

// beside is when another attempt may start beside those under way, of which the latest counts as hanging after the
// given time. serving is the life of the token that is served meanwhile, 0 without one.
func (p *pace) beside(now time.Time, hanging, serving time.Duration, awaited bool) (time.Time, bool) {
	at := p.started.Add(hanging)
	switch {
	case serving > 0 && p.last == nil:
		// The server may merely be slow, and nobody is held up yet. It is asked once more before somebody is.
		at = latest(at, now.Add(serving-margin-lastChance))
	case serving > 0:
		at = p.started.Add(p.staleGap(serving + now.Sub(p.started)))
	case !awaited:
		return time.Time{}, false
	case !p.finalAt.IsZero():
		at = latest(at, p.next)
	}
	return p.permitted(at, serving > 0), true
}

// permitted is at or later: when the server and the stated rates allow an attempt.
func (p *pace) permitted(at time.Time, serving bool) time.Time {
	if !p.started.IsZero() {
		at = latest(at, p.started.Add(minSpacing))
	}
	if serving && p.attempts >= len(p.recent) {
		at = latest(at, p.recent[p.attempts%len(p.recent)].Add(time.Minute))
	}
	return latest(at, p.asked)
}

// staleGap is the time between attempts while a token is served that had so much life left at the first of them.
// There must be time for several, however short that is; but what is left of a minute's attempts is not spent early,
// or a recovery at its end would be noticed late.
func (p *pace) staleGap(left time.Duration) time.Duration {
	gap := firstGap + p.jitter
	if p.tries > 1 {
		gap = min(staleEvery<<min((p.tries-2)/staleAMinute, 10), loneCap)
	}
	if p.short || p.tries > staleLimit {
		gap = min(gap, max(left/6, lastChance))
	}
	return gap
}

// ready is when the next attempt may start. A caller that has come to wait does not sit out a backoff that
// was chosen when there was none.
func (p *pace) ready(now time.Time, serving, awaited bool) time.Time {
	next := p.next
	if awaited && p.finalAt.IsZero() && next.After(p.started.Add(coldCap)) && !p.dying() {
		next = p.started.Add(coldCap)
	}
	return p.permitted(next, serving)
}

func (p *pace) dying() bool { return p.last != nil && errors.Is(p.last.Err, errDying) }

// abandon is for an attempt that was cut short because the cache was closed. While a token is at hand, those
// who open and close it in quick succession must not start a fetch each.
func (p *pace) abandon(serving bool) {
	if serving {
		p.next = latest(p.next, p.started.Add(staleEvery))
	}
}

// succeeded ends the episode; only the stated rate outlives it.
func (p *pace) succeeded() { *p = pace{started: p.started} }

// restart forgets the backoff because the situation has changed: now there is no token. What the server
// asked for still holds.
func (p *pace) restart(now time.Time) {
	p.tries, p.fails, p.finals, p.next, p.finalAt = 0, 0, 0, now, time.Time{}
}

// final is the answer that ended a caller's wait, or that is remembered for callers who come right after.
func (p *pace) final(now, since time.Time) *Error {
	if p.finalAt.IsZero() || p.finalAt.Before(since) && !now.Before(p.next) {
		return nil
	}
	return p.last
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
