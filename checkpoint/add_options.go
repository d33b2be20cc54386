package checkpoint

// PartOption says how parts are saved. Of several options that match a part the last one counts. Without any, files are compared
// page by page with the base checkpoint, streams by content and page by page. Patterns are as in RestoreOptions.Match; "*" is every part.
type PartOption interface{ apply(*partOptions) }

// choice is one way to save a part.
type choice int

const (
	byDefault choice = iota
	byPages
	byIdentity
	byTail
	byContent
)

type partOptions struct{ rules []rule }

type rule struct {
	patterns []string
	by       choice
}

func (r rule) apply(o *partOptions) { o.rules = append(o.rules, r) }

// Immutable declares files that never change once written (Pebble's "*.sst"): one whose name, size, time and inode are
// those of the base checkpoint is referred to without being read.
func Immutable(patterns ...string) PartOption { return rule{patterns, byIdentity} }

// Pages declares parts that change in place (SQLite, bbolt): compared page by page. It is what files are saved by anyway.
func Pages(patterns ...string) PartOption { return rule{patterns, byPages} }

// Content declares parts whose bytes shift (a sorted dump): cut by their content, and chunks that the base checkpoint has anywhere in the part are referred
// to. Streams are saved so by default, and compared page by page besides; declared, their tables are a fifteenth as large, and pages that change in place are not found.
func Content(patterns ...string) PartOption { return rule{patterns, byContent} }

// AppendOnly declares files that only ever grow at their end: of one that the base checkpoint has too, as the same inode and not longer, only what came
// after is read. Trusted is the declaration itself: a byte that was changed in place is not seen.
func AppendOnly(patterns ...string) PartOption { return rule{patterns, byTail} }

// chooserOf returns the choice of options for a part's name.
func chooserOf(opts []PartOption) (func(name string) choice, error) {
	var o partOptions
	for _, opt := range opts {
		opt.apply(&o)
	}
	if len(o.rules) == 0 {
		return func(string) choice { return byDefault }, nil
	}
	type test struct {
		matches func(string) bool
		by      choice
	}
	var tests []test
	for _, r := range o.rules {
		for _, p := range r.patterns {
			t, err := compileGlob(p)
			if err != nil {
				return nil, err
			}
			tests = append(tests, test{t, r.by})
		}
	}
	return func(name string) choice {
		for i := len(tests) - 1; i >= 0; i-- {
			if tests[i].matches(name) {
				return tests[i].by
			}
		}
		return byDefault
	}, nil
}
