package bench

import (
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// soakNoise says how to read the report.
const soakNoise = "Growth is the slope of a line through the samples after the first fifth (Theil and Sen: the median of the slopes between all pairs), for an hour. It may be 5 % of the mean, or " +
	"what chance makes of a small number; of less than half an hour it is not judged. Everything that could have been wrong is counted, the rest is not interesting."

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// format is a value in the curve's unit.
func (c *SoakCurve) format(v float64) string {
	if c.Unit == "bytes" {
		return fmt.Sprintf("%.2f MiB", v/(1<<20))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// WriteJSON writes the report as one document on one line.
func (r *SoakReport) WriteJSON(w io.Writer) error { return writeLine(w, r) }

// Verdict says in a line how it ended.
func (r *SoakReport) Verdict() string {
	switch {
	case r.OK:
		return fmt.Sprintf("OK: nothing lost, nothing wrong, every bound kept in %s", duration(r.Settings.Seconds))
	case r.Lost():
		return fmt.Sprintf("FAILED: promises were broken %d times, with wrong or lost checkpoints among them", len(r.Violations))
	}
	return fmt.Sprintf("FAILED: %d broken promises, %d broken bounds; no checkpoint was lost or wrong", len(r.Violations), len(r.Broken))
}

func duration(s float64) string {
	if s >= 120 {
		return fmt.Sprintf("%.0f min", s/60)
	}
	return fmt.Sprintf("%.0f s", s)
}

func (r *SoakReport) facts() [][2]string {
	s := &r.Settings
	return append(r.Environment.facts(),
		[2]string{"verdict", r.Verdict()},
		[2]string{"length", fmt.Sprintf("%s, seed %d, a save of each job every %.3g s", duration(s.Seconds), s.Seed, s.PaceSeconds)},
		[2]string{"memory", fmt.Sprintf("%s of %s resident at most; %s; cgroup %s", mebibytes(r.Peak), mebibytes(s.Memory), s.GoLimit, s.Group)},
		[2]string{"tokens", fmt.Sprintf("of %.3g s, repeated until %.3g s are left: %d issued", s.TokenSeconds, s.ReuseSeconds, r.Cloud.Tokens.TokensIssued)},
		[2]string{"processor", fmt.Sprintf("%.3g cores of the process under test", r.CPU.total()/max(s.Seconds, 1))},
	)
}

// tables are all of them in their order.
func (r *SoakReport) tables() []table {
	var all []table
	if len(r.Violations)+len(r.Broken) > 0 {
		t := table{title: "broken", about: "what must not be", header: []string{"detail"}}
		for _, v := range r.Violations {
			t.rows = append(t.rows, []string{fmt.Sprintf("%s, job %s: %s", v.Kind, v.Job, shorten(v.Detail))})
		}
		for _, b := range r.Broken {
			t.rows = append(t.rows, []string{"bound: " + b})
		}
		all = append(all, t)
	}
	counts := table{title: "what happened", about: "a soak in which one of these is none has shown nothing, and fails", header: []string{"", "count"}}
	for _, m := range r.musts() {
		counts.rows = append(counts.rows, []string{m.what, strconv.FormatInt(m.n, 10)})
	}
	counts.rows = append(counts.rows, []string{"MB compared", megabytes(r.Work.Bytes + r.Killed.Bytes)}, []string{"requests to the store", strconv.FormatInt(r.Cloud.Requests.Total(), 10)})
	all = append(all, counts, curveTable("growth of the process under test", "fitted and bounded", r.Curves, true))
	if r.GroupPeak > 0 {
		all[len(all)-1].notes = append(all[len(all)-1].notes, "the memory cgroup counted "+mebibytes(r.GroupPeak)+" at most, the cache of files included; pages of the program are charged elsewhere")
	}
	return append(all, r.operationsTable(), r.faultsTable(), r.auditsTable(),
		curveTable("growth of the emulator", "a process of its own that keeps all objects in memory; not judged", r.CloudCurves, false))
}

func curveTable(title, about string, curves []SoakCurve, judged bool) table {
	t := table{title: title, about: about, header: []string{"", "mean", "highest", "growth", "per hour"}}
	if judged {
		t.header = append(t.header, "allowed", "")
	}
	for _, c := range curves {
		row := []string{c.Name, c.format(c.Mean), c.format(c.Highest), c.format(c.Growth), c.format(c.PerHour)}
		if judged {
			switch {
			case c.Kept && c.Bound == 0:
				row = append(row, "", "too short a run to tell")
			case c.Kept:
				row = append(row, c.format(c.Bound), "kept")
			default:
				row = append(row, c.format(c.Bound), "BROKEN")
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (r *SoakReport) operationsTable() table {
	t := table{title: "operations", about: "how they ended: only what is right in the circumstances is allowed, anything else is a broken promise", header: []string{"operation", "ended", "count"}}
	var sum SoakWork
	sum.add(r.Work)
	sum.add(r.Killed)
	for _, op := range sortedKeys(sum.Operations) {
		kinds := sum.Operations[op]
		for _, kind := range sortedKeys(kinds) {
			t.rows = append(t.rows, []string{op, kind, strconv.FormatInt(kinds[kind], 10)})
		}
	}
	return t
}

func (r *SoakReport) faultsTable() table {
	t := table{title: "faults", about: "how often each befell a request; one that never did fails the run", header: []string{"fault", "count"}}
	for _, name := range sortedKeys(r.Cloud.Fired) {
		t.rows = append(t.rows, []string{name, strconv.FormatInt(r.Cloud.Fired[name], 10)})
	}
	return t
}

func (r *SoakReport) auditsTable() table {
	t := table{title: "the jobs at the end", about: "taken over, collected, every byte verified, every retained checkpoint restored and compared; objects are those in the bucket, which HEAD needs one and all",
		header: []string{"job", "latest", "retained", "objects", "bytes", "collected last"}}
	for _, a := range r.Audits {
		t.rows = append(t.rows, []string{a.Job, strconv.FormatUint(a.Latest, 10), strconv.Itoa(a.Checkpoints), strconv.FormatInt(a.Live, 10), mebibytes(a.LiveBytes), strconv.FormatInt(a.Collected, 10)})
	}
	return t
}

// WriteText writes the report as tables for people.
func (r *SoakReport) WriteText(w io.Writer) error {
	var b strings.Builder
	writeFacts(&b, r.facts())
	fmt.Fprintf(&b, "\n%s\n", soakNoise)
	writeTables(&b, r.tables())
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteHTML writes the report as one page that needs nothing else.
func (r *SoakReport) WriteHTML(w io.Writer) error {
	c := contents{Title: "Soak", Facts: r.facts(), Noise: soakNoise}
	for _, t := range r.tables() {
		s := section{Name: strings.ReplaceAll(t.title, " ", "-"), Title: t.title, About: t.about, Header: t.header, Rows: t.rows, Notes: t.notes}
		switch t.title {
		case "growth of the process under test":
			s.Plots, s.Verdict, s.Missed = r.plots(r.Samples), r.Verdict(), !r.OK
		case "growth of the emulator":
			s.Plots = r.plots(r.CloudSamples)
		}
		c.Sections = append(c.Sections, s)
	}
	return pageTemplate.Execute(w, c)
}

// WriteHTMLFile writes the page to a file.
func (r *SoakReport) WriteHTMLFile(name string) error { return writePage(name, r.WriteHTML) }

// plots are the samples over time.
func (r *SoakReport) plots(samples []SoakSample) []template.HTML {
	draw := func(label string, bytes bool, names ...string) template.HTML {
		var all []series
		for _, c := range soakCurves {
			if !slices.Contains(names, c.name) {
				continue
			}
			s := series{name: c.name}
			for i := range samples {
				s.points = append(s.points, [2]float64{samples[i].At, c.of(&samples[i])})
			}
			all = append(all, s)
		}
		format := figure
		if bytes {
			format = func(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) }
		}
		return template.HTML(linesOverTime(label, all, format)) // made by this package, texts escaped
	}
	return []template.HTML{
		draw("memory", true, "live heap", "resident", allocated),
		draw("goroutines, file descriptors, connections", false, "goroutines", "file descriptors", "connections"),
	}
}
