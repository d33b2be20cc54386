package tidemark_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// parts are what a checkpoint of the table of faults holds.
type parts map[string][]byte

// faultsState is the state of the job after n saves. The large part makes packs objects of their own; the small one travels in the manifest.
func faultsState(n int) parts {
	db := bytes.Clone(noiseOfFaults)
	copy(db[(n*64<<10)%len(db):], pseudo(uint32(n), 64<<10))
	return parts{"db": db, "map": fmt.Append(nil, n)}
}

var noiseOfFaults = pseudo(1, 384<<10)

func pseudo(seed uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

func (p parts) equal(other parts) bool { return maps.EqualFunc(p, other, bytes.Equal) }

// adder is a checkpoint.Writer or checkpoint.Worker.
type adder interface {
	Add(name string, r io.Reader, opts ...checkpoint.PartOption) error
}

func (p parts) add(w adder) error {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if err := w.Add(name, bytes.NewReader(p[name])); err != nil {
			return err
		}
	}
	return nil
}

func (p parts) save(ctx context.Context, s *tidemark.Store, job string) error {
	_, err := s.Save(ctx, job, func(w *checkpoint.Writer) error { return p.add(w) }, nil)
	return err
}

// operation is one thing that a caller does to a job. At first it has checkpoints 2 and 3, the latest, and the tag "t" on 2; checkpoint 1 is retired and not
// collected.
type operation struct {
	name  string
	fresh bool // the job does not exist; each time anew
	saves bool // at.next
	run   func(ctx context.Context, at place) error
	// again makes the job ready for the next time; nil if it always is.
	again func(ctx context.Context, at place) error
	// done tells what the operation, which said that it succeeded, has not done; nil if a save is all of it.
	done func(ctx context.Context, j *checkpoint.Job) error
}

// place is where an operation runs.
type place struct {
	store      *tidemark.Store
	job        *checkpoint.Job
	dir        string // does not exist
	last, next parts  // what the latest checkpoint holds, and what a save is to save
}

var faultOperations = []operation{
	{name: "first save", fresh: true, saves: true, run: saveNew},
	{name: "save", saves: true, run: saveNew},
	{name: "owned save", saves: true, run: saveOwned},
	{name: "worker save", saves: true, run: saveWithWorker},
	{name: "acquire", run: func(ctx context.Context, at place) error {
		o, err := at.store.Acquire(ctx, at.job.Name(), nil)
		if err != nil {
			return err
		}
		return o.Close()
	}},
	{name: "latest", run: func(ctx context.Context, at place) error {
		c, err := at.job.Latest(ctx)
		if err == nil && c.Info().Checkpoint != 3 {
			return fmt.Errorf("the latest is %d", c.Info().Checkpoint)
		}
		return err
	}},
	{name: "list", run: func(ctx context.Context, at place) error {
		infos, err := at.job.List(ctx)
		if err == nil && (len(infos) != 2 || infos[0].Checkpoint != 3 || infos[1].Checkpoint != 2) {
			return fmt.Errorf("listed %+v", infos)
		}
		return err
	}},
	{name: "jobs", run: func(ctx context.Context, at place) error {
		for name, err := range at.store.Jobs(ctx) {
			if err != nil {
				return err
			}
			if name == at.job.Name() {
				return nil
			}
		}
		return fmt.Errorf("%s is not listed", at.job.Name())
	}},
	{name: "show", run: func(ctx context.Context, at place) error {
		c, err := at.job.Find(ctx, "t")
		if err != nil {
			return err
		}
		infos, err := c.Parts(ctx)
		if err == nil && (len(infos) != 2 || infos[0].Bytes != int64(len(noiseOfFaults))) {
			return fmt.Errorf("parts %+v", infos)
		}
		return err
	}},
	{name: "restore", run: func(ctx context.Context, at place) error {
		if err := restoreTo(ctx, at.job, at.dir); err != nil {
			return err
		}
		if got, err := readParts(at.dir); err != nil || !got.equal(at.last) {
			return fmt.Errorf("%w: %w", errWrongBytes, err)
		}
		return nil
	}},
	{name: "read a part", run: func(ctx context.Context, at place) error {
		c, err := at.job.Latest(ctx)
		if err != nil {
			return err
		}
		r, err := c.Open(ctx, "db")
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err == nil && !bytes.Equal(b, at.last["db"]) || !bytes.HasPrefix(at.last["db"], b) {
			return errWrongBytes
		}
		return err
	}},
	{name: "verify", run: func(ctx context.Context, at place) error {
		r, err := at.job.Verify(ctx, &checkpoint.VerifyOptions{Data: true})
		if err == nil && !r.OK() {
			return fmt.Errorf("%w: %+v", errProblems, r.Problems)
		}
		return err
	}},
	{name: "tag", again: untag("new"), run: func(ctx context.Context, at place) error { _, err := at.job.Tag(ctx, "latest", "new"); return err },
		done: func(ctx context.Context, j *checkpoint.Job) error { _, err := j.Find(ctx, "new"); return err }},
	{name: "untag", again: func(ctx context.Context, at place) error { _, err := at.job.Tag(ctx, "2", "t"); return err }, run: untag("t"),
		done: func(ctx context.Context, j *checkpoint.Job) error {
			if _, err := j.Find(ctx, "t"); !errors.Is(err, checkpoint.ErrNotFound) {
				return fmt.Errorf("the tag is there: %w", err)
			}
			return nil
		}},
	{name: "lease", run: func(ctx context.Context, at place) error {
		c, err := at.job.Latest(ctx)
		if err != nil {
			return err
		}
		l, err := c.Pin(ctx, "reader", lease)
		if err != nil {
			return err
		}
		return l.Release(ctx)
	}},
	{name: "retain", again: saveAgain, run: retainOne},
	{name: "collect", again: func(ctx context.Context, at place) error {
		if err := saveAgain(ctx, at); err != nil {
			return err
		}
		return retainOne(ctx, at)
	}, run: func(ctx context.Context, at place) error { _, err := at.job.Collect(ctx, nil); return err },
		done: func(ctx context.Context, j *checkpoint.Job) error {
			r, err := j.Collect(ctx, &checkpoint.CollectOptions{DryRun: true})
			if err == nil && r.DeletedObjects > 0 {
				return fmt.Errorf("left %+v", r)
			}
			return err
		}},
}

