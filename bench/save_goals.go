package bench

import (
	"fmt"
	"time"
)

// Goal is what is asked of this project in one figure. Must and Aim are bounds, from below for ratios and from above for counts and sizes.
type Goal struct {
	Name     string  `json:"name"`
	Must     float64 `json:"must"`
	Aim      float64 `json:"aim,omitempty"` // 0: none
	Unit     string  `json:"unit"`          // "×" faster than a peer, or what is counted
	AtMost   bool    `json:"at_most,omitempty"`
	Measured float64 `json:"measured"`
	Absent   string  `json:"absent,omitempty"` // why there is no figure
	Reached  bool    `json:"reached"`
	Aimed    bool    `json:"aim_reached,omitempty"`
}

// The peers that goals name. bench/peers brings them.
const (
	PeerRestic = "restic"
	PeerRclone = "rclone"
	// PeerLoop begins the names of plain loops over a storage client; the best of them counts.
	PeerLoop = "loop-"
)

// asked is a goal before anything is measured.
type asked struct {
	name, unit string
	must, aim  float64
	atMost     bool
	figure     func(r *SaveReport) (float64, error)
}

// slowly is the delay that goals speak of.
const slowly = 40 * time.Millisecond

func goals() []asked {
	gs := []asked{
		faster(VerbSave, "A", 0, PeerRestic, 6, 9.8), faster(VerbSave, "A", 0, PeerRclone, 2.5, 3.8), faster(VerbSave, "A", 0, PeerLoop, 1.3, 1.9),
		faster(VerbSave, "B", 0, PeerRestic, 25, 44), faster(VerbSave, "B", 0, PeerRclone, 10, 18),
		{name: "save B, bytes sent against restic", unit: "×", must: 60, figure: func(r *SaveReport) (float64, error) {
			return quotient(r, VerbSave, "B", 0, PeerRestic, subject, func(s *SaveResult) float64 { return float64(s.Median.In) })
		}},
		requests("B", subject), requests("B", resident),
		faster(VerbSave, "C", 0, PeerRestic, 8, 13), faster(VerbSave, "C", 0, PeerRclone, 1.5, 2.5), requests("C", resident),
		fasterTrusting("C", PeerRestic, 8, 13), fasterTrusting("C", PeerRclone, 1.5, 2.5),
		faster(VerbSave, "D", 0, PeerRestic, 10, 11.6), faster(VerbSave, "D", 0, PeerRclone, 120, 158),
		requests("D", subject), requests("D", resident),
		faster(VerbSave, "D", slowly, PeerRestic, 8, 9.5), faster(VerbSave, "D", slowly, PeerRclone, 100, 138),
		faster(VerbRestore, "A", 0, PeerRestic, 5, 8.5), faster(VerbRestore, "A", 0, PeerRclone, 2, 3.6), faster(VerbRestore, "A", 0, PeerLoop, 1, 1.5),
		faster(VerbRestore, "D", 0, PeerRestic, 4, 14), faster(VerbRestore, "D", 0, PeerRclone, 6, 19),
	}
	for _, c := range []saveCaseName{{VerbSave, "A"}, {VerbSave, "B"}, {VerbSave, "C"}, {VerbSave, "D"}, {VerbRestore, "A"}, {VerbRestore, "D"}} {
		gs = append(gs, asked{name: fmt.Sprintf("%s %s, peak RSS of %s", c.verb, c.name, small), unit: "MiB", must: 64, atMost: true,
			figure: func(r *SaveReport) (float64, error) {
				s, err := r.find(c.verb, c.name, 0, small)
				if err != nil {
					return 0, err
				}
				return float64(s.Median.Peak) / (1 << 20), nil
			}})
		gs = append(gs, asked{name: fmt.Sprintf("%s %s, speed of %s against %s", c.verb, c.name, small, subject), unit: "×", must: 0.7,
			figure: func(r *SaveReport) (float64, error) {
				own, err := r.find(c.verb, c.name, 0, small)
				if err != nil {
					return 0, err
				}
				if own.Ratio == 0 {
					return 0, fmt.Errorf("%s was not measured", subject)
				}
				return 1 / own.Ratio, nil
			}})
	}
	return append(gs,
		asked{name: "peak RSS of " + small + " at four times the state", unit: "MiB", must: 64, atMost: true, figure: func(r *SaveReport) (float64, error) {
			return r.atEnd("size", small+", save first", func(m *Measure) float64 { return float64(m.Peak) / (1 << 20) })
		}},
		asked{name: "requests of a commit at the longest history", unit: "requests", must: 2, atMost: true, figure: func(r *SaveReport) (float64, error) {
			return r.atEnd("history", "commit", func(m *Measure) float64 { return float64(m.Requests()) })
		}},
		asked{name: "requests for the latest at the longest history", unit: "requests", must: 1, atMost: true, figure: func(r *SaveReport) (float64, error) {
			return r.atEnd("history", "latest", func(m *Measure) float64 { return float64(m.Requests()) })
		}})
}

