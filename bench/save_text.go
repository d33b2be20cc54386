package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// saveNoise says how to read the figures of the save benchmark.
const saveNoise = "Contenders take turns. Times are medians of the rounds, peaks the worst; × is the median, over the rounds, of a contender's time over " +
	"tidemark's in the same round. A busy machine adds to times; it adds nothing to requests and bytes."

// WriteJSON writes the report as one document on one line.
func (r *SaveReport) WriteJSON(w io.Writer) error { return writeLine(w, r) }

// WriteText writes the report as tables for people.
func (r *SaveReport) WriteText(w io.Writer) error {
	var b strings.Builder
	writeFacts(&b, r.facts())
	fmt.Fprintf(&b, "\n%s\n\n", saveNoise)
	columns(&b, nil, r.legend())
	writeTables(&b, r.tables())
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes the same for a document; tables stay as they are for people, so that they can be read there too.
func (r *SaveReport) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("```\n")
	writeFacts(&b, r.facts())
	b.WriteString("```\n\n" + saveNoise + "\n\n```\n")
	columns(&b, nil, r.legend())
	b.WriteString("```\n")
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n```\n", t.title, capital(t.about))
		columns(&b, t.header, t.rows)
		b.WriteString("```\n")
		for _, note := range t.notes {
			fmt.Fprintf(&b, "\n- %s\n", note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// facts are the environment and the settings.
func (r *SaveReport) facts() [][2]string {
	facts := r.Environment.facts()
	s := r.Settings
	what := fmt.Sprintf("%s, case D %d files; shrinks to %.2f by S2, %.2f by zstd", mebibytes(s.Size), s.Files, s.S2, s.Zstd)
	facts = append(facts, [2]string{"state", what})
	rounds := fmt.Sprintf("at most %d; took %.0f s", s.Rounds, s.Seconds)
	if s.Quick {
		rounds += "; a smoke test: only counts mean anything"
	}
	return append(facts, [2]string{"rounds", rounds}, [2]string{"prices", fmt.Sprintf("%s: $%g for 1,000 of class A, $%g of class B", s.Prices.Name, s.Prices.ClassA, s.Prices.ClassB)})
}

func (r *SaveReport) legend() [][]string {
	var rows [][]string
	for _, c := range slices.Concat(r.Savers, r.Absent) {
		about := c.About
		if c.Version != "" {
			about += " (" + c.Version + ")"
		}
		if c.Absent != "" {
			about = "ABSENT, " + shorten(c.Absent) + ": " + about
		}
		rows = append(rows, []string{c.Name, about})
	}
	return rows
}

// table is one of the report's tables. The first column is a name.
type table struct {
	title, about string
	header       []string
	rows         [][]string
	notes        []string
}

// tables are all of them in their order, the goals first.
func (r *SaveReport) tables() []table {
	var all []table
	if t, ok := r.goalTable(); ok {
		all = append(all, t)
	}
	for i := range r.Cases {
		all = append(all, r.Cases[i].table())
	}
	for i := range r.Curves {
		all = append(all, r.Curves[i].table())
	}
	return all
}

func (r *SaveReport) goalTable() (t table, any bool) {
	t = table{title: "goals", about: "what is asked of tidemark, and what was measured", header: []string{"goal", "must", "aim", "measured", ""}}
	for _, g := range r.Goals {
		if g.Absent != "" {
			continue // its case was not asked for, or its peer is named as absent above
		}
		sign := "≥ "
		if g.AtMost {
			sign = "≤ "
		}
		aim := ""
		if g.Aim != 0 {
			aim = sign + figure(g.Aim)
		}
		verdict := "MISSED"
		switch {
		case g.Aimed:
			verdict = "aim reached"
		case g.Reached:
			verdict = "reached"
		}
		t.rows = append(t.rows, []string{g.Name, sign + figure(g.Must), aim, figure(g.Measured) + " " + g.Unit, verdict})
	}
	return t, len(t.rows) > 0
}

// figure is a number with three digits, none of them lost.
func figure(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func (c *SaveCase) title() string {
	if c.Delay == 0 {
		return c.Verb + " " + c.Name
	}
	return fmt.Sprintf("%s %s, %s a request", c.Verb, c.Name, seconds(&c.Delay))
}

func (c *SaveCase) table() table {
	t := table{title: c.title(), about: c.About, header: []string{
		"contender", "wall", "×", "CPU", "user", "system", "peak MiB", "anon", "sent MB", "read MB", "A", "B", "free", "unbilled", "$/1000", "rounds",
	}}
	if c.Bytes > 0 {
		t.header = append(t.header, "sent %", "new %")
	}
	for _, r := range c.Results {
		if len(r.Rounds) == 0 {
			t.notes = append(t.notes, r.Saver+": not measured: "+shorten(r.Error))
			continue
		}
		if r.Error != "" {
			t.notes = append(t.notes, r.Saver+": a round failed: "+shorten(r.Error))
		}
		m := r.Median
		times := ""
		if r.Ratio > 0 {
			times = figure(r.Ratio)
		}
		total := m.CPU.total()
		t.rows = append(t.rows, []string{
			r.Saver, seconds(&m.Wall), times, seconds(&total), seconds(&m.CPU.User), seconds(&m.CPU.System), mib(m.Peak), mib(m.Anon), megabytes(m.In), megabytes(m.Out),
			fmt.Sprint(m.ClassA), fmt.Sprint(m.ClassB), fmt.Sprint(m.Free), fmt.Sprint(m.Unbilled), figure(m.Dollars * 1000), fmt.Sprint(len(r.Rounds)),
		})
		if c.Bytes > 0 {
			last := &t.rows[len(t.rows)-1]
			*last = append(*last, percent(r.mean(func(m *Measure) int64 { return m.In }), c.Bytes), percent(r.mean(func(m *Measure) int64 { return m.Outcome.NewBytes }), c.Bytes))
		}
	}
	return t
}

// mib is empty for what is not known.
func mib(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", float64(n)/(1<<20))
}

// kilobytes is empty for nothing.
func kilobytes(n int64) string {
	if n == 0 {
		return ""
	}
	return figure(float64(n) / 1e3)
}

func megabytes(n int64) string {
	f := float64(n) / 1e6
	if f > 0 && f < 0.01 {
		return fmt.Sprintf("%.4f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// percent is empty for nothing.
func percent(part float64, whole int64) string {
	if part == 0 || whole == 0 {
		return ""
	}
	return figure(100 * part / float64(whole))
}

// mean is that of the rounds.
func (r *SaveResult) mean(of func(*Measure) int64) float64 {
	total := int64(0)
	for i := range r.Rounds {
		total += of(&r.Rounds[i])
	}
	return float64(total) / float64(max(len(r.Rounds), 1))
}
