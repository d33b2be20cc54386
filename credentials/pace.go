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
	fails    int       // since the backoff was last reset
	finals   int
	last     *Error
	finalAt  time.Time // when last became the answer for everybody; zero if it is a reason to go on
	next     time.Time // no attempt before this, by our own backoff
	asked    time.Time // nor before this, by the server's Retry-After
}

func (p *pace) begin(now time.Time) {
	if p.attempts == 0 || now.Sub(p.started) > episodeGap {
		*p = pace{first: now, asked: p.asked}
	}
	p.attempts++
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
	case serving && p.fails == 1:
		// A quarter of a short life: there must be time for more than one try.
		p.next = p.started.Add(min(firstGap+rand.N(firstJitter), left/4))
	case serving:
		p.next = p.started.Add(min(staleEvery<<min((p.fails-2)/staleAMinute, 10), loneCap))
	case awaited:
		p.next = p.started.Add(rand.N(min(minSpacing<<min(p.fails, 10), coldCap)))
	default:
		p.next = p.started.Add(rand.N(min(minSpacing<<min(p.fails, 10), loneCap)))
	}
	return false
}

// beside is when a second attempt may start beside one that does not answer, which has the given time. It
// never may in an episode without a failure, when the server may merely be slow. Who hangs as a part of an outage
// will not answer, and waiting for that would delay noticing the recovery.
func (p *pace) beside(timeout time.Duration, serving, awaited bool) (time.Time, bool) {
	switch {
	case p.last == nil:
		return time.Time{}, false
	case serving:
		return latest(p.started.Add(staleEvery), p.asked), true
	case awaited:
		return latest(p.started.Add(timeout/2), p.asked), true
	}
	return time.Time{}, false
}

// ready is when the next attempt may start. A caller that has come to wait does not sit out a backoff that
// was chosen when there was none.
func (p *pace) ready(now time.Time, awaited bool) time.Time {
	next := p.next
	if awaited && p.finalAt.IsZero() && next.After(p.started.Add(coldCap)) && !p.dying() {
		next = p.started.Add(coldCap)
	}
	if !p.started.IsZero() {
		next = latest(next, p.started.Add(minSpacing))
	}
	return latest(next, p.asked)
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
	p.fails, p.finals, p.next, p.finalAt = 0, 0, now, time.Time{}
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
