package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
)

// place gives everything its final name, and directories their attributes.
func (r *restorer) place() error {
	var err error
	if r.merge {
		err = r.mergeAll()
	} else {
		err = r.moveAll()
	}
	if err != nil {
		return err
	}
	if r.o.Delete {
		if err := r.deleteOthers(); err != nil {
			return r.c.localError("restore", err)
		}
	}
	// Directories from the inside out and after everything else, because writing into one changes its time, and may not be allowed any more.
	slices.Reverse(r.directories)
	for _, number := range append(r.resets, r.directories...) {
		t := r.at(number).target()
		if err := r.attributes(t); err != nil {
			return r.c.targetError(t.part, err)
		}
	}
	return nil
}

// moveAll moves the stage's entries into the directory, which was empty.
func (r *restorer) moveAll() error {
	entries, err := entriesOf(r.root, ".")
	if err != nil {
		return r.c.localError("restore", err)
	}
	for _, e := range entries {
		if e.Name() != r.name {
			return r.c.localError("restore", fmt.Errorf("%s came into the directory meanwhile: %w", e.Name(), fs.ErrExist))
		}
	}
	return r.c.localError("restore", r.moveTop(r.tops()))
}

// tops yields the top-level names of all targets, each once.
func (r *restorer) tops() iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := make(map[string]bool) // those of directories
		for c := range r.all() {
			top, _, below := strings.Cut(c.name, string(filepath.Separator))
			if below || c.Kind == format.Part_DIRECTORY {
				if seen[top] {
					continue
				}
				seen[top] = true
			}
			if !yield(top) {
				return
			}
		}
	}
}

// mergeAll moves file by file between what is in the directory.
func (r *restorer) mergeAll() error {
	for c := range r.all() {
		if err := r.mergeOne(c); err != nil {
			return r.c.targetError(string(c.Name), err)
		}
	}
	return nil
}

func (r *restorer) mergeOne(t chosen) error {
	if r.unchanged[t.number] {
		return nil
	}
	if t.Kind == format.Part_DIRECTORY {
		return r.mergeDir(t.name)
	}
	if err := r.mergeDir(filepath.Dir(t.name)); err != nil {
		return err
	}
	if st, err := r.root.Lstat(t.name); err == nil && st.IsDir() {
		if !r.o.Delete {
			return fmt.Errorf("%s is a directory; it is not replaced by a file", t.name)
		}
		if err := r.root.RemoveAll(t.name); err != nil {
			return err
		}
		r.deleted++
	}
	return r.move(t.name)
}

// mergeDir makes a directory with those above it, where they are not there.
func (r *restorer) mergeDir(dir string) error {
	if dir == "." {
		return nil
	}
	st, err := r.root.Stat(dir)
	switch {
	case err == nil && st.IsDir():
		return nil
	case err == nil && !r.o.Delete:
		return fmt.Errorf("%s is a file; it is not replaced by a directory", dir)
	case err == nil:
		if err := r.root.Remove(dir); err != nil {
			return err
		}
		r.deleted++
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := r.mergeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return r.root.Mkdir(dir, 0o755)
}

// deleteOthers removes what the options select and the checkpoint does not hold.
func (r *restorer) deleteOthers() error {
	keep := map[string]bool{".": true, r.name: true}
	for t := range r.all() {
		for name := t.name; !keep[name]; name = filepath.Dir(name) {
			keep[name] = true
		}
	}
	var dirs []string
	err := walkRoot(r.root, ".", func(name string, d fs.DirEntry) error {
		switch {
		case name == r.name:
			return fs.SkipDir
		case keep[name]:
			return nil
		case d.IsDir():
			dirs = append(dirs, name)
			return nil
		case !r.match(filepath.ToSlash(name)):
			return nil
		}
		r.deleted++
		return r.root.Remove(name)
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(dirs) {
		// What the pattern does not select may be in it; then it stays.
		if entries, err := entriesOf(r.root, name); err != nil || len(entries) > 0 {
			continue
		}
		if err := r.root.Remove(name); err != nil {
			return err
		}
		r.deleted++
	}
	return nil
}

// attributes sets mode and time of what has its final name.
func (r *restorer) attributes(t *target) error {
	if err := r.root.Chmod(t.name, t.mode()); err != nil {
		return err
	}
	at := t.modified()
	if at.IsZero() {
		return nil
	}
	return r.root.Chtimes(t.name, at, at)
}
