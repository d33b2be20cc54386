package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tidemark-go/tidemark/checkpoint"
)

const (
	// littleSpace is less than one checkpoint of any size needs while the one before it still exists.
	littleSpace = 1 << 30
	// littleShare of a file system's size is where most begin to slow down and fragment.
	littleShare = 20 // that is, 5 %
)

// directory returns the directory in which to try out a file:// store: its own, or, so that a mistyped path leaves nothing
// behind, one beside the place where the first save would create it.
func (d *doctor) directory(dir string) (try string, leave func(), err error) {
	const name = "directory"
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return "", nil, &checkpoint.Error{Kind: checkpoint.ErrInvalid, Op: name, Err: fmt.Errorf("%s is not a directory", dir), Hint: "correct the store's URL"}
	case err == nil:
		d.add(check{Name: name, Detail: dir + " exists"})
		d.freeSpace(dir)
		return dir, func() {}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", nil, directoryError(dir, err)
	}
	above := filepath.Dir(dir)
	for above != filepath.Dir(above) {
		if _, err := os.Stat(above); err == nil {
			break
		}
		above = filepath.Dir(above)
	}
	try, err = os.MkdirTemp(above, ".tidemark-doctor-")
	if err != nil {
		return "", nil, directoryError(above, err)
	}
	d.add(check{Name: name, Severity: warning, Detail: dir + " does not exist; tried out beside it, in " + above,
		Hint: "nothing is to be done if no checkpoint was saved yet, as the first save creates it; otherwise correct the store's URL"})
	d.freeSpace(try)
	return try, func() { _ = os.RemoveAll(try) }, nil // what stays is an empty directory of a name that says whose it is
}

func directoryError(dir string, err error) error {
	kind, hint := checkpoint.ErrInvalid, "see that the path is right and its file system mounted and writable"
	if errors.Is(err, fs.ErrPermission) {
		kind, hint = checkpoint.ErrPermission, "let this user read, write and search "+dir
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &checkpoint.Error{Kind: kind, Op: "directory", Err: fmt.Errorf("%s: %w", dir, err), Hint: hint}
}

func (d *doctor) freeSpace(dir string) {
	const name = "free-space"
	free, size, err := space(dir)
	switch {
	case err != nil:
		d.add(check{Name: name, Severity: warning, Detail: "the free space is not known: " + err.Error(), Hint: "look with df " + dir})
	case free < littleSpace || free < size/littleShare:
		d.add(check{Name: name, Severity: warning, Detail: fmt.Sprintf("%s of %s are free", humanBytes(free), humanBytes(size)),
			Hint: "free space, or retire checkpoints (`tidemark retain`) and collect (`tidemark gc`)"})
	default:
		d.add(check{Name: name, Detail: fmt.Sprintf("%s of %s are free", humanBytes(free), humanBytes(size))})
	}
}
