package checkpoint

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidemark-go/tidemark/internal/format"
)

// chosen is a part that a restore is for.
type chosen struct {
	*format.Part
	number int    // in the manifest
	name   string // below the directory, in the system's form
}

// isFile tells what has content from directories and links.
func (c chosen) isFile() bool {
	return c.Kind != format.Part_DIRECTORY && c.Kind != format.Part_SYMLINK
}

// target is a part on its way to a file. Of 100,000 only those that are being fetched exist at a time.
type target struct {
	part   string // name of the part
	name   string // as of chosen
	number int

	kind       format.Part_Kind
	size       int64
	permission uint32
	modifiedNs int64

	create sync.Once
	failed error // of create
	sparse atomic.Bool
	left   atomic.Int64 // bytes that are not in the file yet
}

func (c chosen) target() *target {
	part := c.name
	if part != string(c.Name) { // hardly ever: one string serves for both
		part = string(c.Name)
	}
	t := &target{
		part: part, name: c.name, number: c.number,
		kind: c.Kind, size: int64(c.Size), permission: c.Mode, modifiedNs: c.ModifiedNs,
	}
	t.left.Store(t.size)
	return t
}

// selection is the parts that a restore is for.
type selection struct {
	c      *Checkpoint
	m      format.Contents
	prefix string // without a slash at its end
	match  func(name string) bool
	local  func(name string) string // gives a name the system's form
}

// below is the name of a part below the directory; false if it is not below the prefix.
func (s *selection) below(p *format.Part) (name string, ok bool) {
	name = string(p.Name)
	if s.prefix == "" {
		return name, true
	}
	if below, ok := strings.CutPrefix(name, s.prefix+"/"); ok {
		return below, true
	}
	return path.Base(name), name == s.prefix && p.Kind != format.Part_DIRECTORY
}

// all yields the selected parts in the order of their names, each valid until the next one.
func (s *selection) all() iter.Seq[chosen] {
	return func(yield func(chosen) bool) {
		for i, p := range s.m.Parts.All() {
			if name, ok := s.below(p); ok && s.match(name) && !yield(chosen{p, i, s.local(name)}) {
				return
			}
		}
	}
}

// at is one of those that all yields, by its number; it stays valid.
func (s *selection) at(number int) chosen {
	p := s.m.Parts.At(number)
	name, _ := s.below(p)
	return chosen{p, number, s.local(name)}
}

// check looks at the names of all, and where the links among them lead, before anything is written; and counts them.
func (s *selection) check() (parts, bytes int64, err error) {
	all := make(links) // those that are not selected may be there already
	for _, p := range s.m.Parts.All() {
		name, ok := s.below(p)
		if !ok {
			continue
		}
		if p.Kind == format.Part_SYMLINK {
			all[name] = string(p.LinkTarget)
		}
		if !s.match(name) {
			continue
		}
		if err := s.c.checkName(p, name); err != nil {
			return 0, 0, err
		}
		parts, bytes = parts+1, bytes+int64(p.Size)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !s.match(name) {
			continue
		}
		if err := all.check(name); err != nil {
			return 0, 0, s.c.restoreError(ErrInvalid, s.partOf(name), err)
		}
	}
	if parts == 0 {
		return 0, 0, s.c.restoreError(ErrNotFound, "", fmt.Errorf("no part of the checkpoint is selected (prefix %q)", s.prefix))
	}
	return parts, bytes, nil
}

// partOf is the reverse of below.
func (s *selection) partOf(name string) string {
	switch {
	case s.prefix == "":
		return name
	case s.m.Parts.Find([]byte(s.prefix+"/"+name)) == nil:
		return s.prefix
	}
	return s.prefix + "/" + name
}

// checkName checks that the name of a part stays inside the directory, whatever wrote the manifest.
func (c *Checkpoint) checkName(p *format.Part, name string) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) || format.CheckPartName(name) != nil {
		return c.restoreError(ErrInvalid, string(p.Name), errors.New("its name would leave the directory"))
	}
	return nil
}
