package filestore

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// List implements objstore.Store. It reads one directory after the other, and holds the names of those on the way down.
// Versions are not known without reading the files.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.ListAfter(ctx, prefix, "")
}

// ListAfter is List from behind a key.
func (s *Store) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		root, err := s.listing(ctx, "list", prefix)
		if root == nil {
			if err != nil {
				yield(objstore.Info{}, err)
			}
			return
		}
		w := walk{ctx: ctx, root: root, prefix: prefix, after: after, yield: yield}
		dir, _ := cut(prefix)
		w.dir(dir)
	}
}

// Dirs implements objstore.Store. A directory counts if there is an object somewhere below it.
func (s *Store) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		root, err := s.listing(ctx, "dirs", prefix)
		if root == nil {
			if err != nil {
				yield("", err)
			}
			return
		}
		dir, _ := cut(prefix)
		entries, err := readDir(ctx, root, dir)
		if err != nil {
			yield("", failed("dirs", prefix, err))
			return
		}
		for _, e := range entries {
			key := dir + e.name
			if !e.dir || !strings.HasPrefix(key, prefix) {
				continue
			}
			full := false
			w := walk{ctx: ctx, root: root, prefix: key, yield: func(_ objstore.Info, walkErr error) bool {
				full, err = walkErr == nil, walkErr
				return false
			}}
			w.dir(key)
			if err != nil {
				yield("", err)
				return
			}
			if full && !yield(key, nil) {
				return
			}
		}
	}
}

// listing returns no root and no error when the directory does not exist: the store is empty.
func (s *Store) listing(ctx context.Context, op, prefix string) (*os.Root, error) {
	if ctx.Err() != nil {
		return nil, objstore.ContextError(ctx, op, prefix)
	}
	if err := objstore.CheckPrefix(op, prefix); err != nil {
		return nil, err
	}
	root, err := s.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		objstore.Count(ctx, objstore.ClassList)
		return nil, nil
	}
	if err != nil {
		return nil, failed(op, prefix, err)
	}
	return root, nil
}

// cut divides a prefix into the part up to and including its last slash, and the rest.
func cut(prefix string) (dir, rest string) {
	i := strings.LastIndexByte(prefix, '/') + 1
	return prefix[:i], prefix[i:]
}

type walk struct {
	ctx           context.Context
	root          *os.Root
	prefix, after string
	yield         func(objstore.Info, error) bool
}

// dir yields the objects below the key dir, which is empty or ends in a slash; it reports whether to go on.
func (w *walk) dir(dir string) bool {
	if w.ctx.Err() != nil {
		w.yield(objstore.Info{}, objstore.ContextError(w.ctx, "list", w.prefix))
		return false
	}
	entries, err := readDir(w.ctx, w.root, dir)
	if err != nil {
		w.yield(objstore.Info{}, failed("list", w.prefix, err))
		return false
	}
	for _, e := range entries {
		key := dir + e.name
		switch {
		case !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key):
		case e.dir && (key > w.after || strings.HasPrefix(w.after, key)):
			if !w.dir(key) {
				return false
			}
		case !e.dir && key > w.after && strings.HasPrefix(key, w.prefix):
			info, err := w.root.Lstat(e.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted since the directory was read
			}
			if err != nil {
				w.yield(objstore.Info{}, failed("list", key, err))
				return false
			}
			if !w.yield(objstore.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
				return false
			}
		}
	}
	return true
}

// entry is one name in a directory. A directory's name ends in a slash, which is what its keys go on with: sorted like
// that, "a-b" comes before "a/b" as it does among keys, and not after as it would in a listing of the directory.
type entry struct {
	name, path string
	dir        bool
}

func readDir(ctx context.Context, root *os.Root, dir string) ([]entry, error) {
	objstore.Count(ctx, objstore.ClassList)
	where := "."
	if dir != "" {
		var err error
		if where, err = keyPath("list", strings.TrimSuffix(dir, "/")); err != nil {
			return nil, nil // too long for a file: nothing can be there
		}
	}
	found, err := fs.ReadDir(root.FS(), where)
	if err != nil {
		if kindOf("list", err) == objstore.KindNotFound {
			return nil, nil
		}
		return nil, err
	}
	entries := make([]entry, 0, len(found))
	for _, e := range found {
		name, ok := decode(e.Name())
		if !ok || !e.IsDir() && !e.Type().IsRegular() {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		entries = append(entries, entry{name: name, path: path.Join(where, e.Name()), dir: e.IsDir()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return entries, nil
}
