package bench

import "slices"

// Curve is how a cost grows.
type Curve struct {
	Name   string       `json:"name"`
	About  string       `json:"about"`
	X      string       `json:"x"` // what grows
	Points []CurvePoint `json:"points"`
	Bytes  bool         `json:"bytes,omitempty"` // X is in bytes
	Note   string       `json:"note,omitempty"`  // why it ends where it ends
}

// CurvePoint is one size.
type CurvePoint struct {
	X      float64    `json:"x"`
	Label  string     `json:"label"`
	Series []CurvedBy `json:"series"`
}

// CurvedBy is what one operation cost there.
type CurvedBy struct {
	Name    string  `json:"name"`
	Measure Measure `json:"measure"`
}

func (c *Curve) table() table {
	t := table{title: "growth: " + c.Name, about: c.About, header: []string{c.X, "", "wall", "CPU", "peak MiB", "anon", "requests", "sent MB", "read MB"}}
	handles := slices.ContainsFunc(c.Points, func(p CurvePoint) bool {
		return slices.ContainsFunc(p.Series, func(s CurvedBy) bool { return s.Measure.Handles > 0 })
	})
	if handles {
		t.header = append(t.header, "handles kB")
	}
	for _, p := range c.Points {
		for _, s := range p.Series {
			m := s.Measure
			total, requests := m.CPU.total(), int(m.Requests())
			t.rows = append(t.rows, []string{p.Label, s.Name, seconds(&m.Wall), seconds(&total), mib(m.Peak), mib(m.Anon), count(&requests), megabytes(m.In), megabytes(m.Out)})
			if handles {
				last := &t.rows[len(t.rows)-1]
				*last = append(*last, kilobytes(m.Handles))
			}
		}
	}
	if c.Note != "" {
		t.notes = append(t.notes, c.Note)
	}
	return t
}

// plots are the curve's times, and its requests and peaks.
func (c *Curve) plots() []string {
	draw := func(what string, of func(*Measure) float64, format func(float64) string) string {
		var all []series
		for _, p := range c.Points {
			for i, s := range p.Series {
				if i == len(all) {
					all = append(all, series{name: s.Name})
				}
				all[i].points = append(all[i].points, [2]float64{p.X, of(&s.Measure)})
			}
		}
		return lines("growth, "+c.Name+": "+what, all, c.label, format)
	}
	return []string{
		draw("time", func(m *Measure) float64 { return m.Wall }, func(v float64) string { return seconds(&v) }),
		draw("requests", func(m *Measure) float64 { return float64(m.Requests()) }, figure),
		draw("peak of memory", func(m *Measure) float64 { return float64(m.Peak) }, func(v float64) string { return mebibytes(int64(v)) }),
	}
}

// label names a position on the axis: as the point there does, if there is one.
func (c *Curve) label(x float64) string {
	for _, p := range c.Points {
		if p.X == x {
			return p.Label
		}
	}
	if c.Bytes {
		return mebibytes(int64(x))
	}
	return figure(x)
}
