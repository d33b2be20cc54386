package credentials

import (
	"log/slog"
	"math/rand/v2"
	"time"
)

// settle takes in the answer of a fetch.
func (c *Cache) settle(k *keeper, a answer) {
	c.mu.Lock()
	defer c.unlock()
	if c.keeper != k {
		return
	}
	k.fetching = false
	now := time.Now()
	c.withdraw(now) // it may have been a long fetch, by the clock or by a suspension
	c.count.fetchTime.add(a.lasted)
	if a.err != nil {
		c.failed(classified(a.err, c.src), a, now)
		return
	}
	c.received(a.token, a, now)
}

func (c *Cache) failed(e *Error, a answer, now time.Time) {
	c.count.failures[e.Kind]++
	final := c.pace.fail(e, a.asked, now, c.token != nil, c.waiters > 0)
	c.note(slog.LevelWarn, "token not renewed", "source", e.Source, "attempt", c.pace.attempts, "error", e.Err)
	if final {
		c.news()
	}
}

func (c *Cache) received(t *Token, a answer, now time.Time) {
	if held := c.token; held != nil && t.sameAs(held) {
		c.count.repeats++
		c.repeats++
		left := c.left(now)
		c.habit.repeated(left)
		c.due = time.Time{}
		if again, ok := askAgain(left, c.repeats); ok {
			c.due = now.Add(left - again)
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
