package filestore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Delete implements objstore.Store, and removes the directories that it leaves empty; a creation that finds its directory
// gone makes it again. It takes the key's lock, so that a replacement never revives what was deleted under it.
// It does not sync: a deletion that a power cut undoes leaves garbage, which can be deleted again.
func (s *Store) Delete(ctx context.Context, key string) error {
	root, target, err := s.begin(ctx, "delete", key, objstore.ClassDelete)
	if objstore.KindOf(err) == objstore.KindNotFound {
		return nil // the root itself does not exist
	}
	if err != nil {
		return err
	}
	lock, err := lockKey(ctx, root, key)
	if err != nil {
		return lockFailed(ctx, "delete", key, err)
	}
	defer lock.unlock()
	if err := remove(root, target); err != nil {
		err = failed("delete", key, err)
		if objstore.KindOf(err) == objstore.KindNotFound {
			return nil
		}
		return err
	}
	for dir := path.Dir(target); dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			break // not empty, or not ours to remove
		}
	}
	return nil
}

// remove deletes a file and never a directory, which os.Root.Remove would do too.
func remove(root *os.Root, target string) error {
	info, err := root.Lstat(target)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fs.ErrNotExist
	}
	return root.Remove(target)
}

func lockFailed(ctx context.Context, op, key string, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return objstore.ContextError(ctx, op, key)
	}
	return failed(op, key, err)
}
