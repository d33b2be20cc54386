package credentials

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// clockCheck is how often the wall clock is looked at while a token is served. A suspended machine stops
	// the timers, which then run late by the length of the suspension.
	clockCheck = 5 * time.Second

	// maxFlights is how many attempts may be under way at once; then the oldest makes room. With the default
	// [Options.AttemptTimeout] and [leastHang] it never has to.
	maxFlights = 6
)

// keeper is the background work of a cache: the one goroutine that fetches, publishes and withdraws.
type keeper struct {
	ctx    context.Context
	cancel context.CancelFunc
	nudged chan struct{}
	done   chan struct{}

	// Guarded by the cache's lock:
	flights  []*flight // attempts under way whose answers are wanted, the oldest first
	checking bool      // a look at a watched source is under way
	checkAt  time.Time // when the next one is due
}

// flight is one attempt that is under way.
type flight struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// takeOff begins an attempt. Where there are too many, all of which hang, the oldest is called off.
func (k *keeper) takeOff() *flight {
	if len(k.flights) >= maxFlights {
		k.callOff(1)
	}
	f := new(flight)
	f.ctx, f.cancel = context.WithCancel(k.ctx)
	k.flights = append(k.flights, f)
	return f
}

// land ends one, and reports whether its answer is still wanted.
func (k *keeper) land(f *flight) bool {
	f.cancel()
	under := len(k.flights)
	k.flights = slices.DeleteFunc(k.flights, func(g *flight) bool { return g == f })
	return len(k.flights) < under
}

// callOff ends the oldest attempts.
func (k *keeper) callOff(oldest int) {
	for _, f := range k.flights[:oldest] {
		f.cancel()
	}
	k.flights = slices.Delete(k.flights, 0, oldest)
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
	c.keeper = &keeper{ctx: ctx, cancel: cancel, nudged: make(chan struct{}, 1), done: make(chan struct{})}
	go c.keep(c.keeper)
}

// rest lets the keeper go. A token of known expiry is then no longer in the open, since nobody would
// withdraw it; the next call looks at the clock and wakes a new keeper.
func (c *Cache) rest(now time.Time) {
	if c.keeper != nil {
		if len(c.keeper.flights) > 0 {
			c.pace.abandon(c.token != nil)
		}
		c.keeper.cancel()
		c.keeper = nil
	}
	c.publish(now)
}

// keep is the life of a keeper. A fetch runs beside it, so that a server that hangs cannot keep a token
// from being withdrawn.
func (c *Cache) keep(k *keeper) {
	defer close(k.done)
	defer k.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	answers, checks := make(chan answer), make(chan bool, 1)
	var others sync.WaitGroup
	defer others.Wait()
	for {
		p := c.plan(k)
		if p.rest {
			return
		}
		if p.fetch != nil {
			others.Go(func() {
				select {
				case answers <- c.fetch(p.fetch):
				case <-k.ctx.Done():
				}
			})
			continue // to decide how long this one may hang
		}
		if p.check {
			others.Go(func() { checks <- c.watch.changed() })
		}
		timer.Reset(p.wait)
		select {
		case <-k.ctx.Done():
		case <-k.nudged:
		case <-timer.C:
		case changed := <-checks:
			c.settleCheck(k, changed)
		case a := <-answers:
			c.settle(k, a)
		}
	}
}

// answer is the outcome of one fetch.
type answer struct {
	flight *flight
	token  *Token
	err    error
	asked  time.Time
	lasted time.Duration
}

func (c *Cache) fetch(f *flight) answer {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(f.ctx, c.opts.AttemptTimeout)
	defer cancel()
	t, err := c.src.Fetch(ctx)
	if t == nil && err == nil {
		err = errors.New("the source gave neither a token nor an error")
	}
	return answer{f, t, err, asked, time.Since(asked)}
}

// plan is what the keeper does next.
type plan struct {
	fetch *flight       // start this one
	check bool          // look whether a watched source has changed
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
	c.withdraw(now)
	state := c.state(now)
	c.noticeUse(state == Stale, now)
	idle := !c.used && now.Sub(c.lastUse) > c.opts.KeepWarm
	p := plan{wait: clockCheck}
	switch {
	case state == Expired:
		// Nobody waits, and nobody was ever served or not for long: the next caller starts over.
		p.rest = len(k.flights) == 0 && c.waiters == 0 && (c.previous == nil || idle)
	case c.unattended():
		p.rest = true
	case state == Stale || c.token.lasting():
		p.rest = len(k.flights) == 0 && idle
	}
	if p.rest {
		c.rest(now)
		return p
	}
	if state != Expired && !c.token.lasting() {
		p.wait = min(p.wait, c.left(now)-margin)
	}
	if state == Fresh && !c.due.IsZero() {
		p.wait = min(p.wait, c.due.Sub(now))
	}
	c.publish(now)
	if state != Fresh {
		c.planFetch(&p, k, now)
	} else if c.watch != nil && !k.checking {
		if p.check = !now.Before(k.checkAt); p.check {
			k.checking, k.checkAt = true, now.Add(clockCheck)
		}
		p.wait = min(p.wait, k.checkAt.Sub(now))
	}
	return p
}

// planFetch decides when to ask the source, and begins at once if that is now.
func (c *Cache) planFetch(p *plan, k *keeper, now time.Time) {
	awaited := c.waiters > 0
	serving := c.serving(now)
	ready, allowed := c.pace.ready(now, serving > 0, awaited), true
	if len(k.flights) > 0 {
		ready, allowed = c.pace.beside(now, c.latency.hanging(c.opts.AttemptTimeout, c.pace.last != nil), serving, awaited)
		// A source that runs a program is never run twice at once.
		allowed = allowed && patienceOf(c.src) == 0
	}
	switch {
	case !allowed:
	case now.Before(ready):
		p.wait = min(p.wait, ready.Sub(now))
	default:
		c.pace.begin(now, serving)
		c.count.fetches++
		p.fetch = k.takeOff()
	}
}
