// Package filestore keeps objects as plain files below a directory: one object, one file, under its own name.
//
// Open it with the directory. Creation is exclusive and replacement compares and swaps, between goroutines and between
// processes, on any local file system with hard links and flock; what a Put acknowledged survives a power cut. The
// directory .tidemark below the root holds lock files and files being written; it is never listed.
//
// How it is done: a body goes to a temporary file, which is synced. link(2) gives it its name, and fails if the
// name is taken; so creations need no lock. A replacement, and a deletion, hold the key's lock file for their
// duration, so that nothing can come between reading the present version and rename(2).
package filestore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Store is a directory.
type Store struct {
	dir string

	mu   sync.Mutex
	root *os.Root // nil while the directory does not exist
}

var _ objstore.Store = (*Store)(nil)

// Options are for Open; the zero value and nil are the defaults.
type Options struct {
	// MustExist makes Open fail with KindNotFound when the directory does not exist. The default is an empty store
	// that creates its directory with the first Put.
	MustExist bool
}

// Open opens the store in dir, and removes what writers that died have left there.
func Open(dir string, o *Options) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, &objstore.Error{Kind: objstore.KindInvalid, Op: "open", Key: dir, Err: err}
	}
	s := &Store{dir: abs}
	root, err := s.open(false)
	switch {
	case err == nil:
		sweep(root)
	case !errors.Is(err, fs.ErrNotExist) || o != nil && o.MustExist:
		return nil, failed("open", abs, err)
	}
	return s, nil
}

// String is the directory as a URL.
func (s *Store) String() string { return "file://" + filepath.ToSlash(s.dir) }

// Traits are none: a file may be rewritten at any rate.
func (s *Store) Traits() objstore.Traits { return objstore.Traits{} }

// Close releases the directory. The store must not be in use.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil
	}
	err := s.root.Close()
	s.root = nil
	if err != nil {
		return failed("close", s.dir, err)
	}
	return nil
}

// open returns the root, which it creates if told so. All access goes through os.Root, so that neither a key nor a
// symbolic link leads out of the directory.
func (s *Store) open(create bool) (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		return s.root, nil
	}
	if create {
		if err := os.MkdirAll(s.dir, 0o777); err != nil {
			return nil, err
		}
		syncAncestors(s.dir)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	s.root = root
	return root, nil
}

// syncAncestors makes a new root durable as far as this process may: the directories above are not the store's.
func syncAncestors(dir string) {
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		if d, err := os.Open(parent); err == nil {
			_ = d.Sync()
			_ = d.Close()
		}
	}
}

// begin checks what every operation checks, counts it, and finds the root and the object's path.
func (s *Store) begin(ctx context.Context, op, key string, class objstore.Class) (root *os.Root, path string, err error) {
	if ctx.Err() != nil {
		return nil, "", objstore.ContextError(ctx, op, key)
	}
	if path, err = keyPath(op, key); err != nil {
		return nil, "", err
	}
	objstore.Count(ctx, class)
	root, err = s.open(class == objstore.ClassPut)
	if err != nil {
		return nil, "", failed(op, key, err)
	}
	return root, path, nil
}

// object opens the file of key for reading.
func (s *Store) object(ctx context.Context, op, key string, class objstore.Class) (*os.File, fs.FileInfo, error) {
	root, path, err := s.begin(ctx, op, key, class)
	if err != nil {
		return nil, nil, err
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, nil, failed(op, key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist // a directory is a prefix, not an object
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, failed(op, key, err)
	}
	return f, info, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	f, info, err := s.object(ctx, "get", key, objstore.ClassGet)
	if err != nil {
		return nil, objstore.Absent, err
	}
	defer func() { _ = f.Close() }()
	if info.Size() > limit {
		return nil, objstore.Absent, &objstore.Error{Kind: objstore.KindTooLarge, Op: "get", Key: key}
	}
	// An object's file is whole before it has its name and never changes after, so one open file is one version.
	body := make([]byte, info.Size())
	if _, err := io.ReadFull(f, body); err != nil {
		return nil, objstore.Absent, failed("get", key, err)
	}
	return body, versionOf(body), nil
}

// ReadRange implements objstore.Store.
func (s *Store) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	if off < 0 {
		return failed("range", key, errNegative)
	}
	f, _, err := s.object(ctx, "range", key, objstore.ClassGet)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if n, err := f.ReadAt(p, off); n < len(p) {
		if errors.Is(err, io.EOF) {
			return &objstore.Error{Kind: objstore.KindCorrupt, Op: "range", Key: key, Err: errors.New("the object ends before the range does")}
		}
		return failed("range", key, err)
	}
	return nil
}

// Stat implements objstore.Store. The version is not known without reading the file.
func (s *Store) Stat(ctx context.Context, key string) (objstore.Info, error) {
	f, info, err := s.object(ctx, "stat", key, objstore.ClassHead)
	if err != nil {
		return objstore.Info{}, err
	}
	_ = f.Close() // nothing was written
	return objstore.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}
