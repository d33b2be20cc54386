package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options of [Run]. The zero value and a nil pointer run every case with [Contenders].
type Options struct {
	Contenders []Contender // those there are; default [Contenders]

	Only  []string // names of contenders to run; default all
	Cases []string // names of cases to run; a name that ends in * stands for all that begin so; default all

	Sidecar []string // the command that runs the sidecar; without it the cases of the sidecar are left out

	Quick    bool // a smoke test: counts still mean something, times do not
	RealTime bool // outages take 60 s and token lives many minutes, as in life; about half an hour in all
	Repeat   int  // rounds of each case; default each case's own

	Progress io.Writer // told of each case in a line; default nobody
}

// Run measures. It sets GCE_METADATA_HOST for as long as it takes, so there must be but one at a time in a process.
// What cannot be measured is reported in its [Result]; the error is for wrong names, for a machine without loopback and
// for the end of ctx.
func Run(ctx context.Context, o *Options) (*Report, error) {
	var own Options
	if o != nil {
		own = *o
	}
	if own.Contenders == nil {
		own.Contenders = Contenders()
	}
	if own.Progress == nil {
		own.Progress = io.Discard
	}
	if own.Quick && own.RealTime {
		return nil, fmt.Errorf("%w: quick and real time exclude each other", ErrUsage)
	}
	contenders, err := choose("contender", own.Contenders, own.Only, func(c Contender) string { return c.Name })
	if err != nil {
		return nil, err
	}
	known := Cases()
	if own.Sidecar == nil {
		known = slices.DeleteFunc(known, func(c Case) bool { return c.Kind == Sidecar })
	}
	cases, err := choose("case", known, own.Cases, func(c Case) string { return c.Name })
	if err != nil {
		return nil, err
	}
	place, err := openSite()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	report := &Report{
		Environment: environment(),
		Settings:    Settings{Quick: own.Quick, RealTime: own.RealTime, Repeat: own.Repeat},
	}
	for _, c := range contenders {
		report.Contenders = append(report.Contenders, ContenderAbout{c.Name, c.About})
	}
	s := &stage{site: place, sidecar: own.Sidecar, quick: own.Quick, real: own.RealTime}
	for i, c := range cases {
		_, _ = fmt.Fprintf(own.Progress, "[%d/%d] %s: %s\n", i+1, len(cases), c.Name, c.About) // progress is worth no failure
		report.Cases = append(report.Cases, s.run(ctx, c, contenders, own.Repeat))
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(fmt.Errorf("bench: stopped in case %s: %w", c.Name, context.Cause(ctx)), place.close())
		}
	}
	report.Settings.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	report.Environment.LoadAfter = loadAverage()
	return report, place.close()
}

// ErrUsage says that the options make no sense.
var ErrUsage = errors.New("bench: wrong usage")

// choose picks by name, in the order of all.
func choose[T any](what string, all []T, names []string, nameOf func(T) string) ([]T, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []T
	used := make([]bool, len(names))
	for _, x := range all {
		hit := false
		for i, name := range names {
			prefix, open := strings.CutSuffix(name, "*")
			if name == nameOf(x) || open && strings.HasPrefix(nameOf(x), prefix) {
				hit, used[i] = true, true
			}
		}
		if hit {
			chosen = append(chosen, x)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		var known []string
		for _, x := range all {
			known = append(known, nameOf(x))
		}
		return nil, fmt.Errorf("%w: there is no %s %q; there are %s", ErrUsage, what, names[i], strings.Join(known, ", "))
	}
	return chosen, nil
}

// run plays a case with every contender.
func (s *stage) run(ctx context.Context, c Case, contenders []Contender, repeat int) CaseReport {
	rounds := c.rounds
	if s.quick {
		rounds = 1
	}
	if repeat > 0 {
		rounds = repeat
	}
	results := make([][]Result, len(contenders))
	for round := range rounds {
		var side sync.WaitGroup
		for turn := range contenders {
			i := (turn + round) % len(contenders)
			if contenders[i].Bound && c.Kind != Hot {
				continue
			}
			perform := func() {
				r, err := c.play(ctx, s, contenders[i])
				if errors.Is(err, errNotOffered) {
					return
				}
				if err != nil {
					r.Error = err.Error()
				}
				r.Contender = contenders[i].Name
				results[i] = append(results[i], r)
			}
			if c.together {
				side.Go(perform)
			} else if ctx.Err() == nil {
				perform()
			}
		}
		side.Wait()
	}
	report := CaseReport{Name: c.Name, About: c.About, Kind: c.Kind, Goal: c.Goal, Results: []Result{}}
	for _, rs := range results {
		if len(rs) > 0 {
			report.Results = append(report.Results, merge(rs))
		}
	}
	if !s.quick {
		report.judge(c.reached)
	}
	return report
}

// judge compares this project's result with the goal.
func (r *CaseReport) judge(reached func(Result) bool) {
	if reached == nil {
		return
	}
	for _, result := range r.Results {
		if result.Contender == subject {
			ok := result.Error == "" && reached(result)
			r.Reached = &ok
		}
	}
}
