package credentials

import (
	"log/slog"
	"time"
)

// margin is how long before its expiry a token is withdrawn: a request that was authorised with it may
// still be on its way when it dies, and a timer may be late on a busy machine.
const margin = 1500 * time.Millisecond

// State is what a cache does with a call.
type State int

const (
	// Expired: there is no valid token; calls wait for one.
	Expired State = iota
	// Fresh: there is a valid token and no refresh is due.
	Fresh
	// Stale: a refresh is due and has not succeeded yet; the token is valid and served meanwhile.
	Stale
)

// String names the state.
func (s State) String() string { return [...]string{"expired", "fresh", "stale"}[s] }

// state names what the cache does with a call.
func (c *Cache) state(now time.Time) State {
	switch {
	case c.token == nil:
		return Expired
	case !c.due.IsZero() && !now.Before(c.due):
		return Stale
	}
	return Fresh
}

// unattended reports that the token in hand needs no keeper: no expiry is known, and nobody can tell before a
// service refuses it that there is a newer one.
func (c *Cache) unattended() bool { return c.token.lasting() && c.watch == nil }

func (c *Cache) left(now time.Time) time.Duration { return c.token.remaining(now, c.opts.wall()) }

// serving is the life of the token that callers get; 0 if they wait.
func (c *Cache) serving(now time.Time) time.Duration {
	switch {
	case c.token == nil:
		return 0
	case c.token.lasting():
		return maxLife
	}
	return c.left(now)
}

// publish puts the token where Get finds it, or takes it away.
func (c *Cache) publish(now time.Time) {
	var hot, aging *Token
	if c.token != nil && c.used && (c.keeper != nil || c.unattended()) && !c.closed {
		if c.state(now) == Stale {
			aging = c.token
		} else {
			hot = c.token
		}
	}
	c.hot.Store(hot)
	c.aging.Store(aging)
}

// withdraw takes a token away whose time is over. What was learned about a server that failed in the stale
// window does not count any more: now somebody may be waiting.
func (c *Cache) withdraw(now time.Time) {
	if c.token == nil || c.token.lasting() || c.left(now) > margin {
		return
	}
	if c.keeper != nil {
		c.note(slog.LevelWarn, "token expired before it was renewed", "source", nameOf(c.src))
	}
	c.drop(now)
}

func (c *Cache) drop(now time.Time) {
	c.noticeUse(true, now)
	c.token, c.due, c.used = nil, time.Time{}, false
	c.pace.restart(now)
	c.publish(now)
}

// noticeUse keeps lastUse up for the calls that leave no other trace: those served a stale token are
// counted, those served a fresh one are noticed when its turn is over.
func (c *Cache) noticeUse(over bool, now time.Time) {
	if served := c.count.stale.Load(); served != c.count.staleSeen || c.used && over {
		c.count.staleSeen = served
		c.lastUse = now
	}
	if c.used && c.token != nil && c.token.lasting() && now.Sub(c.lastUse) > c.opts.KeepWarm {
		// This token has no turn that could be over. The next call shows that it is still in use.
		c.used, c.lastUse = false, now
	}
}

// news tells those who wait to look again.
func (c *Cache) news() {
	close(c.turn)
	c.turn = make(chan struct{})
}
