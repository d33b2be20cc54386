package bench

import (
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// darkness is the shortest time without a successful call that counts as dark. Callers ask every few milliseconds;
	// what is shorter may be the machine's own hiccup.
	darkness = 250 * time.Millisecond

	// lateness is how long past its own deadline a caller may be held before that counts: a timer and the scheduler of
	// a busy machine take some of it.
	lateness = 20 * time.Millisecond
)

// sample is one call as its caller saw it.
type sample struct {
	began, ended time.Time
	every        time.Duration // after which the caller would have come again; 0 if it comes once
	renewed      bool          // it brought another token than the first
	held         bool          // it had not ended when the case did: neither a success nor an error yet
	err          error
}

// tally is what the callers of one contender in one case saw.
type tally struct {
	mu      sync.Mutex
	first   string // the token at the start
	samples []sample
	pending map[*sample]struct{}
	renewed time.Time // when another token was first seen
}

// begin notes a call that is under way.
func (t *tally) begin(every time.Duration) *sample {
	s := &sample{began: time.Now(), every: every}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil {
		t.pending = map[*sample]struct{}{}
	}
	t.pending[s] = struct{}{}
	return s
}

// end replaces it by what became of it.
func (t *tally) end(s *sample, done sample, token string) {
	t.mu.Lock()
	delete(t.pending, s)
	t.mu.Unlock()
	t.add(done, token)
}

func (t *tally) add(s sample, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.err == nil && token != t.first {
		s.renewed = true
		if t.renewed.IsZero() {
			t.renewed = s.ended
		}
	}
	t.samples = append(t.samples, s)
}

func (t *tally) renewedAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.renewed
}

// between is the part of a tally of the calls that ended in a stretch of time, and of those that are still under way with
// what they have waited so far.
func (t *tally) between(from, to time.Time) view {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := view{from: from, to: to}
	for _, s := range t.samples {
		if !s.ended.Before(from) && !s.ended.After(to) {
			v.samples = append(v.samples, s)
		}
	}
	for s := range t.pending {
		v.samples = append(v.samples, sample{began: s.began, ended: to, every: s.every, held: true})
	}
	return v
}

type view struct {
	from, to time.Time
	samples  []sample
}

// errors counts the calls that failed, and returns one such error.
func (v view) errors() (n int, last error) {
	for _, s := range v.samples {
		if s.err != nil {
			n, last = n+1, s.err
		}
	}
	return n, last
}

// dark returns the stretches of more than darkness in which no call succeeded.
func (v view) dark() (spans [][2]time.Time, total time.Duration) {
	served := []time.Time{v.from, v.to}
	for _, s := range v.samples {
		if s.err == nil && !s.held {
			served = append(served, s.ended)
		}
	}
	slices.SortFunc(served, time.Time.Compare)
	for i := range served[1:] {
		if gap := served[i+1].Sub(served[i]); gap > darkness {
			spans = append(spans, [2]time.Time{served[i], served[i+1]})
			total += gap
		}
	}
	return spans, total
}

// Latency are quantiles of how long calls took, in seconds.
type Latency struct {
	P50  float64 `json:"p50_seconds"`
	P99  float64 `json:"p99_seconds"`
	P999 float64 `json:"p999_seconds"`
	Max  float64 `json:"max_seconds"`
}

// latency is nil without calls. Callers that ask every so often and are held up would have asked again meanwhile: those
// calls count, with the waits they would have had, or else a long wait would hide behind how few it let happen.
func (v view) latency() *Latency {
	var waits []time.Duration
	for _, s := range v.samples {
		wait := s.ended.Sub(s.began)
		waits = append(waits, wait)
		if s.every > 0 {
			for wait -= s.every; wait >= s.every; wait -= s.every {
				waits = append(waits, wait)
			}
		}
	}
	if waits == nil {
		return nil
	}
	slices.Sort(waits)
	return &Latency{
		P50: quantile(waits, 0.5).Seconds(), P99: quantile(waits, 0.99).Seconds(),
		P999: quantile(waits, 0.999).Seconds(), Max: waits[len(waits)-1].Seconds(),
	}
}

// quantile is the smallest of the sorted values that is no less than a share q of them.
func quantile[T any](sorted []T, q float64) T {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// median of unsorted values; the lower one of two.
func median(values []float64) float64 {
	return quantile(slices.Sorted(slices.Values(values)), 0.5)
}
