package bench

import (
	"fmt"
	"strings"
)

// lineHeight is that of a plot of lines, without its axis.
const lineHeight = 260.0

// series is one line of a plot.
type series struct {
	name   string
	points [][2]float64
}

// lines draws up to four series over positive x; both axes are logarithmic, and each point is marked.
func lines(label string, all []series, formatX, formatY func(float64) string) string {
	var xs, ys []float64
	for _, s := range all {
		for _, p := range s.points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	if len(xs) < 2 {
		return ""
	}
	return drawLines(label, all, decades(xs), decades(ys), true, formatX, formatY)
}

// linesOverTime draws up to four series of many points over seconds; y begins at zero.
func linesOverTime(label string, all []series, formatY func(float64) string) string {
	x, y := scale{}, scale{to: 1}
	for _, s := range all {
		for _, p := range s.points {
			x.to, y.to = max(x.to, p[0]), max(y.to, p[1])
		}
	}
	if x.to == 0 {
		return ""
	}
	y.to *= 1.1
	return drawLines(label, all, x, y, false, func(v float64) string {
		if x.to > 600 {
			return fmt.Sprintf("%.3g min", v/60)
		}
		return fmt.Sprintf("%g s", v)
	}, formatY)
}

func drawLines(label string, all []series, x, y scale, marked bool, formatX, formatY func(float64) string) string {
	p := newPlot(label, x)
	height := func(v float64) float64 { return lineHeight - 8 - y.share(v)*(lineHeight-24) }
	for _, v := range y.ticks() {
		fmt.Fprintf(&p.b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", gutter, plotWidth-margin, height(v), height(v))
		p.text("axis", gutter-10, height(v)+4, "end", formatY(v))
	}
	for i, s := range all {
		class := fmt.Sprintf("s%d", i%4)
		var path strings.Builder
		for _, q := range s.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", p.x.at(q[0]), height(q[1]))
		}
		fmt.Fprintf(&p.b, `<polyline class="line %s" points="%s"/>`+"\n", class, strings.TrimSpace(path.String()))
		for _, q := range s.points {
			if marked {
				fmt.Fprintf(&p.b, `<circle class="point %s" cx="%.1f" cy="%.1f" r="4"><title>%s: %s at %s</title></circle>`+"\n",
					class, p.x.at(q[0]), height(q[1]), escape(s.name), escape(formatY(q[1])), escape(formatX(q[0])))
			}
		}
		fmt.Fprintf(&p.b, `<circle class="point %s" cx="%.1f" cy="%.1f" r="4"/>`+"\n", class, gutter+14, 12+18*float64(i))
		p.text("name", gutter+24, 16+18*float64(i), "start", s.name)
	}
	p.height = lineHeight
	return p.svg(formatX)
}
