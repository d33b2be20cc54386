package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// noise says how to read the figures; it stands above every table.
const noise = "Contenders take turns within a case. Nanoseconds are the median of the rounds with the best beside it, by which a " +
	"goal is judged; every other figure is the worst of the rounds. A busy machine adds to waits and nanoseconds, most to p99.9 and max; it adds nothing to counts."

// WriteJSON writes the report as one document on one line.
func (r *Report) WriteJSON(w io.Writer) error { return writeLine(w, r) }

// writeLine writes v as JSON on a line of its own.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// WriteText writes the report as tables for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	writeFacts(&b, r.facts())
	fmt.Fprintf(&b, "\n%s\n\n", noise)
	columns(&b, nil, r.legend())
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "\n%s: %s\n", c.Name, c.About)
		if verdict := c.verdict(); verdict != "" {
			fmt.Fprintf(&b, "%s\n", verdict)
		}
		header, rows := c.table()
		b.WriteString("\n")
		columns(&b, header, rows)
		for _, note := range c.notes() {
			fmt.Fprintf(&b, "  %s\n", note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTables writes tables with what they are about and their notes.
func writeTables(b *strings.Builder, tables []table) {
	for _, t := range tables {
		fmt.Fprintf(b, "\n%s: %s\n\n", t.title, t.about)
		columns(b, t.header, t.rows)
		for _, note := range t.notes {
			fmt.Fprintf(b, "  %s\n", note)
		}
	}
}

func writeFacts(b *strings.Builder, facts [][2]string) {
	for _, row := range facts {
		fmt.Fprintf(b, "%-10s  %s\n", row[0], row[1])
	}
}

// facts are where a report was made.
func (e *Environment) facts() [][2]string {
	facts := [][2]string{
		{"go", e.Go + " " + e.OS + "/" + e.Arch},
		{"machine", fmt.Sprintf("%s, %s, GOMAXPROCS %d", orElse(e.CPU, "unknown CPU"), plural(e.Cores, "core"), e.GOMAXPROCS)},
	}
	if e.Memory > 0 {
		facts[1][1] += ", " + mebibytes(e.Memory)
	}
	if e.Kernel != "" {
		facts = append(facts, [2]string{"kernel", e.Kernel})
	}
	if e.LoadBefore != "" {
		facts = append(facts, [2]string{"load", e.LoadBefore + " before, " + e.LoadAfter + " after"})
	}
	if e.Revision != "" {
		revision := e.Revision
		if e.Modified {
			revision += ", modified"
		}
		facts = append(facts, [2]string{"revision", revision})
	}
	return facts
}

// facts are the environment and the settings.
func (r *Report) facts() [][2]string {
	facts := r.Environment.facts()
	times := "shortened"
	switch {
	case r.Settings.RealTime:
		times = "as in life"
	case r.Settings.Quick:
		times = "of a smoke test: only counts mean anything"
	}
	return append(facts, [2]string{"times", fmt.Sprintf("%s; took %.0f s", times, r.Settings.Seconds)})
}

func (r *Report) legend() [][]string {
	var rows [][]string
	for _, c := range r.Contenders {
		rows = append(rows, []string{c.Name, c.About})
	}
	return rows
}

// verdict says what the goal is and whether it was reached; empty without a goal.
func (c *CaseReport) verdict() string {
	if c.Goal == "" {
		return ""
	}
	text := "goal for " + subject + ": " + c.Goal
	if c.Reached == nil {
		return text
	}
	if *c.Reached {
		return text + " (reached)"
	}
	return text + " (NOT reached)"
}

// notes are the errors behind the figures.
func (c *CaseReport) notes() []string {
	var notes []string
	for _, r := range c.Results {
		if r.Error != "" {
			notes = append(notes, r.Contender+": not measured: "+shorten(r.Error))
		} else if r.LastError != "" {
			notes = append(notes, r.Contender+": an error: "+shorten(r.LastError))
		}
	}
	return notes
}

// table is the case's table. The first column is the contender, the others are figures.
func (c *CaseReport) table() (header []string, rows [][]string) {
	header = map[Kind][]string{
		Hot:     {"contender", "ns/op", "best", "allocs/op", "B/op"},
		Wait:    {"contender", "fetches", "conns", "calls", "errors", "late", "overrun", "p50", "p99", "p99.9", "max", "refreshed"},
		Episode: {"contender", "fetches", "meanwhile", "conns", "calls", "errors", "p50", "p99", "p99.9", "max", "dark", "refreshed"},
		Sidecar: {"contender", "calls", "served", "shed", "broken", "fetches", "p50", "p99", "p99.9", "max", "cores", "peak MiB", "anonymous", "mapped"},
	}[c.Kind]
	for _, r := range c.Results {
		row := []string{r.Contender}
		for _, name := range header[1:] {
			row = append(row, r.cell(name))
		}
		rows = append(rows, row)
	}
	return header, rows
}

func (r *Result) cell(column string) string {
	l := r.Latency
	if l == nil {
		l = &Latency{}
	}
	switch column {
	case "ns/op":
		return nanos(r.NsPerOp)
	case "best":
		return nanos(r.BestNsPerOp)
	case "allocs/op":
		return whole(r.AllocsPerOp)
	case "B/op":
		return whole(r.BytesPerOp)
	case "fetches":
		return count(r.Fetches)
	case "meanwhile":
		return count(r.Meanwhile)
	case "conns":
		return count(r.Connections)
	case "calls":
		return count(r.Calls)
	case "errors":
		return count(r.Errors)
	case "late":
		return count(r.Late)
	case "overrun":
		return seconds(r.Overrun)
	case "dark":
		return seconds(r.Dark)
	case "refreshed":
		if r.Unrenewed {
			return "never"
		}
		return seconds(r.Refreshed)
	}
	if f := r.Sidecar; f != nil {
		if text, ok := f.cell(column); ok {
			return text
		}
	}
	if r.Latency == nil {
		return ""
	}
	return seconds(map[string]*float64{"p50": &l.P50, "p99": &l.P99, "p99.9": &l.P999, "max": &l.Max}[column])
}

func (f *SidecarFigures) cell(column string) (string, bool) {
	text, ok := map[string]string{
		"served": strconv.Itoa(f.Served), "shed": strconv.Itoa(f.Shed), "broken": strconv.Itoa(f.Broken), "cores": fmt.Sprintf("%.3f", f.Cores),
		"peak MiB": mib(f.Peak), "anonymous": mib(f.Anon), "mapped": mib(f.File),
	}[column]
	return text, ok
}

func count(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func whole(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', 0, 64)
}

// nanos has two digits after the point below 10 and none from 100 on.
func nanos(f *float64) string {
	if f == nil {
		return ""
	}
	switch {
	case *f < 10:
		return strconv.FormatFloat(*f, 'f', 2, 64)
	case *f < 100:
		return strconv.FormatFloat(*f, 'f', 1, 64)
	}
	return strconv.FormatFloat(*f, 'f', 0, 64)
}

// seconds are three digits in the unit that suits.
func seconds(f *float64) string {
	if f == nil {
		return ""
	}
	switch s := *f; {
	case s == 0:
		return "0"
	case s < 999.5e-9:
		return fmt.Sprintf("%.0f ns", s*1e9)
	case s < 999.5e-6:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 999.5e-3:
		return fmt.Sprintf("%.3g ms", s*1e3)
	case s < 999.5:
		return fmt.Sprintf("%.3g s", s)
	}
	return fmt.Sprintf("%.0f s", *f)
}

// columns writes a table; the first column to the left, the figures under a header to the right.
func columns(b *strings.Builder, header []string, rows [][]string) {
	right := header != nil
	if right {
		rows = append([][]string{header}, rows...)
	}
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var l strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right && i > 0 {
				l.WriteString("  " + pad + cell)
			} else {
				l.WriteString("  " + cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// shorten keeps an error to one line.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > 200 {
		s = string([]rune(s)[:200]) + "…"
	}
	return s
}
