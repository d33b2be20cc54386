package checkpoint

import (
	"io/fs"
	"os"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// mode is what the file or directory will have.
func (t *target) mode() fs.FileMode {
	if t.part.Kind == format.Part_STREAM {
		return 0o644
	}
	return fs.FileMode(t.part.Mode).Perm()
}

// modified is zero for what keeps no time.
func (t *target) modified() time.Time {
	if t.part.ModifiedNs == 0 {
		return time.Time{}
	}
	return time.Unix(0, t.part.ModifiedNs)
}

// openNew opens the target's file in the stage for writing, and makes it the first time. Whoever finds it there without having made it has met a second part
// of one name.
func (r *restorer) openNew(t *target) (f *os.File, err error) {
	t.create.Do(func() {
		if !r.staged[t.name] {
			f, t.failed = r.work.OpenFile(t.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
			t.failed = sameName(t.failed, t.name)
			return
		}
		if t.failed = r.work.Chmod(t.name, 0o600); t.failed == nil { // it may have been finished
			f, t.failed = r.work.OpenFile(t.name, os.O_RDWR, 0)
		}
	})
	if f != nil || t.failed != nil {
		return f, t.failed
	}
	return r.work.OpenFile(t.name, os.O_WRONLY, 0)
}

// finish gives a file that has all its content what else it needs.
func (r *restorer) finish(t *target, f *os.File) error {
	if t.sparse.Load() {
		if err := f.Truncate(int64(t.part.Size)); err != nil {
			return err
		}
	}
	if err := f.Chmod(t.mode()); err != nil {
		return err
	}
	if at := t.modified(); !at.IsZero() {
		return r.work.Chtimes(t.name, at, at)
	}
	return nil
}

// done counts n bytes that are in the target's file; the last ones finish it. f is open for writing, or nil.
func (r *restorer) done(t *target, f *os.File, n int64) (whole bool, err error) {
	r.o.Progress.Bytes.Add(n)
	if t.left.Add(-n) > 0 {
		return false, nil
	}
	if f != nil {
		return true, r.finish(t, f)
	}
	if f, err = r.openNew(t); err != nil {
		return true, err
	}
	err = r.finish(t, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return true, err
}
