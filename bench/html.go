package bench

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

// WriteHTML writes the report as one page that needs nothing else: tables, and plots as inline SVG.
func (r *Report) WriteHTML(w io.Writer) error {
	type section struct {
		*CaseReport
		Verdict string
		Missed  bool
		Plots   []template.HTML
		Header  []string
		Rows    [][]string
		Notes   []string
	}
	var sections []section
	for i := range r.Cases {
		c := &r.Cases[i]
		s := section{CaseReport: c, Verdict: c.verdict(), Missed: c.Reached != nil && !*c.Reached, Notes: c.notes()}
		s.Header, s.Rows = c.table()
		for _, svg := range c.plots() {
			s.Plots = append(s.Plots, template.HTML(svg)) // made by this package, texts escaped
		}
		sections = append(sections, s)
	}
	return pageTemplate.Execute(w, map[string]any{
		"Facts": r.facts(), "Noise": noise, "Legend": r.legend(), "Sections": sections, "Subject": subject,
	})
}

// WriteHTMLFile writes the page to a file.
func (r *Report) WriteHTMLFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	if err := errors.Join(r.WriteHTML(f), f.Close()); err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	return nil
}
