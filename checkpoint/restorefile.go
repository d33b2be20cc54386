package checkpoint

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// mode is what the file or directory will have.
func (t *target) mode() fs.FileMode {
	if t.kind == format.Part_STREAM {
		return 0o644
	}
	return fs.FileMode(t.permission).Perm()
}

// modified is zero for what keeps no time.
func (t *target) modified() time.Time {
	if t.modifiedNs == 0 {
		return time.Time{}
	}
	return time.Unix(0, t.modifiedNs)
}

// directory is the one of the stage that was used last, kept open. Not for concurrent use.
type directory struct {
	work *os.Root
	name string
	f    *os.File
}

// of opens the directory that holds name, or finds it open.
func (d *directory) of(name string) (*os.File, error) {
	dir := filepath.Dir(name)
	if d.f != nil && d.name == dir {
		return d.f, nil
	}
	d.close()
	f, err := d.work.Open(dir)
	if err != nil {
		return nil, err
	}
	d.name, d.f = dir, f
	return f, nil
}

func (d *directory) close() {
	if d.f != nil {
		_ = d.f.Close() // nothing was written to it
		d.f = nil
	}
}

// openNew opens the target's file in the stage for writing, and makes it the first time. Whoever finds it there without having made it has met a second part
// of one name.
func (r *restorer) openNew(t *target, in *directory) (f *os.File, err error) {
	dir, err := in.of(t.name)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(t.name)
	t.create.Do(func() {
		if !r.staged[t.name] {
			f, t.failed = openIn(dir, base, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
			t.failed = sameName(t.failed, t.name)
			return
		}
		if t.failed = r.work.Chmod(t.name, 0o600); t.failed == nil { // it may have been finished
			f, t.failed = openIn(dir, base, os.O_RDWR, 0)
		}
	})
	if f != nil || t.failed != nil {
		return f, t.failed
	}
	return openIn(dir, base, os.O_WRONLY, 0)
}

// finish gives a file that has all its content what else it needs.
func (r *restorer) finish(t *target, f *os.File, in *directory) error {
	if t.sparse.Load() {
		if err := f.Truncate(t.size); err != nil {
			return err
		}
	}
	if err := f.Chmod(t.mode()); err != nil {
		return err
	}
	at := t.modified()
	if at.IsZero() {
		return nil
	}
	dir, err := in.of(t.name)
	if err != nil {
		return err
	}
	return setTime(dir, filepath.Base(t.name), at)
}

// done counts n bytes that are in the target's file; the last ones finish it. f is open for writing, or nil.
func (r *restorer) done(t *target, f *os.File, in *directory, n int64) (whole bool, err error) {
	r.o.Progress.Bytes.Add(n)
	if t.left.Add(-n) > 0 {
		return false, nil
	}
	if f != nil {
		return true, r.finish(t, f, in)
	}
	if f, err = r.openNew(t, in); err != nil {
		return true, err
	}
	err = r.finish(t, f, in)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return true, err
}
