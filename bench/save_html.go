package bench

import (
	"html/template"
	"io"
	"strings"
)

// WriteHTML writes the report as one page that needs nothing else: tables, and plots as inline SVG.
func (r *SaveReport) WriteHTML(w io.Writer) error {
	c := contents{Title: "Save benchmark", Facts: r.facts(), Noise: saveNoise, Legend: r.legend(), Subject: subject}
	add := func(t table, plots ...string) {
		s := section{Name: strings.Join(strings.FieldsFunc(t.title, func(r rune) bool { return r == ' ' || r == ',' || r == ':' }), "-"),
			Title: t.title, About: t.about, Header: t.header, Rows: t.rows, Notes: t.notes}
		for _, svg := range plots {
			if svg != "" {
				s.Plots = append(s.Plots, template.HTML(svg)) // made by this package, texts escaped
			}
		}
		c.Sections = append(c.Sections, s)
	}
	if t, ok := r.goalTable(); ok {
		add(t)
	}
	for i := range r.Cases {
		k := &r.Cases[i]
		add(k.table(), k.plot("time", func(m *Measure) float64 { return m.Wall }, func(v float64) string { return seconds(&v) }),
			k.plot("peak of memory", func(m *Measure) float64 { return float64(m.Peak) }, func(v float64) string { return mebibytes(int64(v)) }))
	}
	for i := range r.Curves {
		add(r.Curves[i].table(), r.Curves[i].plots()...)
	}
	return pageTemplate.Execute(w, c)
}

// WriteHTMLFile writes the page to a file.
func (r *SaveReport) WriteHTMLFile(name string) error { return writePage(name, r.WriteHTML) }

// plot has a bar for each contender; a line marks its best round.
func (c *SaveCase) plot(what string, of func(*Measure) float64, format func(float64) string) string {
	var values []float64
	for _, r := range c.Results {
		for i := range r.Rounds {
			values = append(values, of(&r.Rounds[i]))
		}
	}
	if values == nil {
		return ""
	}
	p := newPlot(c.title()+": "+what, decades(values))
	for _, r := range c.Results {
		if len(r.Rounds) == 0 {
			continue
		}
		y := p.row(r.Saver)
		class := "bar"
		if r.Saver == subject {
			class = "bar subject"
		}
		v := of(&r.Median)
		p.bar(class, p.x.from, v, y, 14, format(v))
		best := of(&r.Rounds[0])
		for i := range r.Rounds {
			best = min(best, of(&r.Rounds[i]))
		}
		p.tick("best", best, y, 18)
	}
	return p.svg(format)
}
