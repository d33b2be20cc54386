package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemark-go/tidemark/checkpoint"
)

func (a *app) printJSON(v any) error { return writeJSON(a.out, v) }

// writeJSON writes one document on one line. It does not escape HTML: names and URLs stay readable.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (a *app) printf(format string, args ...any) error {
	return a.printText(fmt.Sprintf(format, args...))
}

func (a *app) printText(text string) error {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	_, err := io.WriteString(a.out, strings.Join(lines, "\n"))
	return err
}

// visible shows what does not print as Go writes it. Names of parts and what servers say are not ours, and a terminal would obey
// what is in them.
func visible(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unprintable(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}

// unprintable includes what turns the direction of text, and all that is no UTF-8.
func unprintable(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }

// requests is the JSON form of a count of requests.
type requests struct {
	Put    int64 `json:"put"`
	Get    int64 `json:"get"`
	List   int64 `json:"list"`
	Delete int64 `json:"delete"`
	Head   int64 `json:"head"`
}

func requestsOf(r checkpoint.Requests) requests {
	return requests{Put: r.Put, Get: r.Get, List: r.List, Delete: r.Delete, Head: r.Head}
}

func (r requests) String() string {
	var parts []string
	for _, n := range []struct {
		name  string
		count int64
	}{{"put", r.Put}, {"get", r.Get}, {"list", r.List}, {"delete", r.Delete}, {"head", r.Head}} {
		if n.count != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.count, n.name))
		}
	}
	if parts == nil {
		return "no requests"
	}
	return strings.Join(parts, ", ")
}

// table prints rows under a header, columns as wide as needed; those whose header starts with ">" are aligned to the right.
func (a *app) table(header []string, rows [][]string) error {
	right := make([]bool, len(header))
	names := make([]string, len(header))
	for i, name := range header {
		names[i], right[i] = strings.CutPrefix(name, ">")
	}
	return a.columns(right, append([][]string{names}, rows...))
}

// list prints pairs of a name and a value.
func (a *app) list(rows [][]string) error { return a.columns(make([]bool, 2), rows) }

func (a *app) columns(right []bool, rows [][]string) error {
	widths := make([]int, len(right))
	for _, row := range rows {
		for i := range row {
			row[i] = visible(row[i])
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line[i] = pad + cell
			} else {
				line[i] = cell + pad
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(line, "  "), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(a.out, b.String())
	return err
}

// humanBytes is a size with three digits at most: 17 B, 1.4 GiB.
func humanBytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), -1
	// 1023.95 and not 1024: what would be printed as 1024.0 KiB is 1.0 MiB.
	for ; value >= 1023.95 && unit < len("KMGTPE")-1; unit++ {
		value /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[max(unit, 0)])
}

// humanAgo is how long ago t was.
func humanAgo(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < -time.Minute:
		return "in " + humanDuration(-d) // the clocks differ; hiding it would not help
	case d < time.Second:
		return "just now"
	}
	return humanDuration(d) + " ago"
}

// humanDuration is a duration to the precision that people talk in.
func humanDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// plural is "1 part" or "3 parts".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// listed joins names, and says so where there are more than most.
func listed(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and more"
	}
	return strings.Join(names, ", ")
}
