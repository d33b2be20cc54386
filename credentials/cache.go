package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// Cache holds the token of one source. Its background work starts with the first call that needs it and
// ends with Close, or by itself when the cache is no longer used.
type Cache struct {
	// hot is the token while it is fresh and in use: Get loads it and is done. The keeper publishes and
	// withdraws it. It stays nil until the first call after each publication, which is how the cache knows,
	// at no cost to the calls after it, that it is in use.
	hot atomic.Pointer[Token]
	// aging takes hot's place while a refresh is due, so that stale serves can be counted.
	aging atomic.Pointer[Token]

	src   Source
	watch watched // src, if it can be watched
	opts  Options
	count counters

	mu       sync.Mutex
	closed   bool
	keeper   *keeper       // nil while the cache rests
	turn     chan struct{} // closed and replaced when there is news for those who wait
	waiters  int
	token    *Token    // in hand; nil before the first, after its withdrawal and when refused
	previous *Token    // the last one published, valid or not
	due      time.Time // when to refresh token; zero for never
	repeats  int       // how often the server repeated token
	used     bool      // token was asked for since it was published
	lastUse  time.Time // when a use was last noticed
	habit    habit
	latency  latency
	pace     pace
	refusals refusals
	notes    []func() // what to log once the lock is given back
}

// New makes a cache that is shared with nobody; see [Shared]. It asks for nothing before the first call.
func New(src Source, o *Options) *Cache {
	c := &Cache{src: src, opts: o.withDefaults(src), turn: make(chan struct{})}
	c.watch, _ = src.(watched)
	return c
}

// Get returns a valid token. It waits only while there is none, for as long as its own context allows, and
// then fails with an [*Error] that tells the last answer.
func (c *Cache) Get(ctx context.Context) (t *Token, err error) {
	// Written so that the compiler inlines it, which is half of its time; a test looks.
	if t = c.hot.Load(); t == nil {
		t, err = c.get(ctx)
	}
	return
}

func (c *Cache) get(ctx context.Context) (*Token, error) {
	if t := c.aging.Load(); t != nil {
		c.count.stale.Add(1)
		return t, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, c.gaveUp(err)
	}
	since := time.Now()
	t, turn, err := c.join(since)
	if t != nil || err != nil {
		return t, err
	}
	defer c.leave()
	defer func() { c.count.waits.add(time.Since(since)) }()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.Patience)
		defer cancel()
	}
	for {
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, c.gaveUp(ctx.Err())
		}
		if t, turn, err = c.look(since); t != nil || err != nil {
			return t, err
		}
	}
}

// join is a caller's first look. When it returns a channel the caller is counted as waiting.
func (c *Cache) join(now time.Time) (*Token, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.unlock()
	coalesced := c.keeper != nil
	t, turn, err := c.lookLocked(now, now)
	if turn != nil {
		c.waiters++
		c.keeper.nudge()
		if coalesced {
			c.count.coalesced++
		}
	}
	return t, turn, err
}

func (c *Cache) look(since time.Time) (*Token, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.unlock()
	return c.lookLocked(time.Now(), since)
}

func (c *Cache) leave() {
	c.mu.Lock()
	c.waiters--
	c.unlock()
}

// lookLocked returns the token, or why there will be none for a caller that came at since, or the channel
// that is closed when it is worth looking again.
func (c *Cache) lookLocked(now, since time.Time) (*Token, <-chan struct{}, error) {
	if c.closed {
		return nil, nil, ErrClosed
	}
	c.withdraw(now)
	c.lastUse = now
	if c.token == nil {
		if final := c.pace.final(now, since); final != nil {
			return nil, nil, c.report(final, now)
		}
		c.wake()
		return nil, c.turn, nil
	}
	c.used = true
	if !c.unattended() {
		c.wake()
	}
	c.publish(now)
	return c.token, nil, nil
}

// gaveUp is the error of a caller whose context ended.
func (c *Cache) gaveUp(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return fmt.Errorf("credentials: stopped waiting for a token from %s: %w", nameOf(c.src), cause)
	}
	c.mu.Lock()
	defer c.unlock()
	last := c.pace.last
	if last == nil {
		last = &Error{Kind: Unavailable, Source: nameOf(c.src), Err: errors.New("no answer yet"),
			Remedy: "retry, and allow more time if this persists"}
	}
	e := c.report(last, time.Now())
	e.Err = fmt.Errorf("%w (%w)", e.Err, cause)
	return e
}

// report is a failure as a caller sees it: with what it took.
func (c *Cache) report(e *Error, now time.Time) *Error {
	own := *e
	own.Attempts = c.pace.attempts
	if own.Attempts > 0 {
		own.Elapsed = now.Sub(c.pace.first)
	}
	return &own
}

// Token is Get for an oauth2.TokenSource, with [Options.Patience] for a deadline.
func (c *Cache) Token() (*oauth2.Token, error) {
	t, err := c.Get(context.Background())
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.Value(), TokenType: t.Type(), Expiry: t.Expiry()}, nil
}

// Account names whom the tokens stand for, asking the source if it must; empty if nobody knows.
func (c *Cache) Account(ctx context.Context) (string, error) {
	c.mu.Lock()
	t := c.previous
	c.mu.Unlock()
	if t != nil && t.account != "" {
		return t.account, nil
	}
	if n, ok := c.src.(AccountNamer); ok {
		return n.Account(ctx)
	}
	return "", nil
}

// Invalidate drops a token that a service has refused, if it is still the one in hand: however many callers
// report the same token, it costs one fetch. A service that refuses one token after another cannot cause a
// storm of fetches either: from the third one on that was refused from the start, a token is kept for 1 s,
// then 2 s and so on up to 1 min, whatever is said of it.
func (c *Cache) Invalidate(t *Token) {
	c.mu.Lock()
	defer c.unlock()
	now := time.Now()
	if t == nil || c.token != t || !c.refusals.allow(t, now, c.count.renewedAt) {
		return
	}
	c.count.invalidated++
	c.note(slog.LevelWarn, "token refused by the service, dropped", "source", nameOf(c.src), "account", t.account)
	c.drop(now)
	if c.keeper != nil {
		c.keeper.callOff(len(c.keeper.flights)) // an attempt that was sent before the refusal may bring what was refused
		c.keeper.nudge()
	}
}

// Close ends the background work, waits for it, and fails whoever still waits for a token.
func (c *Cache) Close() error {
	c.shut().wait()
	return nil
}

// shut is the part of Close that does not wait.
func (c *Cache) shut() *keeper {
	c.mu.Lock()
	defer c.unlock()
	c.closed = true
	k := c.keeper
	c.rest(time.Now())
	c.news()
	return k
}

// reopen undoes shut: the token in hand, if it is still valid, is served again.
func (c *Cache) reopen() {
	c.mu.Lock()
	defer c.unlock()
	c.closed = false
}

// note logs at the next unlock: a log may be a slow disk, and the lock is never held across I/O.
func (c *Cache) note(level slog.Level, msg string, args ...any) {
	c.notes = append(c.notes, func() { c.opts.Logger.Log(context.Background(), level, msg, args...) })
}

func (c *Cache) unlock() {
	notes := c.notes
	c.notes = nil
	c.mu.Unlock()
	for _, log := range notes {
		log()
	}
}

// String names the cache, not its content.
func (c *Cache) String() string { return "credentials cache of " + c.src.Identity() }

// Format is String under every verb: fmt would otherwise read fields that change meanwhile.
func (c *Cache) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
