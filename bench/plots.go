package bench

import (
	"fmt"
	"math"
)

// plots are the SVGs of a case.
func (c *CaseReport) plots() []string {
	var plots []string
	for _, draw := range []func(*CaseReport) string{hotPlot, latencyPlot, timelinePlot} {
		if svg := draw(c); svg != "" {
			plots = append(plots, svg)
		}
	}
	return plots
}

// hotPlot has a bar for the time of each call.
func hotPlot(c *CaseReport) string {
	var values []float64
	for _, r := range c.Results {
		if r.NsPerOp != nil {
			values = append(values, *r.NsPerOp, *r.BestNsPerOp)
		}
	}
	if values == nil {
		return ""
	}
	p := newPlot(c.Name+": nanoseconds a call", decades(values))
	for _, r := range c.Results {
		if r.NsPerOp == nil {
			continue
		}
		y := p.row(r.Contender)
		class := "bar"
		if r.Contender == subject {
			class = "bar subject"
		}
		p.bar(class, p.x.from, *r.NsPerOp, y, 14, nanos(r.NsPerOp)+" ns")
		p.tick("best", *r.BestNsPerOp, y, 18)
	}
	return p.svg(func(v float64) string { return fmt.Sprintf("%g ns", v) })
}

// latencyPlot has a line for each contender from its median to its longest wait.
func latencyPlot(c *CaseReport) string {
	var values []float64
	for _, r := range c.Results {
		if l := r.Latency; l != nil {
			values = append(values, l.P50, l.P99, l.P999, l.Max)
		}
	}
	if values == nil {
		return ""
	}
	p := newPlot(c.Name+": how long calls took", decades(values))
	for _, r := range c.Results {
		l := r.Latency
		if l == nil {
			continue
		}
		y := p.row(r.Contender)
		p.bar("range", l.P50, l.Max, y, 2, "p50 to max")
		for _, q := range []struct {
			class, name string
			value       float64
		}{{"q50", "p50", l.P50}, {"q99", "p99", l.P99}, {"q999", "p99.9", l.P999}, {"qmax", "max", l.Max}} {
			p.dot(q.class, q.value, y, q.name+" "+seconds(&q.value))
		}
	}
	return p.svg(func(v float64) string { return seconds(&v) })
}

// timelinePlot has a lane for each contender: when it asked the server, when its callers had no token, when they got the
// new one, and how long the trouble lasted.
func timelinePlot(c *CaseReport) string {
	from, to := math.Inf(1), math.Inf(-1)
	for _, r := range c.Results {
		if l := r.Timeline; l != nil {
			from, to = min(from, l.From), max(to, l.To)
		}
	}
	if from >= to {
		return ""
	}
	p := newPlot(c.Name+": requests and dark times, in seconds since the trouble began", scale{from: from, to: to})
	for _, r := range c.Results {
		l := r.Timeline
		if l == nil {
			continue
		}
		y := p.row(r.Contender)
		p.bar("trouble", l.Trouble[0], l.Trouble[1], y, rowHeight, fmt.Sprintf("trouble, %.3g s", l.Trouble[1]-l.Trouble[0]))
		for _, d := range l.Dark {
			p.bar("dark", d[0], d[1], y-5, 9, fmt.Sprintf("no token for %.3g s", d[1]-d[0]))
		}
		for _, at := range l.Fetches {
			p.tick("fetch", at, y+6, 9)
		}
		if l.Renewed != nil {
			p.dot("renewed", *l.Renewed, y, fmt.Sprintf("a new token at %.3g s", *l.Renewed))
		}
	}
	return p.svg(func(v float64) string { return fmt.Sprintf("%g s", math.Round(v*1000)/1000+0) }) // + 0: no "-0"
}
