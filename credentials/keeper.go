package credentials

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// clockCheck is how often the wall clock is looked at while a token is served. A suspended machine stops
	// the timers, which then run late by the length of the suspension.
	clockCheck = 5 * time.Second

	// maxFlights is how many attempts may be under way at once: see [pace.beside].
	maxFlights = 2
)

// keeper is the background work of a cache: the one goroutine that fetches, publishes and withdraws.
type keeper struct {
	cancel context.CancelFunc
	nudged chan struct{}
	done   chan struct{}

	// Guarded by the cache's lock:
	flights  int       // attempts under way
	round    int       // of attempts: a success ends it, and calls the others off
	checking bool      // a look at a watched source is under way
	checkAt  time.Time // when the next one is due

	// Of the keeper's own goroutine: the context of the attempts of this round, and its end.
	attempts context.Context
	callOff  context.CancelFunc
}

func (k *keeper) nextRound(ctx context.Context) { k.attempts, k.callOff = context.WithCancel(ctx) }

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
		if c.keeper.flights > 0 {
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
	answers, checks := make(chan answer, maxFlights), make(chan bool, 1)
	var others sync.WaitGroup
	defer others.Wait()
	k.nextRound(ctx)
	defer func() { k.callOff() }()
	for {
		p := c.plan(k)
		if p.rest {
			return
		}
		if p.fetch {
			attempt := k.attempts
			others.Go(func() { answers <- c.fetch(attempt, p.round) })
			continue // to decide how long this one may hang
		}
		if p.check {
			others.Go(func() { checks <- c.watch.changed() })
		}
		timer.Reset(p.wait)
		select {
		case <-ctx.Done():
		case <-k.nudged:
		case <-timer.C:
		case changed := <-checks:
			c.settleCheck(k, changed)
		case a := <-answers:
			if c.settle(k, a) {
				k.callOff()
				k.nextRound(ctx)
			}
		}
	}
}

// answer is the outcome of one fetch.
type answer struct {
	token  *Token
	err    error
	round  int
	asked  time.Time
	lasted time.Duration
}

func (c *Cache) fetch(ctx context.Context, round int) answer {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.opts.AttemptTimeout)
	defer cancel()
	t, err := c.src.Fetch(ctx)
	if t == nil && err == nil {
		err = errors.New("the source gave neither a token nor an error")
	}
	return answer{t, err, round, asked, time.Since(asked)}
}

// plan is what the keeper does next.
type plan struct {
	fetch bool          // start a fetch
	round int           // of which round it is
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
	p := plan{wait: clockCheck, round: k.round}
	switch {
	case state == Expired:
		// Nobody waits, and nobody was ever served or not for long: the next caller starts over.
		p.rest = k.flights == 0 && c.waiters == 0 && (c.previous == nil || idle)
	case c.unattended():
		p.rest = true
	case state == Stale || c.token.lasting():
		p.rest = k.flights == 0 && idle
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
	ready, allowed := c.pace.ready(now, awaited), true
	if k.flights > 0 {
		// A source that runs a program is never run twice at once.
		ready, allowed = c.pace.beside(c.opts.AttemptTimeout, c.token != nil, awaited)
		allowed = allowed && k.flights < maxFlights && patienceOf(c.src) == 0
	}
	switch {
	case !allowed:
	case now.Before(ready):
		p.wait = min(p.wait, ready.Sub(now))
	default:
		c.pace.begin(now)
		c.count.fetches++
		k.flights++
		p.fetch = true
	}
}
