package filestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/tidemark-go/tidemark/internal/flock"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	root, target, err := s.begin(ctx, "put", key, objstore.ClassPut)
	if err != nil {
		return objstore.Absent, err
	}
	publish := create
	if _, err := root.Lstat(target); cond == objstore.Absent && err == nil {
		// Spares writing a body in vain; the answer that counts is link's.
		if err := taken(root, target); !errors.Is(err, errVanished) {
			return objstore.Absent, failed("put", key, err)
		}
	}
	if cond != objstore.Absent {
		lock, err := lockKey(ctx, root, key)
		if err != nil {
			return objstore.Absent, lockFailed(ctx, "put", key, err)
		}
		defer lock.unlock()
		if err := compare(root, target, key, cond); err != nil {
			return objstore.Absent, err
		}
		publish = replace
	}
	for {
		err := write(root, target, body, publish)
		switch {
		case err == nil:
			return versionOf(body), nil
		case errors.Is(err, errVanished) && ctx.Err() == nil:
			continue // a deletion or a sweep came between; each such turn means that somebody else got on
		case errors.Is(err, errVanished):
			return objstore.Absent, objstore.ContextError(ctx, "put", key)
		}
		return objstore.Absent, failed("put", key, err)
	}
}

// compare reports whether the object's version is cond. The caller holds the key's lock.
func compare(root *os.Root, target, key string, cond objstore.Version) error {
	stored, err := root.ReadFile(target)
	if err != nil {
		if kindOf("get", err) == objstore.KindNotFound {
			return &objstore.Error{Kind: objstore.KindPrecondition, Op: "put", Key: key, Err: errors.New("it does not exist")}
		}
		return failed("put", key, err)
	}
	if v := versionOf(stored); v != cond {
		return &objstore.Error{Kind: objstore.KindPrecondition, Op: "put", Key: key, Err: fmt.Errorf("its version is %q", v)}
	}
	return nil
}

// errVanished says that a directory or the temporary file disappeared while it was needed; nothing was published.
var errVanished = errors.New("a directory disappeared during the write")

// write puts body into a synced temporary file and publishes it under target.
func write(root *os.Root, target string, body []byte, publish func(root *os.Root, temp, target string) error) error {
	f, err := newTemp(root)
	if err != nil {
		return err
	}
	defer func() {
		_ = root.Remove(f.path) // what stays is swept by the next Open
		_ = f.Close()           // synced before it was published
	}()
	if _, err := f.Write(body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := makeParents(root, target); err != nil {
		return err
	}
	if err := publish(root, f.path, target); err != nil {
		return err
	}
	if err := syncParents(root, target); err != nil {
		return &unsettled{err}
	}
	return nil
}

// create gives the file its name unless the name is taken.
func create(root *os.Root, temp, target string) error {
	err := root.Link(temp, target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errVanished
	case errors.Is(err, fs.ErrExist):
		return taken(root, target)
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return errNoLinks // EACCES is what a lack of permission gives
	}
	return err
}

// taken explains why target exists. An object there is made durable first, because the caller may take it for its own
// earlier write and acknowledge it.
func taken(root *os.Root, target string) error {
	info, err := root.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errVanished
	case err != nil:
		return err
	case info.IsDir():
		// An empty directory is only what a writer or a deletion left behind.
		if root.Remove(target) == nil {
			return errVanished
		}
		return errPrefix
	}
	if err := syncParents(root, target); err != nil {
		return err
	}
	return fs.ErrExist
}

// replace gives the file the name of the object that it replaces. The caller holds the key's lock.
func replace(root *os.Root, temp, target string) error {
	err := root.Rename(temp, target)
	if errors.Is(err, fs.ErrNotExist) {
		return errVanished
	}
	return err
}

func makeParents(root *os.Root, target string) error {
	dir := path.Dir(target)
	if dir == "." {
		return nil
	}
	err := root.MkdirAll(dir, 0o777)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errVanished
	case errors.Is(err, fs.ErrExist):
		return blocked(root, dir)
	}
	return err
}

// blocked explains why dir could not be made although its name exists: something else has the name, or had it for a moment.
func blocked(root *os.Root, dir string) error {
	for ; dir != "."; dir = path.Dir(dir) {
		if info, err := root.Lstat(dir); err == nil && !info.IsDir() {
			return errBelow
		}
	}
	return errVanished
}

// syncParents makes target's name durable, and those of all directories above: another process may have made one of them
// a moment ago and not have synced it yet.
func syncParents(root *os.Root, target string) error {
	for dir := path.Dir(target); ; dir = path.Dir(dir) {
		if err := syncDir(root, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// temporary is a file being written. Its lock says that its writer is alive.
type temporary struct {
	*os.File
	path string
}

func newTemp(root *os.Root) (*temporary, error) {
	err := root.MkdirAll(temps, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errRootGone
	}
	if err != nil {
		return nil, err
	}
	name := path.Join(temps, rand.Text())
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if _, err := flock.Try(f); err != nil {
		return nil, errors.Join(err, f.Close(), root.Remove(name))
	}
	return &temporary{File: f, path: name}, nil
}

// sweep removes the temporary files of writers that died: nobody holds their lock. One that was created this moment and
// is not locked yet may be hit too; its writer sees errVanished and starts again. Failing is harmless.
func sweep(root *os.Root) {
	entries, err := fs.ReadDir(root.FS(), temps)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := path.Join(temps, e.Name())
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		if locked, err := flock.Try(f); err == nil && locked {
			_ = root.Remove(name)
		}
		_ = f.Close()
	}
}
