package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/tidemark-go/tidemark/bench/soak"
)

// SoakOptions of [RunSoak]. The zero value and a nil pointer run for an hour in 64 MiB.
type SoakOptions struct {
	For  time.Duration // how long faults befall the jobs; what comes after takes less than a minute. Default one hour, at least 5 s
	Seed uint64        // of the states and of the faults; which request meets which fault depends on time all the same. Default drawn
	Pace time.Duration // from one save of a job to its next. Default 2 s
	// Memory is what the process under test may have, in bytes. Default 64 MiB.
	Memory int64
	Dir    string // for the jobs' states and for what is restored: some 100 MiB. Default that of temporary files
	// Out is a directory for report.json, report.html and violations.jsonl. Default none.
	Out      string
	Progress io.Writer // told every 10 s how it goes. Default nobody

	swift bool // jobs need not wait a second for their next write of HEAD: everything fits into seconds
}

const (
	defaultSoak   = time.Hour
	leastSoak     = 5 * time.Second
	longSoak      = 10 * time.Minute // from here on times are as in life
	defaultPace   = 2 * time.Second
	soakMemory    = 64 << 20
	soakGoLimit   = "GOMEMLIMIT=22MiB" // as docs/operations.md has it for a container of 64 MiB: packs lie outside of the heap
	soakSamples   = 720                // at most: one in 5 s of an hour
	progressEvery = 10 * time.Second
)

func (o *SoakOptions) withDefaults() (SoakOptions, error) {
	var own SoakOptions
	if o != nil {
		own = *o
	}
	if own.For == 0 {
		own.For = defaultSoak
	}
	if own.For < leastSoak {
		return own, fmt.Errorf("%w: %s is too short for every fault to happen; at least %s are needed", ErrUsage, own.For, leastSoak)
	}
	if own.Pace < 0 || own.Memory < 0 {
		return own, fmt.Errorf("%w: the pace %s and the memory %d cannot be negative", ErrUsage, own.Pace, own.Memory)
	}
	if own.Pace == 0 {
		own.Pace = defaultPace
	}
	if own.Memory == 0 {
		own.Memory = soakMemory
	}
	if own.Seed == 0 {
		own.Seed = rand.Uint64()
	}
	if own.Progress == nil {
		own.Progress = io.Discard
	}
	return own, nil
}

// SoakSettings are what a soak was run with.
type SoakSettings struct {
	Seconds      float64 `json:"seconds"` // for which faults befell the jobs
	Seed         uint64  `json:"seed"`
	PaceSeconds  float64 `json:"pace_seconds"`
	Memory       int64   `json:"memory"`
	Group        string  `json:"group"` // of the memory cgroup: its limit, or why there is none
	GoLimit      string  `json:"go_limit"`
	TokenSeconds float64 `json:"token_seconds"`     // life of a token
	ReuseSeconds float64 `json:"reuse_seconds"`     // the metadata server repeats a token until so much is left of it
	Closing      int64   `json:"closing"`           // a connection is closed every so many requests
	Patience     float64 `json:"patience_seconds"`  // after which the caller of an operation gives up
	RetrySeconds float64 `json:"retry_for_seconds"` // checkpoint.Options.RetryFor
}

// times are the measures of a run: as in life when it is long, shortened so that everything happens when it is short.
type soakTimes struct {
	cloud soak.CloudOptions
	plan  soak.Plan
	every time.Duration // a sample
}

func (o *SoakOptions) times() soakTimes {
	within := func(share int, least, most time.Duration) time.Duration {
		return min(max(o.For/time.Duration(share), least), most)
	}
	t := soakTimes{
		cloud: soak.CloudOptions{Seed: o.Seed, TokenLifetime: time.Minute, ReuseUntil: 10 * time.Second, Closing: 1000, Rarity: 5, Episode: within(50, time.Second/8, 8*time.Second), Swift: o.swift},
		plan: soak.Plan{Seed: o.Seed, Pace: o.Pace, Life: within(12, time.Second/2, 30*time.Second), Swift: o.swift,
			Patience: within(8, 2*time.Second, 30*time.Second), RetryFor: within(12, 1500*time.Millisecond, 20*time.Second)},
		every: max(o.For/soakSamples, time.Second/4),
	}
	if o.For < longSoak {
		t.cloud.TokenLifetime, t.cloud.ReuseUntil = within(6, 2*time.Second, time.Minute), within(36, time.Second/3, 10*time.Second)
		t.cloud.Closing, t.cloud.Rarity = 100, 1
	}
	return t
}

// RunSoak runs jobs, and everybody who works on them, against a store in which everything goes wrong: see the package bench/soak. It starts this same
// program again for the store, for the jobs, and for jobs that it kills: see [Child]. What was broken is in the report; the error is for what kept the soak from
// being run, and for the end of ctx.
func RunSoak(ctx context.Context, o *SoakOptions) (_ *SoakReport, err error) {
	own, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(own.Dir, "tidemark-soak-")
	if err != nil {
		return nil, fmt.Errorf("bench: a place for the jobs' states: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if own.Out != "" {
		if err := os.MkdirAll(own.Out, 0o755); err != nil {
			return nil, fmt.Errorf("bench: a place for the report: %w", err)
		}
	}
	s := &soakStage{SoakOptions: own, soakTimes: own.times(), dir: dir, began: time.Now()}
	s.report = &SoakReport{Environment: environment()}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	s.report.judge()
	if own.Out != "" {
		err = errors.Join(writeSoakJSON(filepath.Join(own.Out, "report.json"), s.report), s.report.WriteHTMLFile(filepath.Join(own.Out, "report.html")))
	}
	return s.report, err
}
