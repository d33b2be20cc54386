package credentials

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// margin is how long before its expiry a token is withdrawn: a request that was authorised with it may
	// still be on its way when it dies, and a timer may be late on a busy machine.
	margin = 1500 * time.Millisecond

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
	c.noticeUse(state, now)
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
	c.noticeUse(Stale, now)
	c.token, c.due, c.used = nil, time.Time{}, false
	c.pace.restart(now)
	c.publish(now)
}

// noticeUse keeps lastUse: when a token's turn ends, for the calls that left no other trace.
func (c *Cache) noticeUse(state State, now time.Time) {
	if served := c.count.stale.Load(); served != c.count.staleSeen || c.used && state == Stale {
		c.count.staleSeen = served
		c.lastUse = now
	}
}

// news tells those who wait to look again.
func (c *Cache) news() {
	close(c.turn)
	c.turn = make(chan struct{})
}

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
