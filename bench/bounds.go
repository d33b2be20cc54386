package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

func mutex() Contender {
	const window = 10 * time.Second
	return Contender{
		Name:   "mutex",
		About:  "what one writes in ten minutes: a mutex, a clock, and a GET under the lock from 10 s before expiry",
		Window: window,
		Open: func(e Endpoint) (Client, error) {
			return &mutexClient{fetcher: NewFetcher(e), window: window}, nil
		},
	}
}

type mutexClient struct {
	fetcher *Fetcher
	window  time.Duration

	mu     sync.Mutex
	value  string
	expiry time.Time
}

func (c *mutexClient) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Until(c.expiry) > c.window {
		return c.value, nil
	}
	value, expiry, err := c.fetcher.Fetch(ctx)
	if err != nil {
		return "", err
	}
	c.value, c.expiry = value, expiry
	return value, nil
}

func (c *mutexClient) Loop(n int) error {
	ctx := context.Background()
	for range n {
		if _, err := c.Token(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *mutexClient) Close() error { return nil }

func atomicLoad() Contender {
	return Contender{
		Name: "atomic-load", Bound: true,
		About: "bound: one atomic load of a pointer to a token that never expires",
		Open: func(Endpoint) (Client, error) {
			c := &atomicClient{}
			value := "token"
			c.value.Store(&value)
			return c, nil
		},
	}
}

type atomicClient struct{ value atomic.Pointer[string] }

func (c *atomicClient) Token(context.Context) (string, error) { return *c.value.Load(), nil }

func (c *atomicClient) Loop(n int) error {
	for range n {
		if c.value.Load() == nil {
			return context.Canceled // never: it keeps the load from being optimised away
		}
	}
	return nil
}

func (c *atomicClient) Close() error { return nil }

func clock() Contender {
	return Contender{
		Name: "time-now", Bound: true,
		About: "bound: time.Now, which every cache calls that compares expiries itself",
		Open:  func(Endpoint) (Client, error) { return clockClient{}, nil },
	}
}

type clockClient struct{}

func (clockClient) Token(context.Context) (string, error) { return "token", nil }

func (clockClient) Loop(n int) error {
	for range n {
		if time.Now().IsZero() {
			return context.Canceled // never
		}
	}
	return nil
}

func (clockClient) Close() error { return nil }
