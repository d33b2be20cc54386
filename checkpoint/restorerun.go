package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/tidemark-go/tidemark/internal/format"
)

// restorer carries one restore out.
type restorer struct {
	*selection
	*stage
	o      RestoreOptions
	spaces *spaces
	wants  *semaphore.Weighted // of those that are being fetched

	staged map[string]bool // files that an interrupted restore left in the stage
	dirs   map[string]bool // made in the stage

	directories []int // numbers of the targets that are some

	mu        sync.Mutex
	unchanged []bool // by number: stays what it is in the directory
	left      int64  // how many do
	resets    []int  // numbers of those that have another mode or time there

	kept    atomic.Int64
	deleted int64
}

// restoreInto builds everything in the stage, verified, and then gives it its place.
func (r *restorer) restoreInto(ctx context.Context, dir, prefix string) (err error) {
	if r.stage, err = r.c.openStage(dir, prefix, r.o); err != nil {
		return r.c.localError("restore", err)
	}
	defer func() {
		switch {
		case err == nil:
			err = r.c.localError("restore", r.discard())
		case !r.o.Resume:
			if !r.merge {
				r.takeBack()
			}
			_ = r.discard() // the reason is err
		}
		err = errors.Join(err, r.close())
		if err != nil {
			r.removeMade()
		}
	}()
	r.unchanged = make([]bool, r.m.Parts.Len())
	if err := r.prepare(); err != nil {
		return err
	}
	if err := r.fetch(ctx); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return r.place()
}

// leave notes that a target's file stays what it is in the directory, but for mode and time if it is to be reset.
func (r *restorer) leave(t *target, reset bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unchanged[t.number], r.left = true, r.left+1
	if reset {
		r.resets = append(r.resets, t.number)
	}
}

// prepare makes directories and links in the stage, and looks at what an interrupted restore has left there.
func (r *restorer) prepare() error {
	if r.found {
		r.staged = map[string]bool{}
		err := walkRoot(r.work, ".", func(name string, d fs.DirEntry) error {
			if d.Type().IsRegular() {
				r.staged[name] = true
			}
			return nil
		})
		if err != nil {
			return r.c.localError("restore", err)
		}
	}
	r.dirs = map[string]bool{".": true}
	for c := range r.all() {
		if err := r.prepareOne(c); err != nil {
			return r.c.targetError(string(c.Name), err)
		}
	}
	return nil
}

func (r *restorer) prepareOne(t chosen) error {
	if t.Kind == format.Part_DIRECTORY {
		r.directories = append(r.directories, t.number)
		return r.mkdir(t.name)
	}
	if err := r.mkdir(filepath.Dir(t.name)); err != nil {
		return err
	}
	if t.Kind != format.Part_SYMLINK {
		return nil
	}
	if r.found {
		if err := r.work.Remove(t.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return sameName(r.work.Symlink(string(t.LinkTarget), t.name), t.name)
}

// sameName explains why a new name is taken in a directory that holds nothing but parts, whose names are unique.
func sameName(err error, name string) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: two parts have one name on this file system: %w", name, err)
	}
	return err
}

// mkdir makes a directory of the stage with those above it.
func (r *restorer) mkdir(dir string) error {
	if r.dirs[dir] {
		return nil
	}
	if err := r.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := r.work.Mkdir(dir, 0o755); err != nil && (!r.found || !errors.Is(err, fs.ErrExist)) {
		return sameName(err, dir)
	}
	r.dirs[dir] = true
	return nil
}

// walkRoot visits what lies below dir, parents first, links not followed. Unlike fs.WalkDir it knows names that are no UTF-8. fs.SkipDir as
// visit's answer leaves a directory out.
func walkRoot(root *os.Root, dir string, visit func(name string, d fs.DirEntry) error) error {
	entries, err := entriesOf(root, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		err := visit(name, e)
		if err == nil && e.IsDir() {
			err = walkRoot(root, name, visit)
		}
		if err != nil && !errors.Is(err, fs.SkipDir) {
			return err
		}
	}
	return nil
}

func entriesOf(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return f.ReadDir(-1)
}