// atEnd is a figure of a curve's last point.
func (r *SaveReport) atEnd(curve, name string, of func(*Measure) float64) (float64, error) {
	for _, c := range r.Curves {
		if c.Name != curve || len(c.Points) == 0 {
			continue
		}
		for _, s := range c.Points[len(c.Points)-1].Series {
			if s.Name == name {
				return of(&s.Measure), nil
			}
		}
	}
	return 0, fmt.Errorf("growth of the %s was not measured", curve)
}

// faster asks for a ratio of times.
func faster(verb, name string, delay time.Duration, peer string, must, aim float64) asked {
	who := peer
	if peer == PeerLoop {
		who = "the best plain loop"
	}
	title := fmt.Sprintf("%s %s, speed against %s", verb, name, who)
	if delay > 0 {
		title += fmt.Sprintf(", %v a request", delay)
	}
	return asked{name: title, unit: "×", must: must, aim: aim, figure: func(r *SaveReport) (float64, error) {
		if peer != PeerLoop {
			s, err := r.find(verb, name, delay, peer)
			if err != nil {
				return 0, err
			}
			return s.ratio()
		}
		return r.bestLoop(verb, name, delay)
	}}
}

// fasterTrusting asks the same of the contender that trusts the sizes and times of files, as the peer does.
func fasterTrusting(name, peer string, must, aim float64) asked {
	title := fmt.Sprintf("save %s, speed of %s against %s", name, trusting, peer)
	return asked{name: title, unit: "×", must: must, aim: aim, figure: func(r *SaveReport) (float64, error) {
		return quotient(r, VerbSave, name, 0, peer, trusting, func(s *SaveResult) float64 { return s.Median.Wall })
	}}
}

// requests asks for few of them, billed or not.
func requests(name, saver string) asked {
	return asked{name: fmt.Sprintf("save %s, requests of %s", name, saver), unit: "requests", must: 4, atMost: true, figure: func(r *SaveReport) (float64, error) {
		s, err := r.find(VerbSave, name, 0, saver)
		if err != nil {
			return 0, err
		}
		return float64(s.Median.Requests()), nil
	}}
}

// find is a contender's result in a case.
func (r *SaveReport) find(verb, name string, delay time.Duration, saver string) (*SaveResult, error) {
	for i := range r.Cases {
		if c := &r.Cases[i]; c.Verb == verb && c.Name == name && c.Delay == delay.Seconds() {
			s := c.of(saver)
			if s == nil {
				return nil, fmt.Errorf("%s was not measured", saver)
			}
			if len(s.Rounds) == 0 {
				return nil, fmt.Errorf("%s failed", saver)
			}
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s %s was not run", verb, name)
}

func (s *SaveResult) ratio() (float64, error) {
	if s.Ratio == 0 {
		return 0, fmt.Errorf("%s was not measured", subject)
	}
	return s.Ratio, nil
}

// bestLoop is the ratio of the fastest plain loop.
func (r *SaveReport) bestLoop(verb, name string, delay time.Duration) (float64, error) {
	best, missing := 0.0, fmt.Errorf("no plain loop was measured")
	for _, about := range r.Savers {
		if len(about.Name) <= len(PeerLoop) || about.Name[:len(PeerLoop)] != PeerLoop {
			continue
		}
		s, err := r.find(verb, name, delay, about.Name)
		if err != nil {
			continue
		}
		if ratio, err := s.ratio(); err != nil {
			missing = err
		} else if best == 0 || ratio < best {
			best = ratio
		}
	}
	if best == 0 {
		return 0, missing
	}
	return best, nil
}

func quotient(r *SaveReport, verb, name string, delay time.Duration, a, b string, of func(*SaveResult) float64) (float64, error) {
	over, err := r.find(verb, name, delay, a)
	if err != nil {
		return 0, err
	}
	under, err := r.find(verb, name, delay, b)
	if err != nil {
		return 0, err
	}
	if of(under) == 0 {
		return 0, fmt.Errorf("%s sent nothing", b)
	}
	return of(over) / of(under), nil
}

// judge compares what was measured with what is asked.
func (r *SaveReport) judge() {
	for _, a := range goals() {
		g := Goal{Name: a.name, Must: a.must, Aim: a.aim, Unit: a.unit, AtMost: a.atMost}
		v, err := a.figure(r)
		if err != nil {
			g.Absent = err.Error()
		} else {
			g.Measured = v
			g.Reached = a.meets(v, a.must)
			g.Aimed = a.aim != 0 && a.meets(v, a.aim)
		}
		r.Goals = append(r.Goals, g)
	}
}

func (a *asked) meets(v, bound float64) bool {
	if a.atMost {
		return v <= bound
	}
	return v >= bound
}
