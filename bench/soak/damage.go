package soak

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

const (
	// damageEvery is how many reads there are from one that is damaged to the next.
	damageEvery = 13
	// healthy is how long an object that was damaged is left alone. A client reads twice what it finds damaged; what is damaged then too it calls corrupt, rightly as
	// far as it can tell.
	healthy = 10 * time.Second
)

// damager damages replies to reads, in one way after the other.
type damager struct {
	every int
	kinds []*emulator.Faults // of one rule each
	on    atomic.Bool

	mu    sync.Mutex
	reads int
	turn  int
	last  map[string]time.Time // by path
}

func newDamager(every int) (*damager, error) {
	d := &damager{every: every, last: map[string]time.Time{}}
	for _, f := range damage() {
		faults, err := emulator.NewFaults(f)
		if err != nil {
			return nil, err
		}
		d.kinds = append(d.kinds, faults)
	}
	return d, nil
}

func (d *damager) wrap(next http.Handler) http.Handler {
	damaged := make([]http.Handler, len(d.kinds))
	for i, faults := range d.kinds {
		damaged[i] = faults.Wrap(emulator.ServerStorage, next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, ok := d.hits(r); ok {
			damaged[kind].ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hits tells how a request is to be damaged, if it is.
func (d *damager) hits(r *http.Request) (kind int, ok bool) {
	if !d.on.Load() || r.Method != http.MethodGet || r.URL.Query().Get("alt") != "media" {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.reads++
	path := r.URL.EscapedPath()
	if d.reads < d.every || now.Sub(d.last[path]) < healthy {
		return 0, false
	}
	kind = d.turn % len(d.kinds)
	if strings.HasSuffix(path, "HEAD") && d.kinds[kind].Rules()[0].Then.Effect == emulator.EffectSwap {
		return 0, false // a HEAD that is the HEAD of another job, whole and right, is not damage on the way
	}
	d.reads = 0
	d.turn++
	for p, at := range d.last {
		if now.Sub(at) >= healthy {
			delete(d.last, p)
		}
	}
	d.last[path] = now
	return kind, true
}

func (d *damager) fired() map[string]int64 {
	all := map[string]int64{}
	for _, faults := range d.kinds {
		for name, n := range faults.Fired() {
			all[name] += n
		}
	}
	return all
}
