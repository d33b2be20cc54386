package checkpoint

import (
	"fmt"
	"path"
	"strings"
)

// compileGlob returns a test for part names: * and ? stay inside a path segment, ** stands for any number of segments. A pattern without a slash
// is held against the whole name and against its last segment, so that *.sst finds files in any directory. An empty pattern matches everything.
func compileGlob(pattern string) (func(name string) bool, error) {
	if pattern == "" {
		return func(string) bool { return true }, nil
	}
	segments := strings.Split(pattern, "/")
	for _, s := range segments {
		if _, err := path.Match(s, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	return func(name string) bool {
		if len(segments) == 1 && matchSegments(segments, []string{path.Base(name)}) {
			return true
		}
		return matchSegments(segments, strings.Split(name, "/"))
	}, nil
}

func matchSegments(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if matchSegments(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, _ := path.Match(pattern[0], name[0]); !ok { // the pattern was checked when it was compiled
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}
