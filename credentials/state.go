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

func (c *Cache) left(now time.Time) time.Duration { return c.token.remaining(now, c.opts.wall()) }

// publish puts the token where Get finds it, or takes it away.
func (c *Cache) publish(now time.Time) {
	var hot, aging *Token
	if c.token != nil && c.used && (c.keeper != nil || c.token.lasting()) && !c.closed {
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
}

// news tells those who wait to look again.
func (c *Cache) news() {
	close(c.turn)
	c.turn = make(chan struct{})
}
