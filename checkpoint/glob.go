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

// matchSegments takes for each ** as few segments as will do, and gives only the last one more: what an earlier one could take, the last one can. So a name costs its length times the
// pattern's; names come from whoever wrote the archive.
func matchSegments(pattern, name []string) bool {
	p, n := 0, 0
	star, taken := -1, 0 // the last **, and where what it takes ends
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			star, taken = p, n
			p++
			continue
		case p < len(pattern):
			if ok, _ := path.Match(pattern[p], name[n]); ok { // the pattern was checked when it was compiled
				p, n = p+1, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		taken++
		p, n = star+1, taken
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}
