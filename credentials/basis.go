package credentials

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// basisKept is how long the token below a derived one is used again. A derived token is fetched once an
	// hour, so this is about retries alone: they must not cost a fetch below each.
	basisKept = 5 * time.Minute

	// basisLeft is the life that it must have left for that.
	basisLeft = time.Minute
)

// basis is the source below a derived one, such as that of an impersonated account.
type basis struct {
	src Source

	mu       sync.Mutex
	held     *Token
	received time.Time
}

// use hands a token of the basis to ask. A kept token that is refused is replaced, and ask asked once more.
func (b *basis) use(ctx context.Context, ask func(*Token) (*Token, error)) (*Token, error) {
	token, kept, err := b.get(ctx)
	if err != nil {
		return nil, err
	}
	derived, err := ask(token)
	if err == nil || !errors.Is(err, ErrRefused) {
		return derived, err
	}
	b.drop(token)
	if !kept {
		return nil, err
	}
	if token, _, err = b.get(ctx); err != nil {
		return nil, err
	}
	return ask(token)
}

// get returns a token, and whether it is one that was kept.
func (b *basis) get(ctx context.Context) (*Token, bool, error) {
	b.mu.Lock()
	held, received := b.held, b.received
	b.mu.Unlock()
	if now := time.Now(); held != nil && now.Sub(received) < basisKept && held.remaining(now, now) > basisLeft {
		return held, true, nil
	}
	t, err := b.src.Fetch(ctx)
	if err != nil {
		return nil, false, classified(err, b.src)
	}
	if !t.lasting() { // who knows no expiry may have a newer one the next time
		b.mu.Lock()
		b.held, b.received = t, time.Now()
		b.mu.Unlock()
	}
	return t, false, nil
}

func (b *basis) drop(t *Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == t {
		b.held = nil
	}
}

// patience of a derived source: its own request comes on top of what the basis needs.
func (b *basis) patience() time.Duration {
	if p := patienceOf(b.src); p > 0 {
		return p + attemptTime
	}
	return 0
}
