package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// Sidecar is a case of the sidecar's process under load.
const Sidecar Kind = "sidecar"

// SidecarFigures are what clients of a sidecar saw, and what its process took. Sizes are bytes, as Linux tells them.
type SidecarFigures struct {
	Served int     `json:"served"`
	Shed   int     `json:"shed"`   // answered 429 or 503, at once or after the sidecar's patience
	Broken int     `json:"broken"` // no answer: refused, reset or none in time
	Cores  float64 `json:"cores"`  // processor time of the process over the time of the load
	Peak   int64   `json:"peak_bytes"`
	Anon   int64   `json:"anonymous_bytes"` // at the end of the load: what the process allocated
	File   int64   `json:"mapped_bytes"`    // at the same time: pages of its program, which the kernel can take back
}

// The goals of the sidecar, for all of its process.
const (
	sidecarMemory = 64 << 20
	sidecarCores  = 0.15
)

func sidecarCases() []Case {
	return []Case{{
		Name: "sidecar-rate", Kind: Sidecar, rounds: 1,
		About: "`tidemark metadata serve` as a process of its own: 1,000 requests for a token a second over 32 connections for 20 s",
		Goal:  "every request served, ≤ 64 MiB, ≤ 0.15 core",
		reached: func(r Result) bool {
			f := r.Sidecar
			return f.Shed == 0 && f.Broken == 0 && f.Peak <= sidecarMemory && f.Cores <= sidecarCores
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			const clients, every = 32, 32 * time.Millisecond
			lasts := s.pick(2*time.Second, 20*time.Second, time.Minute)
			return s.besideSidecar(ctx, c, func(p *sidecarProcess) (Result, error) { return steadily(ctx, p, clients, every, lasts) })
		},
	}, {
		Name: "sidecar-burst", Kind: Sidecar, rounds: 1,
		About: "10,000 connections at once, each with a request for a token that the sidecar does not hold, whose upstream takes 3 s; then " +
			"100 requests for one that it holds, which count for the latency",
		Goal: "≤ 64 MiB, 100 served afterwards",
		reached: func(r Result) bool {
			return r.Sidecar.Peak <= sidecarMemory && *r.Errors == 0
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			crowd := 10_000
			if s.quick {
				crowd = 1_000
			}
			return s.besideSidecar(ctx, c, func(p *sidecarProcess) (Result, error) { return atOnce(ctx, p, crowd) })
		},
	}}
}

// steadily asks at a fixed rate, whether answers come or not.
func steadily(ctx context.Context, p *sidecarProcess, clients int, every, lasts time.Duration) (Result, error) {
	seen := &tally{}
	var served, shed, broken atomic.Int64
	before, began := p.cpu(), time.Now()
	crowd(clients, func(i int) {
		var link *link
		defer func() { link.close() }()
		next := time.NewTimer(every * time.Duration(i) / time.Duration(clients))
		defer next.Stop()
		for due := began; ; {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			due = due.Add(every)
			if time.Since(began) > lasts {
				return
			}
			s, asked := seen.begin(every), time.Now()
			status, err := link.ask(&link, p.addr, p.held, 5*time.Second)
			seen.end(s, sample{began: asked, ended: time.Now(), every: every, err: err}, "")
			sortOut(status, err, &served, &shed, &broken)
			next.Reset(max(time.Until(due), 0))
		}
	})
	took := time.Since(began)
	memory := p.memory()
	v := seen.between(began, time.Now())
	r := Result{Latency: v.latency(), Sidecar: &SidecarFigures{
		Served: int(served.Load()), Shed: int(shed.Load()), Broken: int(broken.Load()),
		Cores: (p.cpu() - before).Seconds() / took.Seconds(), Peak: memory.Peak, Anon: memory.Anon, File: memory.File,
	}}
	calls, failed, fetches := len(v.samples), 0, len(p.upstream.fetches())
	if n, last := v.errors(); n > 0 {
		failed, r.LastError = n, last.Error()
	}
	r.Calls, r.Errors, r.Fetches = &calls, &failed, &fetches
	return r, ctx.Err()
}

// atOnce is a crowd, and a look at what is left of the sidecar after it.
func atOnce(ctx context.Context, p *sidecarProcess, callers int) (Result, error) {
	var served, shed, broken atomic.Int64
	var last atomic.Value
	before, began := p.cpu(), time.Now()
	crowd(callers, func(int) {
		var link *link
		defer func() { link.close() }()
		status, err := link.ask(&link, p.addr, p.unknown, 30*time.Second)
		if err != nil {
			last.Store(err.Error())
		}
		sortOut(status, err, &served, &shed, &broken)
	})
	took := time.Since(began)
	cores, memory := (p.cpu()-before).Seconds()/took.Seconds(), p.memory()
	seen := &tally{}
	began = time.Now()
	for range 100 {
		var link *link
		s, asked := seen.begin(0), time.Now()
		status, err := link.ask(&link, p.addr, p.held, 5*time.Second)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("HTTP %d after the burst", status)
		}
		seen.end(s, sample{began: asked, ended: time.Now(), err: err}, "")
		link.close()
	}
	v := seen.between(began, time.Now())
	failed, lastError := v.errors()
	fetches := len(p.upstream.fetches())
	r := Result{Latency: v.latency(), Calls: &callers, Errors: &failed, Fetches: &fetches, Sidecar: &SidecarFigures{
		Served: int(served.Load()), Shed: int(shed.Load()), Broken: int(broken.Load()),
		Cores: cores, Peak: memory.Peak, Anon: memory.Anon, File: memory.File,
	}}
	if text, ok := last.Load().(string); ok {
		r.LastError = text
	}
	if lastError != nil {
		r.LastError = lastError.Error()
	}
	return r, ctx.Err()
}

func sortOut(status int, err error, served, shed, broken *atomic.Int64) {
	switch {
	case err != nil:
		broken.Add(1)
	case status == http.StatusOK:
		served.Add(1)
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		shed.Add(1)
	default:
		broken.Add(1)
	}
}
