package checkpoint

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Retention says which checkpoints are kept: the union of its fields. The newest, tagged and leased ones always are. The zero value keeps all.
//
// Times are those of the commits, as the clocks of the committers had them; hours, days and weeks (from Monday) are those of UTC.
type Retention struct {
	KeepLast   int
	KeepWithin time.Duration // on the clock of whoever trims
	// KeepHourly keeps the newest checkpoint of each of the last so many hours that have one; KeepDaily and KeepWeekly do the same for days and weeks.
	KeepHourly, KeepDaily, KeepWeekly int
}

func (r Retention) check() error {
	if r.KeepLast < 0 || r.KeepWithin < 0 || r.KeepHourly < 0 || r.KeepDaily < 0 || r.KeepWeekly < 0 {
		return &Error{Kind: ErrInvalid, Op: "retain", Err: errors.New("a retention cannot be negative")}
	}
	return nil
}

func (r Retention) keepsAll() bool { return r == Retention{} }

// trim removes from h what the policy does not keep, and returns it, oldest first. keep are checkpoints that a save of ours is being compared with: rule 3
// lets it refer to them only as long as they are retained.
func (r Retention) trim(h *format.Head, now time.Time, keep map[uint64]bool) []*format.Retained {
	if r.keepsAll() {
		return nil
	}
	pinned := make(map[uint64]bool, len(h.Pins))
	for _, p := range h.Pins {
		pinned[p.Checkpoint] = true
	}
	periods := r.periods()
	stays := make([]bool, len(h.Retained))
	for i, c := range slices.Backward(h.Retained) {
		age, at := len(h.Retained)-1-i, time.Unix(0, c.CommittedAtNs)
		id := c.Id.Checkpoint
		stays[i] = age == 0 || age < r.KeepLast || pinned[id] || keep[id] || (r.KeepWithin > 0 && now.Sub(at) < r.KeepWithin)
		for _, p := range periods {
			stays[i] = p.first(at) || stays[i]
		}
	}
	var kept, retired []*format.Retained
	for i, c := range h.Retained {
		if stays[i] {
			kept = append(kept, c)
		} else {
			retired = append(retired, c)
		}
	}
	h.Retained = kept
	return retired
}

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// firstMonday is where weeks begin.
var firstMonday = time.Date(1970, time.January, 5, 0, 0, 0, 0, time.UTC)

// period counts hours, days or weeks that have a checkpoint, from the newest one back.
type period struct {
	length time.Duration
	left   int
	seen   map[int64]bool // a clock that went back must not make a period count twice
}

func (r Retention) periods() (ps []*period) {
	for _, p := range []period{{length: time.Hour, left: r.KeepHourly}, {length: day, left: r.KeepDaily}, {length: week, left: r.KeepWeekly}} {
		if p.left > 0 {
			p.seen = map[int64]bool{}
			ps = append(ps, &p)
		}
	}
	return ps
}

// first reports whether a time is the first that lies in its period, of those that count.
func (p *period) first(at time.Time) bool {
	n := int64(at.Sub(firstMonday) / p.length)
	if p.left == 0 || p.seen[n] {
		return false
	}
	p.seen[n] = true
	p.left--
	return true
}

// Retain retires what the policy does not keep, oldest first; with dryRun it only says which.
func (j *Job) Retain(ctx context.Context, policy Retention, dryRun bool) ([]Info, error) {
	if err := policy.check(); err != nil {
		return nil, err
	}
	if policy.keepsAll() {
		return nil, &Error{Kind: ErrInvalid, Op: "retain", Job: j.name, Err: errors.New("an empty policy keeps everything"), Hint: "say how many, or for how long"}
	}
	at, err := j.existing(ctx, "retain")
	if err != nil {
		return nil, err
	}
	var retired []Info
	change := func(h *format.Head) error {
		retired = retired[:0]
		before := j.infos(h)
		for _, r := range policy.trim(h, time.Now(), nil) {
			retired = append(retired, before[r.Id.Checkpoint])
		}
		return nil
	}
	trial := cloneHead(at.head)
	dropExpiredLeases(trial, time.Now())
	if err := change(trial); err != nil || dryRun || len(retired) == 0 {
		return retired, err
	}
	_, err = j.writeHead(ctx, at, headChange{
		op: "retain", apply: change,
		// Another trimmer may have done it: then a further trim finds nothing, which apply shows by itself.
		applied: func(*format.Head) bool { return false },
	})
	if err != nil {
		return nil, wrap(err, "retain", j.name, 0)
	}
	return retired, nil
}

func (j *Job) infos(h *format.Head) map[uint64]Info {
	m := make(map[uint64]Info, len(h.Retained))
	for _, r := range h.Retained {
		m[r.Id.Checkpoint] = j.info(h, r)
	}
	return m
}
