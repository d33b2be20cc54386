package credentials

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/oauth2"
)

// idleIdentities is how many caches without a user are remembered. Each is a token of a few KiB; a process
// with more identities than this pays one fetch when it comes back to the least recent one.
const idleIdentities = 256

var process = newRegistry(idleIdentities)

// registry keeps one cache per identity. Caches in use are held by their users' handles and never evicted.
// When the last handle is closed the background work ends and the cache moves, with its token and what it
// has learned, to the idle ones, so that a job that opens a client for each checkpoint fetches one token.
type registry struct {
	mu   sync.Mutex
	live map[string]*lease
	idle *simplelru.LRU[string, *Cache] // resting: evicting one leaves nothing behind
}

type lease struct {
	cache   *Cache
	handles int
}

func newRegistry(size int) *registry {
	idle, err := simplelru.NewLRU[string, *Cache](size, nil)
	if err != nil {
		panic(err) // the size is a constant above zero
	}
	return &registry{live: make(map[string]*lease), idle: idle}
}

// Handle is one user's hold on a cache that the process shares. All its methods may be called by any number
// of goroutines, until Close.
type Handle struct {
	registry *registry
	cache    *Cache
	once     sync.Once
}

// Shared returns the process's cache for the identity of src. The first caller's source and options are
// kept as long as the cache is known; later ones with the same identity join it. When the last handle is
// closed, everything that runs for the cache has ended; its token stays in memory for the next caller.
func Shared(src Source, o *Options) *Handle { return process.open(src, o) }

func (r *registry) open(src Source, o *Options) *Handle {
	id := src.Identity()
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.live[id]
	if l == nil {
		cache, known := r.idle.Get(id)
		if known {
			r.idle.Remove(id)
			cache.reopen()
		} else {
			cache = New(src, o)
		}
		l = &lease{cache: cache}
		r.live[id] = l
	}
	l.handles++
	return &Handle{registry: r, cache: l.cache}
}

func (r *registry) release(c *Cache) *keeper {
	id := c.src.Identity()
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.live[id]
	if l.handles--; l.handles > 0 {
		return nil
	}
	delete(r.live, id)
	r.idle.Add(id, c)
	return c.shut()
}

// Get returns a valid token: see [Cache.Get].
func (h *Handle) Get(ctx context.Context) (*Token, error) { return h.cache.Get(ctx) }

// Token makes the handle an oauth2.TokenSource: see [Cache.Token].
func (h *Handle) Token() (*oauth2.Token, error) { return h.cache.Token() }

// Invalidate drops a refused token: see [Cache.Invalidate].
func (h *Handle) Invalidate(t *Token) { h.cache.Invalidate(t) }

// Stats are those of the shared cache, not of this handle.
func (h *Handle) Stats() Stats { return h.cache.Stats() }

// Account names whom the tokens stand for: see [Cache.Account].
func (h *Handle) Account(ctx context.Context) (string, error) { return h.cache.Account(ctx) }

// String names the shared cache, not its content.
func (h *Handle) String() string { return h.cache.String() }

// Format is String under every verb.
func (h *Handle) Format(f fmt.State, _ rune) { h.cache.Format(f, 'v') }

// Close gives the hold up. The last one ends the cache's background work and waits for it.
func (h *Handle) Close() error {
	h.once.Do(func() { h.registry.release(h.cache).wait() })
	return nil
}
