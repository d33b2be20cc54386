package checkpoint

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// links are the symbolic links of a directory: by name, below it, where they lead.
type links map[string]string

// check refuses a link that leads out of the directory. A target that goes up again behind another link of the directory is refused whatever
// it means: it leads elsewhere than its text says. Without such ones, links that stay inside by their text stay inside together.
func (l links) check(name string) error {
	to := l[name]
	if to == "" || path.IsAbs(to) || !filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), to))) {
		return fmt.Errorf("symbolic link to %q leads out of the directory", to)
	}
	// Above name there are directories only: no part lies below a link.
	at := []byte(name[:max(0, strings.LastIndexByte(name, '/'))])
	var passed string // the first link on the way
	for step := range strings.SplitSeq(to, "/") {
		switch step {
		case "", ".":
		case "..":
			if passed != "" {
				return fmt.Errorf("symbolic link to %q goes up again behind the link %s, which may lead out of the directory", to, passed)
			}
			at = at[:max(0, bytes.LastIndexByte(at, '/'))]
		default:
			if len(at) > 0 {
				at = append(at, '/')
			}
			at = append(at, step...)
			if _, ok := l[string(at)]; ok && passed == "" {
				passed = string(at)
			}
		}
	}
	return nil
}
