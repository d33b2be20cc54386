package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
)

// PartOption says how parts are saved. Default: compared page by page with the base checkpoint.
type PartOption interface{ apply(*partOptions) }

type partOptions struct {
	immutable []string
}

type immutable []string

func (i immutable) apply(o *partOptions) { o.immutable = append(o.immutable, i...) }

// Immutable declares files that never change once written (Pebble's "*.sst"): one whose name, size, time and inode are
// those of the base checkpoint is referred to without being read. Patterns are as in RestoreOptions.Match; "*" is every file.
func Immutable(patterns ...string) PartOption { return immutable(patterns) }

func partOptionsOf(opts []PartOption) (isImmutable func(string) bool, err error) {
	var o partOptions
	for _, opt := range opts {
		opt.apply(&o)
	}
	var tests []func(string) bool
	for _, p := range o.immutable {
		t, err := compileGlob(p)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(name string) bool {
		for _, t := range tests {
			if t(name) {
				return true
			}
		}
		return false
	}, nil
}

// Add saves a stream as the part name. It returns when r is read; uploads go on behind.
func (w *Writer) Add(name string, r io.Reader, opts ...PartOption) error {
	if err := w.reserve(name); err != nil {
		return err
	}
	part := &format.Part{Name: []byte(name), Kind: format.Part_STREAM}
	was, err := w.compareWith(part)
	if err != nil {
		return w.wrap(err)
	}
	if err := w.saveContent(w.ctx, part, was, r); err != nil {
		return w.partError(name, err)
	}
	w.keep(part)
	return nil
}

// compareWith looks the part up in the base and notes how it will be saved.
func (w *Writer) compareWith(part *format.Part) (was *format.Part, err error) {
	part.Method = format.Part_FULL
	if w.base == nil {
		part.Reason = "nothing to compare with"
		return nil, nil
	}
	was, part.Reason, err = w.base.part(w.ctx, string(part.Name))
	if was == nil || err != nil {
		return nil, err
	}
	if was.Size == 0 || (was.Kind != format.Part_FILE && was.Kind != format.Part_STREAM) {
		part.Reason = "empty in the base checkpoint"
		return nil, nil
	}
	part.Method, part.Reason = format.Part_PAGES, "may change in place"
	return was, nil
}

// partError explains why a part could not be saved; the save's own end is the reason before anything that followed from it.
func (w *Writer) partError(name string, err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		err = cause
	}
	return namePart(localError(err, "save", w.job.name, w.id.Checkpoint), name)
}

// AddFile saves one file as the part name, with mode and modification time. A file that changes meanwhile is read again, then ErrChanged.
func (w *Writer) AddFile(name, file string, opts ...PartOption) error {
	isImmutable, err := partOptionsOf(opts)
	if err != nil {
		return w.fail(ErrInvalid, name, err, "")
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return w.partError(name, err)
	}
	defer func() { _ = root.Close() }()
	st, err := root.Stat(filepath.Base(file))
	if err != nil {
		return w.partError(name, err)
	}
	if !st.Mode().IsRegular() {
		return w.fail(ErrInvalid, name, fmt.Errorf("%s is not a regular file", file), "")
	}
	if err := w.reserve(name); err != nil {
		return err
	}
	return w.addFile(name, root, filepath.Base(file), isImmutable(path.Base(name)))
}

// fileTries is how often a file that changes while it is read is read anew before the save gives up.
const fileTries = 3

// addFile saves a regular file of root under a reserved name.
func (w *Writer) addFile(name string, root *os.Root, file string, isImmutable bool) error {
	for range fileTries {
		part, err := w.saveFile(name, root, file, isImmutable)
		switch {
		case err == nil:
			w.keep(part)
			return nil
		case errors.Is(err, fs.ErrNotExist): // it was there a moment ago
			return w.fail(ErrChanged, name, fmt.Errorf("file %s vanished while it was saved: %w", file, err), snapshotHint)
		case !errors.Is(err, errFileMoved):
			return w.partError(name, err)
		}
	}
	return w.fail(ErrChanged, name, fmt.Errorf("file %s changed each of %d times that it was read", file, fileTries), snapshotHint)
}

const snapshotHint = "save a snapshot of the state, not the live files"

var errFileMoved = errors.New("the file changed while it was read")

func (w *Writer) saveFile(name string, root *os.Root, file string, isImmutable bool) (*format.Part, error) {
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errFileMoved
	}
	part := &format.Part{Name: []byte(name), Kind: format.Part_FILE, Mode: uint32(st.Mode().Perm()), ModifiedNs: st.ModTime().UnixNano()}
	if isImmutable {
		part.Identity = identity(st)
	}
	was, err := w.compareWith(part)
	if err != nil {
		return nil, err
	}
	if was != nil && len(part.Identity) > 0 && string(was.Identity) == string(part.Identity) {
		return w.sameFile(part, was), nil
	}
	before := w.opts.Progress.Bytes.Load()
	if err := w.saveContent(w.ctx, part, was, f); err != nil {
		return nil, err
	}
	after, err := root.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !sameState(st, after)) || int64(part.Size) != st.Size() {
		w.opts.Progress.Bytes.Add(before - w.opts.Progress.Bytes.Load())
		return nil, errFileMoved
	}
	return part, err
}

// sameFile refers to a part of the base without reading the file.
func (w *Writer) sameFile(part, was *format.Part) *format.Part {
	part.Method, part.Reason = format.Part_IDENTITY, "declared immutable, and the same file as in the base checkpoint"
	part.Size, part.SegmentSize, part.Chunks = was.Size, was.SegmentSize, was.Chunks
	for _, s := range was.Segments {
		part.Segments = append(part.Segments, w.carrySegment(s))
	}
	w.opts.Progress.Bytes.Add(int64(part.Size))
	return part
}

// AddDir saves a directory: each file is the part prefix/relative-name (prefix "" for none); directories and symbolic links that stay inside are kept too.
// A file that changes while it is read is read again, then ErrChanged; so is a directory whose entries change meanwhile.
func (w *Writer) AddDir(prefix, dir string, opts ...PartOption) error {
	isImmutable, err := partOptionsOf(opts)
	if err != nil {
		return w.fail(ErrInvalid, "", err, "")
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix != "" {
		if err := format.CheckPartName(prefix); err != nil {
			return w.fail(ErrInvalid, prefix, err, "")
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return w.partError(prefix, err)
	}
	defer func() { _ = root.Close() }()
	return (&dirSaver{w: w, root: root, prefix: prefix, isImmutable: isImmutable}).run()
}
