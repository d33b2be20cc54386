package credentials

import (
	"log/slog"
	"math/rand/v2"
	"time"
)

// settle takes in the answer of an attempt.
func (c *Cache) settle(k *keeper, a answer) {
	c.mu.Lock()
	defer c.unlock()
	wanted := k.land(a.flight)
	if c.keeper != k {
		return
	}
	now := time.Now()
	c.withdraw(now) // it may have been a long fetch, by the clock or by a suspension
	if !wanted && !c.better(a) {
		return // another attempt was faster, or what it was asked for is no longer wanted
	}
	c.count.fetchTime.add(a.lasted)
	if a.err != nil {
		c.failed(classified(a.err, c.src), now)
		return
	}
	c.latency.learn(a.lasted)
	k.callOff(len(k.flights))
	c.received(a.token, a, now)
}

// better reports that the answer of an attempt that was called off is a token that is worth more than what there is.
// One that arrived just before that call must not be lost: who was faster may have had the older token.
func (c *Cache) better(a answer) bool {
	switch {
	case a.err != nil || c.watch != nil || a.token.lasting():
		return false
	case c.token != nil:
		return !c.token.lasting() && a.token.deadline.After(c.token.deadline.Add(sameExpiry))
	}
	return c.previous == nil || a.token.secret().value != c.previous.secret().value // else it is the one that was refused
}

func (c *Cache) failed(e *Error, now time.Time) {
	c.count.failures[e.Kind]++
	final := c.pace.fail(e, now, c.serving(now), c.waiters > 0)
	c.note(slog.LevelWarn, "token not renewed", "source", e.Source, "attempt", c.pace.attempts, "error", e.Err)
	if final {
		c.news()
	}
}

func (c *Cache) received(t *Token, a answer, now time.Time) {
	if held := c.token; held != nil && c.repeated(t, held) {
		c.count.repeats++
		c.repeats++
		c.due = time.Time{}
		if !held.lasting() {
			left := c.left(now)
			c.habit.repeated(left)
			if again, ok := askAgain(left, c.repeats); ok {
				c.due = now.Add(left - again)
			}
		}
		c.pace.succeeded()
		c.publish(now)
		return
	}
	if left := t.remaining(now, c.opts.wall()); !t.lasting() && left <= margin {
		// The server still hands out what it renews only when it is dead. That moment is known.
		c.pace.last = &Error{Kind: Unavailable, Source: nameOf(c.src), Err: errDying, Remedy: "retry"}
		c.pace.next = now.Add(max(left, 0) + rand.N(250*time.Millisecond))
		return
	}
	if p := c.previous; p != nil && p.secret().value != t.secret().value && !p.lasting() {
		c.habit.renewed(p.deadline.Sub(a.asked))
	}
	c.token, c.previous, c.repeats = t, t, 0
	c.used = c.waiters > 0
	c.due = time.Time{}
	if !t.lasting() {
		left := c.left(now)
		c.due = now.Add(left - c.habit.lead(left))
	}
	c.pace.succeeded()
	c.count.renewedAt = now
	c.publish(now)
	c.news()
	c.note(slog.LevelInfo, "token renewed", "source", nameOf(c.src), "account", t.account, "expiry", t.Expiry())
}

// repeated reports that t is no news. What is watched was asked because it had changed: a token of another
// value was put there on purpose, even if it dies earlier.
func (c *Cache) repeated(t, held *Token) bool {
	if c.watch == nil {
		return t.sameAs(held)
	}
	return t.secret().value == held.secret().value && t.deadline.Sub(held.deadline).Abs() <= sameExpiry
}

// settleCheck takes in that the source was looked at.
func (c *Cache) settleCheck(k *keeper, changed bool) {
	c.mu.Lock()
	defer c.unlock()
	if c.keeper != k {
		return
	}
	k.checking = false
	if now := time.Now(); changed && c.token != nil {
		c.due, c.repeats = now, 0
		c.publish(now)
	}
}
