package sidecar

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tidemark-go/tidemark/credentials"
)

// pool holds one cache per identity: those of the configured accounts for ever, the others as long as they are among
// the most recently used. What a client asks for can therefore never drive out what the server is there for.
type pool struct {
	mu     sync.Mutex
	closed bool
	pinned map[string]*identity
	others *simplelru.LRU[string, *identity]
	past   tally // of caches that were driven out

	leaving sync.WaitGroup
}

// identity is a cache and what the server knows about its token.
type identity struct {
	cache *credentials.Cache
	seen  atomic.Pointer[deadline]
}

// deadline is the end of a token on the monotonic clock.
type deadline struct {
	token *credentials.Token
	at    time.Time
}

func newPool(size int) *pool {
	p := &pool{pinned: make(map[string]*identity)}
	others, err := simplelru.NewLRU(size, func(_ string, id *identity) { p.retire(id) })
	if err != nil {
		panic(err) // the size is above zero by Options.withDefaults
	}
	p.others = others
	return p
}

// retire ends a cache that was driven out. It is called with mu held, and ending may take until a fetch has been cancelled.
func (p *pool) retire(id *identity) {
	p.leaving.Go(func() {
		_ = id.cache.Close()
		s := id.cache.Stats()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.past.add(&s)
	})
}

func (p *pool) pin(key string, c *credentials.Cache) *identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := &identity{cache: c}
	p.pinned[key] = id
	return id
}

func (p *pool) pins() []*identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]*identity, 0, len(p.pinned))
	for _, id := range p.pinned {
		ids = append(ids, id)
	}
	return ids
}

func (p *pool) lookup(key string) *identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lookupLocked(key)
}

func (p *pool) lookupLocked(key string) *identity {
	if id := p.pinned[key]; id != nil {
		return id
	}
	id, _ := p.others.Get(key)
	return id
}

// add puts a cache in, unless somebody else was faster.
func (p *pool) add(key string, src credentials.Source, o *credentials.Options) (*identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, credentials.ErrClosed
	}
	if id := p.lookupLocked(key); id != nil {
		return id, nil
	}
	id := &identity{cache: credentials.New(src, o)}
	p.others.Add(key, id)
	return id, nil
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, id := range p.pinned {
		p.retire(id)
	}
	p.pinned = nil
	p.others.Purge()
	p.mu.Unlock()
	p.leaving.Wait()
}

// stats are the counters of every cache that is held, and the sum with those that are not any more.
func (p *pool) stats() ([]credentials.Stats, tally) {
	p.mu.Lock()
	ids := p.others.Values()
	for _, id := range p.pinned {
		ids = append(ids, id)
	}
	sum := p.past
	p.mu.Unlock()
	all := make([]credentials.Stats, 0, len(ids))
	for _, id := range ids {
		s := id.cache.Stats()
		sum.add(&s)
		all = append(all, s)
	}
	return all, sum
}

// left is what remains of a token by the clock that says less: the monotonic one stands still while the machine is
// suspended, and the wall clock may be set back.
func (id *identity) left(t *credentials.Token, now time.Time) time.Duration {
	wall := t.Expiry().Sub(now.Round(0))
	d := id.seen.Load()
	if d == nil || d.token != t {
		left := wall
		// The cache knows the monotonic end; it may have replaced the token by now, by one that ends later.
		if s := id.cache.Stats(); s.LeftSeconds > 0 {
			left = min(left, time.Duration(s.LeftSeconds*float64(time.Second)))
		}
		d = &deadline{t, now.Add(left)}
		id.seen.Store(d)
	}
	return min(wall, d.at.Sub(now))
}
