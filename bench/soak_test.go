package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/bench/soak"
)

// Everything in seconds, in processes as it is in an hour: what is promised holds, and the report says so.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: under the race detector a process does not fit into the memory that it is given here")
	}
	out := t.TempDir()
	var progress bytes.Buffer
	report, err := RunSoak(t.Context(), &SoakOptions{For: 8 * time.Second, Seed: 5, Pace: 100 * time.Millisecond, Dir: t.TempDir(), Out: out, Progress: &progress, swift: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report.Violations {
		t.Errorf("%+v", v)
	}
	// Faults that come in episodes need longer than this to have had their turn, all of them; growth means nothing yet.
	for _, b := range report.Broken {
		if strings.Contains(b, "memory") || strings.Contains(b, "after the stores were closed") {
			t.Error(b)
		}
	}
	for _, m := range report.musts() {
		switch m.what { // of the others a busy machine may have none in these seconds
		case "checkpoints acknowledged", "restores and reads, compared bit for bit and right", "owners", "processes killed", "distinct tokens issued":
			if m.n == 0 {
				t.Errorf("%s: none", m.what)
			}
		}
	}
	if len(report.Audits) != len(soak.Plain())+len(killedKinds) {
		t.Errorf("%d jobs were looked at in the end", len(report.Audits))
	}
	if len(report.Samples) == 0 || len(report.CloudSamples) == 0 || report.Peak == 0 {
		t.Errorf("%d samples, %d of the cloud, a peak of %d", len(report.Samples), len(report.CloudSamples), report.Peak)
	}
	var read SoakReport
	if b, err := os.ReadFile(filepath.Join(out, "report.json")); err != nil || json.Unmarshal(b, &read) != nil || read.Work.Commits != report.Work.Commits {
		t.Errorf("the report in --out: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "report.html")); err != nil || bytes.Count(b, []byte("<svg")) != 4 {
		t.Errorf("the page in --out: %v", err)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"verdict", "processes killed", "wrong byte", "goroutines", "workers-killed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report does not tell of %q", want)
		}
	}
}

func TestSoakUsage(t *testing.T) {
	for _, o := range []*SoakOptions{{For: time.Second}, {For: -time.Hour}, {Pace: -1}, {Memory: -1}} {
		if _, err := RunSoak(t.Context(), o); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RunSoak(ctx, nil); err == nil {
		t.Error("an hour was run in no time")
	}
}

// samples grow by perHour in an hour, with noise of chance and a few that are far off.
func samples(hours, perHour float64) []SoakSample {
	var all []SoakSample
	for i := range 720 {
		at := hours * 3600 * float64(i) / 720
		s := SoakSample{At: at, Heap: 20 << 20, Goroutines: 100 + int(math.Round(perHour*at/3600)) + i*7%5}
		if i > 690 {
			s.Goroutines += 400 // a storm at the end
		}
		all = append(all, s)
	}
	return all
}

func TestSlopesAreBounded(t *testing.T) {
	goroutines := func(all []SoakSample, length float64) SoakCurve {
		for _, c := range fitAll(all, length) {
			if c.Name == "goroutines" {
				return c
			}
		}
		t.Fatal("there is no such curve")
		return SoakCurve{}
	}
	for _, c := range []struct {
		hours, perHour float64
		kept           bool
	}{{1, 0, true}, {1, 3, true}, {1, 12, false}, {2, 3, true}, {2, 12, false}, {0.03, 100, true}, {0.03, 40000, true}, {1, -50, true}} {
		got := goroutines(samples(c.hours, c.perHour), c.hours*3600)
		if got.Kept != c.kept || math.Abs(got.PerHour-c.perHour) > 1+math.Abs(c.perHour)/3 {
			t.Errorf("%g an hour for %g hours: %+v", c.perHour, c.hours, got)
		}
	}
	if got := goroutines(nil, 3600); got.Kept {
		t.Error("a bound was kept of which nothing is known")
	}
}

func TestSoakVerdict(t *testing.T) {
	good := func() *SoakReport {
		r := &SoakReport{Samples: samples(1, 0), Settings: SoakSettings{Seconds: 3600, Memory: 64 << 20}, Kills: 1}
		r.Work = SoakWork{Owners: 1, TakenOver: 1, Closed: 1, Abandoned: 1, Restarts: 1, Commits: 1, Compared: 1, Deleted: 1}
		r.Cloud.Fired = map[string]int64{"503": 1}
		r.Cloud.Tokens.TokensIssued = 1
		return r
	}
	for name, c := range map[string]struct {
		change   func(r *SoakReport)
		ok, lost bool
	}{
		"all is well":         {func(*SoakReport) {}, true, false},
		"a leak":              {func(r *SoakReport) { r.Samples = samples(1, 50) }, false, false},
		"a fault never fired": {func(r *SoakReport) { r.Cloud.Fired["reset"] = 0 }, false, false},
		"nobody was killed":   {func(r *SoakReport) { r.Kills = 0 }, false, false},
		"too much memory":     {func(r *SoakReport) { r.Samples[5].Anon = 60 << 20 }, false, false},
		"something was left":  {func(r *SoakReport) { r.Left.GoroutinesAfter = 1 }, false, false},
		"a wrong kind":        {func(r *SoakReport) { r.Violations = []soak.Violation{{Kind: soak.Kind}} }, false, false},
		"a lost checkpoint":   {func(r *SoakReport) { r.Violations = []soak.Violation{{Kind: soak.Lost}} }, false, true},
		"wrong bytes":         {func(r *SoakReport) { r.Violations = []soak.Violation{{Kind: soak.Wrong}} }, false, true},
	} {
		r := good()
		c.change(r)
		r.judge()
		if r.OK != c.ok || r.Lost() != c.lost || strings.HasPrefix(r.Verdict(), "OK") != c.ok {
			t.Errorf("%s: OK %v, lost %v: %s; %s", name, r.OK, r.Lost(), r.Verdict(), fmt.Sprint(r.Broken))
		}
	}
}