// saveAgain makes the checkpoint before the latest one retirable.
func saveAgain(ctx context.Context, at place) error {
	return at.last.save(ctx, at.store, at.job.Name())
}

func retainOne(ctx context.Context, at place) error {
	_, err := at.job.Retain(ctx, checkpoint.Retention{KeepLast: 1}, false)
	return err
}

func untag(tag string) func(context.Context, place) error {
	return func(ctx context.Context, at place) error {
		_, err := at.job.Untag(ctx, tag)
		return err
	}
}

var (
	errWrongBytes = errors.New("WRONG BYTES")
	errProblems   = errors.New("problems found")
)

func saveNew(ctx context.Context, at place) error {
	return at.next.save(ctx, at.store, at.job.Name())
}

func saveOwned(ctx context.Context, at place) error {
	o, err := at.store.Acquire(ctx, at.job.Name(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }() // it has no save under way
	w, err := o.Begin(ctx, nil)
	if err != nil {
		return err
	}
	if err := at.next.add(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	_, err = w.Commit(ctx)
	return err
}

func saveWithWorker(ctx context.Context, at place) error {
	o, err := at.store.Acquire(ctx, at.job.Name(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }() // it has no save under way
	c, err := o.Begin(ctx, nil)
	if err != nil {
		return err
	}
	worker := at.job.Worker(o.Epoch(), c.Checkpoint(), "worker")
	if err := at.next.add(worker); err != nil {
		return errors.Join(err, worker.Abort(), c.Abort())
	}
	handle, err := worker.Finish(ctx)
	if err == nil {
		_, err = c.AddHandle(handle)
	}
	if err != nil {
		return errors.Join(err, c.Abort())
	}
	_, err = c.Commit(ctx)
	return err
}

// restoreTo restores the latest checkpoint. Nothing may have its name that is not right.
func restoreTo(ctx context.Context, j *checkpoint.Job, dir string) error {
	c, err := j.Latest(ctx)
	if err != nil {
		return err
	}
	_, err = c.RestoreDir(ctx, "", dir, nil)
	if _, serr := os.Stat(dir); err != nil && !os.IsNotExist(serr) {
		return fmt.Errorf("%w: the restore failed and left its directory", errWrongBytes)
	}
	return err
}

// content reads what the latest checkpoint holds.
func content(ctx context.Context, j *checkpoint.Job) (parts, error) {
	c, err := j.Latest(ctx)
	if err != nil {
		return nil, err
	}
	p := parts{}
	for _, name := range []string{"db", "map"} {
		r, err := c.Open(ctx, name)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		p[name] = b
	}
	return p, nil
}

func readParts(dir string) (parts, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	p := parts{}
	for _, e := range entries {
		if p[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return p, nil
}
