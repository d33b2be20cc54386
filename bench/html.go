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

// section is one table of a page with its plots.
type section struct {
	Name    string // its anchor
	Title   string
	About   string
	Verdict string
	Missed  bool
	Plots   []template.HTML
	Header  []string
	Rows    [][]string
	Notes   []string
}

// contents are what a page shows.
type contents struct {
	Title    string
	Facts    [][2]string
	Noise    string
	Legend   [][]string
	Key      []mark // of the colours
	Subject  string
	Sections []section
}

// mark explains a colour; About begins a group.
type mark struct{ About, Colour, Name string }

// WriteHTML writes the report as one page that needs nothing else: tables, and plots as inline SVG.
func (r *Report) WriteHTML(w io.Writer) error {
	c := contents{Title: "Token benchmark", Facts: r.facts(), Noise: noise, Legend: r.legend(), Subject: subject, Key: []mark{
		{"In the plots of waits:", "subject", "p50"}, {"", "fetch", "p99"}, {"", "bar", "p99.9"}, {"", "dark", "max."},
		{"In those of time:", "trouble", "the server's trouble"}, {"", "fetch", "a request"}, {"", "dark", "no token for callers"}, {"", "subject", "the new token."},
	}}
	for i := range r.Cases {
		k := &r.Cases[i]
		s := section{Name: k.Name, Title: k.Name, About: k.About, Verdict: k.verdict(), Missed: k.Reached != nil && !*k.Reached, Notes: k.notes()}
		s.Header, s.Rows = k.table()
		for _, svg := range k.plots() {
			s.Plots = append(s.Plots, template.HTML(svg)) // made by this package, texts escaped
		}
		c.Sections = append(c.Sections, s)
	}
	return pageTemplate.Execute(w, c)
}

// WriteHTMLFile writes the page to a file.
func (r *Report) WriteHTMLFile(name string) error { return writePage(name, r.WriteHTML) }

func writePage(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	return nil
}
