package credentials

import (
	"context"
	"errors"
	"time"
)

const (
	// clockCheck is how often the wall clock is looked at while a token is served. A suspended machine stops
	// the timers, which then run late by the length of the suspension.
	clockCheck = 5 * time.Second
)

// keeper is the background work of a cache: the one goroutine that fetches, publishes and withdraws.
type keeper struct {
	cancel   context.CancelFunc
	nudged   chan struct{}
	done     chan struct{}
	fetching bool // guarded by the cache's lock
}

// nudge makes the keeper decide anew.
func (k *keeper) nudge() {
	select {
	case k.nudged <- struct{}{}:
	default:
	}
}

// wait returns when the keeper has ended.
func (k *keeper) wait() {
	if k != nil {
		<-k.done
	}
}

// wake starts the keeper of a resting cache.
func (c *Cache) wake() {
	if c.keeper != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.keeper = &keeper{cancel: cancel, nudged: make(chan struct{}, 1), done: make(chan struct{})}
	go c.keep(ctx, c.keeper)
}

// rest lets the keeper go. A token of known expiry is then no longer in the open, since nobody would
// withdraw it; the next call looks at the clock and wakes a new keeper.
func (c *Cache) rest(now time.Time) {
	if c.keeper != nil {
		if c.keeper.fetching {
			c.pace.abandon(c.token != nil)
		}
		c.keeper.cancel()
		c.keeper = nil
	}
	c.publish(now)
}

// keep is the life of a keeper. A fetch runs beside it, so that a server that hangs cannot keep a token
// from being withdrawn.
func (c *Cache) keep(ctx context.Context, k *keeper) {
	defer close(k.done)
	defer k.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	answers := make(chan answer, 1)
	var fetching bool
	for {
		p := c.plan(k)
		if p.rest {
			break
		}
		if p.fetch {
			fetching = true
			go c.fetch(ctx, answers)
		}
		timer.Reset(p.wait)
		select {
		case <-ctx.Done():
		case <-k.nudged:
		case <-timer.C:
		case a := <-answers:
			fetching = false
			c.settle(k, a)
		}
	}
	if fetching {
		<-answers
	}
}

// answer is the outcome of one fetch.
type answer struct {
	token  *Token
	err    error
	asked  time.Time
	lasted time.Duration
}

func (c *Cache) fetch(ctx context.Context, answers chan<- answer) {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.opts.AttemptTimeout)
	defer cancel()
	t, err := c.src.Fetch(ctx)
	if t == nil && err == nil {
		err = errors.New("the source gave neither a token nor an error")
	}
	answers <- answer{t, err, asked, time.Since(asked)}
}

// plan is what the keeper does next.
type plan struct {
	fetch bool          // start a fetch
	wait  time.Duration // then decide again after this
	rest  bool          // nothing to do until somebody calls
}

// plan moves the cache to the state that the clocks ask for, and decides.
func (c *Cache) plan(k *keeper) plan {
	c.mu.Lock()
	defer c.unlock()
	if c.keeper != k {
		return plan{rest: true}
	}
	now := time.Now()
	fetching := k.fetching
	c.withdraw(now)
	state := c.state(now)
	c.noticeUse(state == Stale, now)
	idle := !c.used && now.Sub(c.lastUse) > c.opts.KeepWarm
	wait := clockCheck
	var wants bool
	switch {
	case state == Expired:
		// Nobody waits, and nobody was ever served or not for long: the next caller starts over.
		if !fetching && c.waiters == 0 && (c.previous == nil || idle) {
			c.rest(now)
			return plan{rest: true}
		}
		wants = true
	case c.token.lasting(), state == Stale && !fetching && idle:
		c.rest(now)
		return plan{rest: true}
	case state == Stale:
		wants = true
		wait = min(wait, c.left(now)-margin)
	default:
		wait = min(wait, c.left(now)-margin)
		if !c.due.IsZero() {
			wait = min(wait, c.due.Sub(now))
		}
	}
	c.publish(now)
	if wants && !fetching {
		ready := c.pace.ready(now, c.waiters > 0)
		if !now.Before(ready) {
			c.pace.begin(now)
			c.count.fetches++
			k.fetching = true
			return plan{fetch: true, wait: wait}
		}
		wait = min(wait, ready.Sub(now))
	}
	return plan{wait: wait}
}
