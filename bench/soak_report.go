package bench

import (
	"fmt"

	"github.com/tidemark-go/tidemark/bench/soak"
)

// SoakReport is the outcome of [RunSoak].
type SoakReport struct {
	Environment Environment  `json:"environment"`
	Settings    SoakSettings `json:"settings"`

	// OK is the verdict: nothing is in Violations, and nothing in Broken.
	OK         bool             `json:"ok"`
	Violations []soak.Violation `json:"violations"` // promises of the product that were broken
	Broken     []string         `json:"broken"`     // bounds that were broken, and things that should have happened and did not

	Work         SoakWork        `json:"work"`        // of the process under test
	Killed       SoakWork        `json:"killed_work"` // of the processes that were killed, as far as they lived to tell
	Kills        int             `json:"kills"`
	Curves       []SoakCurve     `json:"curves"`
	CPU          cpu             `json:"cpu"`  // of the process under test, in seconds
	Peak         int64           `json:"peak"` // of its resident memory
	GroupPeak    int64           `json:"group_peak,omitempty"`
	Left         SoakLeft        `json:"left"`
	Audits       []soak.Audit    `json:"audits"`
	Cloud        soak.CloudState `json:"cloud"`
	CloudCurves  []SoakCurve     `json:"cloud_curves"` // no bound is judged: its objects are in its memory
	Samples      []SoakSample    `json:"samples"`
	CloudSamples []SoakSample    `json:"cloud_samples"`
}

// Lost tells whether a checkpoint was lost or held wrong bytes, or an owner that was fenced committed.
func (r *SoakReport) Lost() bool {
	for _, v := range r.Violations {
		if v.Kind == soak.Wrong || v.Kind == soak.Lost || v.Kind == soak.Fence {
			return true
		}
	}
	return false
}

// judge fits the curves and gives the verdict.
func (r *SoakReport) judge() {
	r.Curves = fitAll(r.Samples, r.Settings.Seconds)
	r.CloudCurves = fitAll(r.CloudSamples, r.Settings.Seconds)
	r.Broken = nil
	broken := func(format string, args ...any) { r.Broken = append(r.Broken, fmt.Sprintf(format, args...)) }
	for _, c := range r.Curves {
		if !c.Kept {
			broken("%s grew by %s in %.0f s, at most %s are allowed", c.Name, c.format(c.Growth), c.Over, c.format(c.Bound))
		}
	}
	for _, c := range r.Curves {
		if c.Name == allocated && c.Highest > float64(r.Settings.Memory-programRoom) {
			broken("allocated memory reached %s; beside %s for the program itself, %s are allowed", c.format(c.Highest), mebibytes(programRoom), mebibytes(r.Settings.Memory-programRoom))
		}
	}
	if l := r.Left; l.GoroutinesAfter > l.GoroutinesBefore || l.ConnectionsAfter > l.ConnectionsBefore {
		broken("after the stores were closed there are %d goroutines and %d connections; before they were opened there were %d and %d",
			l.GoroutinesAfter, l.ConnectionsAfter, l.GoroutinesBefore, l.ConnectionsBefore)
	}
	for _, name := range sortedKeys(r.Cloud.Fired) {
		if r.Cloud.Fired[name] == 0 {
			broken("the fault %q never happened", name)
		}
	}
	for _, m := range r.musts() {
		if m.n == 0 {
			broken("%s: none", m.what)
		}
	}
	r.OK = len(r.Broken) == 0 && len(r.Violations) == 0
}

// must is something that has to happen in a soak, or it has shown nothing.
type must struct {
	what string
	n    int64
}

func (r *SoakReport) musts() []must {
	fenced := r.Work.TakenOver + r.Killed.TakenOver
	return []must{
		{"checkpoints acknowledged", r.Work.Commits + r.Killed.Commits},
		{"restores and reads, compared bit for bit and right", r.Work.Compared + r.Killed.Compared},
		{"owners", r.Work.Owners + r.Killed.Owners},
		{"owners fenced by another that took over", fenced},
		{"owners closed", r.Work.Closed + r.Killed.Closed},
		{"owners abandoned without a close", r.Work.Abandoned + r.Killed.Abandoned},
		{"processes killed", int64(r.Kills)},
		{"workers restarted within a checkpoint", r.Work.Restarts + r.Killed.Restarts},
		{"objects deleted by collections", r.Work.Deleted},
		{"distinct tokens issued", r.Cloud.Tokens.TokensIssued},
	}
}
