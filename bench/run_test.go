package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSmoke plays short cases and asserts what was counted. Times are the machine's.
func TestSmoke(t *testing.T) {
	t.Setenv(metadataEnv, "127.0.0.1:1")
	var progress bytes.Buffer
	report, err := Run(t.Context(), &Options{
		Quick: true, Only: []string{"tidemark", "oauth2", "mutex", "atomic-load"},
		Cases: []string{"hot-1", "transport", "cold", "clients-100", "pod-start", "throttle"}, Progress: &progress,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := os.Getenv(metadataEnv); got != "127.0.0.1:1" {
		t.Errorf("%s is left at %q", metadataEnv, got)
	}
	if !strings.Contains(progress.String(), "[6/6] throttle") {
		t.Errorf("progress: %s", &progress)
	}
	results := map[string]Result{}
	for _, c := range report.Cases {
		if c.Reached != nil {
			t.Errorf("%s: a smoke test judges a goal", c.Name)
		}
		for _, r := range c.Results {
			if r.Error != "" {
				t.Errorf("%s, %s: %s", c.Name, r.Contender, r.Error)
			}
			results[c.Name+" "+r.Contender] = r
		}
	}
	if t.Failed() {
		return
	}
	for _, name := range []string{"cold atomic-load", "transport mutex"} {
		if _, ok := results[name]; ok {
			t.Errorf("%s was played", name)
		}
	}
	for name, ok := range map[string]func(Result) bool{
		"hot-1 tidemark":       func(r Result) bool { return *r.NsPerOp > 0 && *r.AllocsPerOp == 0 },
		"hot-1 atomic-load":    func(r Result) bool { return *r.NsPerOp > 0 },
		"transport oauth2":     func(r Result) bool { return *r.AllocsPerOp > 0 },
		"cold tidemark":        func(r Result) bool { return *r.Fetches == 1 && *r.Errors == 0 && *r.Calls == 1000 },
		"clients-100 tidemark": func(r Result) bool { return *r.Fetches == 1 && *r.Connections == 1 && *r.Errors == 0 },
		"clients-100 mutex":    func(r Result) bool { return *r.Fetches == 100 && *r.Errors == 0 },
		"pod-start tidemark":   func(r Result) bool { return *r.Errors == 0 && !r.Unrenewed },
		"pod-start mutex":      func(r Result) bool { return *r.Errors == 100 && r.Unrenewed && r.LastError != "" },
		"throttle tidemark":    func(r Result) bool { return *r.Fetches <= 3 && *r.Errors == 0 && len(r.Timeline.Fetches) == *r.Fetches },
		"throttle mutex":       func(r Result) bool { return *r.Fetches > 3 && *r.Errors > 0 },
	} {
		r, played := results[name]
		if !played || !ok(r) {
			text, _ := json.Marshal(r)
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestEpisode plays one renewal under load by a server that takes its time, and one that fails for good.
func TestEpisode(t *testing.T) {
	s := openStage(t)
	var c Contender
	for _, known := range Contenders() {
		if known.Name == "mutex" {
			c = known
		}
	}
	c.Window = 10 * time.Second
	e := slow(400*time.Millisecond, 11*time.Second)
	r, err := e.play(t.Context(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	if *r.Fetches != 1 || *r.Errors != 0 || r.Unrenewed || *r.Dark < 0.3 || r.Latency.Max < 0.3 {
		text, _ := json.Marshal(r)
		t.Errorf("a cache that renews under its lock: %s", text)
	}
	if len(r.Timeline.Dark) != 1 || len(r.Timeline.Fetches) == 0 || r.Timeline.Renewed == nil {
		t.Errorf("timeline: %+v", r.Timeline)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Run(ctx, &Options{Cases: []string{"outage-hang"}, Only: []string{"tidemark", "oauth2-reuse"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestWrongNames(t *testing.T) {
	for _, o := range []Options{
		{Cases: []string{"hot-1", "lukewarm"}},
		{Cases: []string{"warm-*"}},
		{Only: []string{"nobody"}},
		{Quick: true, RealTime: true},
	} {
		if _, err := Run(t.Context(), &o); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Name] || c.About == "" || c.rounds == 0 || c.play == nil {
			t.Errorf("case %q", c.Name)
		}
		if (c.Goal == "") != (c.reached == nil) {
			t.Errorf("case %q has half a goal", c.Name)
		}
		seen[c.Name] = true
	}
	for _, c := range Contenders() {
		if seen[c.Name] || c.About == "" {
			t.Errorf("contender %q", c.Name)
		}
		seen[c.Name] = true
	}
}

func openStage(t *testing.T) *stage {
	t.Helper()
	place, err := openSite()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := place.close(); err != nil {
			t.Error(err)
		}
	})
	return &stage{site: place}
}
