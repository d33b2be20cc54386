package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
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
	// From the inside out, because writing into a directory changes its time, and may not be allowed any more.
	for _, t := range slices.Backward(r.targets) {
		if t.part.Kind == format.Part_DIRECTORY || t.reset {
			if err := r.attributes(t); err != nil {
				return r.c.targetError(t, err)
			}
		}
		r.o.Progress.Parts.Add(1)
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
	var tops []string
	seen := make(map[string]bool)
	for _, t := range r.targets {
		if top, _, _ := strings.Cut(t.name, string(filepath.Separator)); !seen[top] {
			seen[top] = true
			tops = append(tops, top)
		}
	}
	return r.c.localError("restore", r.moveTop(tops))
}

// mergeAll moves file by file between what is in the directory.
func (r *restorer) mergeAll() error {
	for _, t := range r.targets {
		if err := r.mergeTarget(t); err != nil {
			return r.c.targetError(t, err)
		}
	}
	return nil
}

func (r *restorer) mergeTarget(t *target) error {
	if t.unchanged {
		return nil
	}
	if t.part.Kind == format.Part_DIRECTORY {
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
	for _, t := range r.targets {
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
		case !r.selected(filepath.ToSlash(name)):
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
