package bench

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ReadSaves reads reports that [SaveReport.WriteJSON] wrote, and those in directories of SaveOptions.Out, and makes one of them. Of a case that several have, that of the
// last one stays, with all of its contenders: times of different runs are not compared. Goals are judged anew. Reports of different machines or of states that differ are ErrUsage.
func ReadSaves(names ...string) (*SaveReport, error) {
	var merged *SaveReport
	for _, name := range names {
		files := []string{name}
		if info, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		} else if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(escapeGlob(name), "*.json")); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			r, err := readReport(file)
			if err != nil {
				return nil, err
			}
			if merged == nil {
				merged = r
				continue
			}
			if !r.Settings.alike(&merged.Settings) || !r.Environment.alike(&merged.Environment) {
				return nil, fmt.Errorf("%w: %s was measured on another machine or with another state than those before it", ErrUsage, file)
			}
			merged.take(r)
		}
	}
	if merged == nil {
		return nil, fmt.Errorf("%w: there is no report in %s", ErrUsage, strings.Join(names, ", "))
	}
	merged.inOrder()
	merged.Goals = []Goal{}
	if !merged.Settings.Quick {
		merged.judge()
	}
	return merged, nil
}

// escapeGlob makes a pattern that stands for a name alone.
func escapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// take adds a later report.
func (r *SaveReport) take(o *SaveReport) {
	for _, c := range o.Cases {
		r.Cases = put(r.Cases, c, func(a, b SaveCase) bool { return a.Verb == b.Verb && a.Name == b.Name && a.Delay == b.Delay })
	}
	for _, c := range o.Curves {
		r.Curves = put(r.Curves, c, func(a, b Curve) bool { return a.Name == b.Name })
	}
	for _, a := range o.Savers {
		i := slices.IndexFunc(r.Savers, func(b SaverAbout) bool { return a.Name == b.Name })
		if i < 0 || a.Absent == "" { // whoever was there once has figures
			r.Savers = put(r.Savers, a, func(a, b SaverAbout) bool { return a.Name == b.Name })
		}
	}
	for _, a := range o.Absent {
		r.Absent = put(r.Absent, a, func(a, b SaverAbout) bool { return a.Name == b.Name })
	}
	measured := func(a SaverAbout) bool {
		return slices.ContainsFunc(r.Cases, func(c SaveCase) bool { return c.Name == a.Name })
	}
	r.Absent = slices.DeleteFunc(r.Absent, measured)
	e := &r.Environment
	if known := strings.Split(e.Revision, ", "); !slices.Contains(known, o.Environment.Revision) {
		e.Revision = strings.Trim(e.Revision+", "+o.Environment.Revision, ", ")
	}
	e.Modified = e.Modified || o.Environment.Modified
	e.LoadAfter = o.Environment.LoadAfter
	r.Settings.Rounds = max(r.Settings.Rounds, o.Settings.Rounds)
	r.Settings.Seconds += o.Settings.Seconds
}

// put replaces what is the same, or appends.
func put[T any](all []T, x T, same func(a, b T) bool) []T {
	if i := slices.IndexFunc(all, func(y T) bool { return same(x, y) }); i >= 0 {
		all[i] = x
		return all
	}
	return append(all, x)
}

// inOrder sorts cases and curves as one run has them.
func (r *SaveReport) inOrder() {
	chain := func(c SaveCase) int {
		switch {
		case strings.HasPrefix(c.Name, statePrefix):
			return 2
		case c.Name == "D":
			return 1
		}
		return 0
	}
	slices.SortStableFunc(r.Cases, func(a, b SaveCase) int {
		return cmp.Or(cmp.Compare(chain(a), chain(b)), cmp.Compare(a.Delay, b.Delay))
	})
	at := func(c Curve) int {
		return slices.Index(growthCases, saveCaseName{VerbSave, growthPrefix + c.Name})
	}
	slices.SortStableFunc(r.Curves, func(a, b Curve) int { return cmp.Compare(at(a), at(b)) })
}
