package bench

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Measures of the plots, in CSS pixels.
const (
	plotWidth = 880.0
	gutter    = 130.0 // for names
	margin    = 16.0
	rowHeight = 26.0
	axisRoom  = 34.0
)

// plot is an SVG that grows row by row. It takes its colours from the page by class, so that it is readable in light
// and dark.
type plot struct {
	b      strings.Builder
	rows   int
	height float64 // without the axis; 0: that of the rows
	label  string
	x      scale
}

// scale maps values to horizontal positions.
type scale struct {
	from, to float64
	log      bool
}

func (s scale) at(v float64) float64 { return gutter + s.share(v)*(plotWidth-gutter-margin) }

// share is where v lies between the ends, 0 to 1.
func (s scale) share(v float64) float64 {
	lo, hi := s.from, s.to
	if s.log {
		v, lo, hi = math.Log10(max(v, s.from)), math.Log10(lo), math.Log10(hi)
	}
	return (min(max(v, lo), hi) - lo) / (hi - lo)
}

// decades is a logarithmic scale that holds all values; those that are not positive lie at its left end.
func decades(values []float64) scale {
	lo, hi := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if hi == 0 {
		lo, hi = 1, 1
	}
	s := scale{math.Pow(10, math.Floor(math.Log10(lo))), math.Pow(10, math.Ceil(math.Log10(hi))), true}
	if s.from == s.to {
		s.to *= 10
	}
	return s
}

// ticks are positions worth a line.
func (s scale) ticks() []float64 {
	var ticks []float64
	if s.log {
		for v := s.from; v <= s.to*1.0001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := math.Pow(10, math.Floor(math.Log10(s.to-s.from)))
	for _, finer := range []float64{1, 2, 5} {
		if (s.to-s.from)/(step/finer) >= 5 {
			step /= finer
			break
		}
	}
	for v := math.Ceil(s.from/step) * step; v <= s.to; v += step {
		ticks = append(ticks, v)
	}
	return ticks
}

func newPlot(label string, x scale) *plot { return &plot{label: label, x: x} }

// row begins the row of a contender and returns its middle.
func (p *plot) row(name string) float64 {
	y := float64(p.rows)*rowHeight + rowHeight/2
	p.rows++
	class := "name"
	if name == subject {
		class = "name subject"
	}
	p.text(class, gutter-10, y+4, "end", name)
	return y
}

func (p *plot) text(class string, x, y float64, anchor, text string) {
	fmt.Fprintf(&p.b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(text))
}

// bar covers a range of values; title is what a pointer that rests on it is told.
func (p *plot) bar(class string, from, to, y, height float64, title string) {
	x, end := p.x.at(from), p.x.at(to)
	fmt.Fprintf(&p.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`+"\n",
		class, x, y-height/2, max(end-x, 1), height, escape(title))
}

func (p *plot) tick(class string, v, y, height float64) {
	x := p.x.at(v)
	fmt.Fprintf(&p.b, `<line class="%s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", class, x, x, y-height/2, y+height/2)
}

func (p *plot) dot(class string, v, y float64, title string) {
	fmt.Fprintf(&p.b, `<circle class="%s" cx="%.1f" cy="%.1f" r="4"><title>%s</title></circle>`+"\n", class, p.x.at(v), y, escape(title))
}

// svg closes the plot with an axis whose ticks are written by format.
func (p *plot) svg(format func(float64) string) string {
	bottom := cmp.Or(p.height, float64(p.rows)*rowHeight)
	var axis strings.Builder
	for _, v := range p.x.ticks() {
		x := p.x.at(v)
		fmt.Fprintf(&axis, `<line class="grid" x1="%.1f" x2="%.1f" y1="0" y2="%.1f"/>`+"\n", x, x, bottom+4)
		fmt.Fprintf(&axis, `<text class="axis" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x, bottom+20, escape(format(v)))
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n%s%s</svg>\n",
		plotWidth, bottom+axisRoom, escape(p.label), axis.String(), p.b.String())
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
