package credentials

import (
	"slices"
	"sync/atomic"
	"time"
)

// counters are guarded by the cache's lock, except stale and waits, which callers touch without it.
type counters struct {
	stale     atomic.Int64
	waits     atomicHistogram
	fetchTime atomicHistogram

	staleSeen   int64 // stale when the keeper last looked
	fetches     int64
	coalesced   int64
	repeats     int64
	invalidated int64
	failures    [Misconfigured + 1]int64
	renewedAt   time.Time
}

// Stats is what a cache has done so far. Calls that were served a fresh token are not counted, since
// counting would cost more than serving; every other call is in StaleServes or in Waits.
type Stats struct {
	Identity      string    `json:"identity"`
	Account       string    `json:"account,omitempty"`
	State         string    `json:"state"`
	Fetches       int64     `json:"fetches"`       // attempts made upstream
	Repeats       int64     `json:"repeats"`       // of these, answered with the token already held
	Coalesced     int64     `json:"coalesced"`     // calls that joined a fetch already under way
	StaleServes   int64     `json:"stale_serves"`  // calls served while a refresh was due
	Invalidations int64     `json:"invalidations"` // tokens dropped because a service refused them
	Unavailable   int64     `json:"unavailable"`   // failed fetches by kind
	Refused       int64     `json:"refused"`
	Misconfigured int64     `json:"misconfigured"`
	AgeSeconds    float64   `json:"age_seconds"`        // since the token in hand was received, 0 without one
	LeftSeconds   float64   `json:"expires_in_seconds"` // until it expires, 0 without one or if unknown
	LastError     string    `json:"last_error,omitempty"`
	Waits         Histogram `json:"waits"`       // how long calls waited that found no valid token
	FetchTimes    Histogram `json:"fetch_times"` // how long fetches took, failed ones too
}

// Stats returns the counters as they are now.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	s := Stats{
		Identity:      c.src.Identity(),
		Fetches:       c.count.fetches,
		Repeats:       c.count.repeats,
		Coalesced:     c.count.coalesced,
		StaleServes:   c.count.stale.Load(),
		Invalidations: c.count.invalidated,
		Unavailable:   c.count.failures[Unavailable],
		Refused:       c.count.failures[Refused],
		Misconfigured: c.count.failures[Misconfigured],
		Waits:         c.count.waits.read(),
		FetchTimes:    c.count.fetchTime.read(),
	}
	state := c.state(now)
	if t := c.token; t != nil {
		s.Account = t.account
		s.AgeSeconds = now.Sub(c.count.renewedAt).Seconds()
		if !t.lasting() {
			s.LeftSeconds = max(c.left(now).Seconds(), 0)
			if c.left(now) <= margin { // a resting cache withdraws at the next call
				state = Expired
			}
		}
	}
	s.State = state.String()
	if c.pace.last != nil {
		s.LastError = c.pace.last.Error()
	}
	return s
}

// bounds are the upper ends of the buckets: a wait of microseconds is a handover, one of seconds an outage.
var bounds = []time.Duration{
	100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	300 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Histogram counts durations: Counts[i] of them up to BoundsSeconds[i], the last one beyond all bounds.
type Histogram struct {
	BoundsSeconds []float64 `json:"bounds_seconds"`
	Counts        []int64   `json:"counts"`
	Count         int64     `json:"count"`
	SumSeconds    float64   `json:"sum_seconds"`
}

type atomicHistogram struct {
	counts [10]atomic.Int64
	sum    atomic.Int64
}

func (h *atomicHistogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(bounds, d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *atomicHistogram) read() Histogram {
	r := Histogram{SumSeconds: time.Duration(h.sum.Load()).Seconds()}
	for _, b := range bounds {
		r.BoundsSeconds = append(r.BoundsSeconds, b.Seconds())
	}
	for i := range h.counts {
		n := h.counts[i].Load()
		r.Counts = append(r.Counts, n)
		r.Count += n
	}
	return r
}
