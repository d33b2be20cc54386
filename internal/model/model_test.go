package main

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var large = flag.Bool("large", false, "explore the larger worlds too")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProtocolHolds(t *testing.T) {
	for _, c := range worlds {
		if c.large && !*large {
			continue // they take a minute; -large or `go run ./internal/model -large`
		}
		t.Run(c.name, func(t *testing.T) {
			m, r := explored(c)
			switch {
			case r.broken != "":
				t.Fatalf("%s:\n%s", r.broken, story(m, r))
			case !r.whole:
				t.Fatalf("stopped after %d states", r.states)
			}
			t.Logf("%d states, %d edges, %d steps deep", r.states, r.edges, r.depth)
		})
	}
}

var results = map[string]outcome{}

// explored searches a world once for all tests.
func explored(c config) (*model, outcome) {
	m := newModel(c, none)
	m.alone = isSmall(c)
	r, ok := results[c.name]
	if !ok {
		r = m.search(limit)
		results[c.name] = r
	}
	return m, r
}

func TestMutants(t *testing.T) {
	tried := map[mutant]bool{none: true}
	for _, trial := range trials {
		tried[trial.mutant] = true
		t.Run(trial.what, func(t *testing.T) {
			for _, c := range trial.worlds() {
				m := trial.model(c)
				r := m.search(limit)
				if r.broken != trial.breaks {
					t.Fatalf("in %q: found %q, want %q\n%s", c.name, r.broken, trial.breaks, story(m, r))
				}
				if r.broken == "" && !r.whole {
					t.Fatalf("in %q: stopped after %d states", c.name, r.states)
				}
				if got := strings.Count(story(m, r), "\n"); got != len(r.trace) {
					t.Errorf("the story has %d lines for %d steps", got, len(r.trace))
				}
			}
		})
	}
	for m := range mutants {
		if !tried[m] {
			t.Errorf("mutant %d is tried nowhere", m)
		}
	}
}

// The worlds with collectors at their worst must not be blind to what the step-by-step ones see.
func TestAdversaryCatchesMutants(t *testing.T) {
	for _, trial := range trials {
		if trial.breaks == "" || trial.mutant == deleteOnUnknown || trial.mutant == repairUnchecked {
			continue // the one is not about collectors; the other needs to see what they have deleted
		}
		t.Run(trial.what, func(t *testing.T) {
			c := trial.world
			c.adversary = true
			if r := trial.model(c).search(limit); r.broken == "" {
				t.Errorf("not caught in %d states", r.states)
			}
		})
	}
}

// A world in which nothing goes wrong for anybody shows nothing.
func TestEverythingHappens(t *testing.T) {
	var seen coverage
	for _, c := range worlds {
		if c.large {
			continue
		}
		_, r := explored(c)
		for a, n := range r.seen.acts {
			seen.acts[a] += n
		}
		for v, n := range r.seen.results {
			seen.results[v] += n
		}
	}
	for a, n := range seen.acts {
		// The last two are the ways in which two mutants hear things.
		if (n == 0) != (act(a) == hearsRefusal || act(a) == hearsNothing) {
			t.Errorf("act %d happened %d times", a, n)
		}
	}
	for v, n := range seen.results {
		if n == 0 {
			t.Errorf("no save was ever %s", result(v))
		}
	}
}

func story(m *model, r outcome) string {
	var b bytes.Buffer
	m.printTrace(&b, r.trace)
	return b.String()
}
