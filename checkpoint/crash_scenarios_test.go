package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// The states that the scenarios below save: more than embedLimit, so that packs are objects; then a change in one page.
var (
	oldState = files{"db": noise(1, embedLimit+100_000), "map": []byte("a=1"), "empty": {}}
	newState = files{"db": changed(oldState["db"], 70_000), "map": []byte("a=2"), "empty": {}}
)

func changed(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at]++
	return b
}

// scenario is one operation that a process may die in. before has run undisturbed on another connection; run is disturbed.
type scenario struct {
	name   string
	before func(t *testing.T, s *Store)
	run    func(s *Store) error
	commit bool // run commits newState
	// done tells, from HEAD and from how much garbage is stored, whether the operation has had its effect. Nil: the commit is all of it.
	done    func(h *format.Head, garbage int) bool
	removes bool                                        // the job is gone when it is done
	open    func(t testing.TB, s objstore.Store) *Store // openMem if nil
	via     func(mem *memstore.Store) objstore.Store    // what run's store speaks to; the memory itself if nil
}

func (sc *scenario) opened(t testing.TB, s objstore.Store) *Store {
	if sc.open == nil {
		return openMem(t, s)
	}
	return sc.open(t, s)
}

const crashJob = "flows"

func saveOneShot(s *Store) error {
	_, err := s.Save(context.Background(), crashJob, addAll(newState), &SaveOptions{Retention: Retention{KeepLast: 2}})
	return err
}

func saveOwned(s *Store) error {
	ctx := context.Background()
	o, err := s.Acquire(ctx, crashJob, &AcquireOptions{Retention: Retention{KeepLast: 1}})
	if err != nil {
		return err
	}
	w, err := o.Begin(ctx, &BeginOptions{Tag: "mine"})
	if err != nil {
		return err
	}
	if err := addAll(newState)(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	_, err = w.Commit(ctx)
	return errors.Join(err, o.Close())
}

// saveWithWorkers saves with two workers, one of which dies in the middle and is restarted.
func saveWithWorkers(s *Store) error {
	ctx := context.Background()
	o, err := s.Acquire(ctx, crashJob, &AcquireOptions{Retention: Retention{KeepLast: 1}})
	if err != nil {
		return err
	}
	c, err := o.Begin(ctx, nil)
	if err != nil {
		return err
	}
	err = func() error {
		assignment, err := c.Assignment()
		if err != nil {
			return err
		}
		dies := o.Worker(o.Epoch(), c.Checkpoint(), "db")
		if err := dies.Add("db", bytes.NewReader(newState["db"])); err != nil {
			return errors.Join(err, dies.Abort())
		}
		if err := dies.Abort(); err != nil {
			return err
		}
		for worker, parts := range map[string]files{"db": {"db": newState["db"]}, "map": {"map": newState["map"]}} {
			w, err := o.Join(ctx, assignment, worker)
			if err != nil {
				return err
			}
			for part, b := range parts {
				if err := w.Add(part, bytes.NewReader(b)); err != nil {
					return errors.Join(err, w.Abort())
				}
			}
			handle, err := w.Finish(ctx)
			if err != nil {
				return err
			}
			if _, err := c.AddHandle(handle); err != nil {
				return err
			}
		}
		return addAll(files{"empty": newState["empty"]})(c)
	}()
	if err != nil {
		return errors.Join(err, c.Abort())
	}
	_, err = c.Commit(ctx)
	return errors.Join(err, o.Close())
}

func onJob(run func(ctx context.Context, j *Job) error) func(*Store) error {
	return func(s *Store) error {
		j, err := s.Job(crashJob)
		if err != nil {
			return err
		}
		return run(context.Background(), j)
	}
}

func scenarios() []scenario {
	nothing := func(*testing.T, *Store) {}
	one := func(t *testing.T, s *Store) { mustSave(t, s, crashJob, oldState) }
	three := func(t *testing.T, s *Store) {
		mustSave(t, s, crashJob, files{"db": noise(7, embedLimit+5000)})
		mustSave(t, s, crashJob, files{"db": noise(8, embedLimit+5000)})
		mustSave(t, s, crashJob, oldState)
	}
	garbage := func(t *testing.T, s *Store) {
		three(t, s)
		if _, err := mustJob(t, s, crashJob).Retain(context.Background(), Retention{KeepLast: 1}, false); err != nil {
			t.Fatal(err)
		}
	}
	tagged := func(t *testing.T, s *Store) {
		three(t, s)
		if _, err := mustJob(t, s, crashJob).Tag(context.Background(), "-2", "t"); err != nil {
			t.Fatal(err)
		}
	}
	leased := func(t *testing.T, s *Store) {
		one(t, s)
		if err := pinLatest(s); err != nil {
			t.Fatal(err)
		}
	}
	// Of the first pack only a tenth is needed by the last checkpoint, so that the next save moves it.
	wasteful := func(t *testing.T, s *Store) {
		mustSave(t, s, crashJob, files{"db": oldState["db"], "map": oldState["map"], "empty": {}, "junk": noise(3, 3<<20)})
		mustSave(t, s, crashJob, oldState)
	}
	moved := func(h *format.Head, _ int) bool {
		return len(h.Retained) > 0 && h.Retained[len(h.Retained)-1].Stats.MovedBytes > 0
	}
	pins := func(h *format.Head, kind format.Pin_Kind) (n int) {
		for _, p := range h.Pins {
			if p.Kind == kind {
				n++
			}
		}
		return n
	}
	clean := func(_ *format.Head, garbage int) bool { return garbage == 0 }
	collect := onJob(func(ctx context.Context, j *Job) error { _, err := j.Collect(ctx, nil); return err })
	return []scenario{
		{name: "first save", before: nothing, run: saveOneShot, commit: true},
		{name: "save", before: one, run: saveOneShot, commit: true},
		{name: "save with retention", before: three, run: saveOneShot, commit: true},
		{name: "save that moves an old pack", before: wasteful, run: saveOneShot, commit: true, done: moved},
		{name: "first owned save", before: nothing, run: saveOwned, commit: true},
		{name: "owned save", before: three, run: saveOwned, commit: true},
		{name: "save with workers", before: three, run: saveWithWorkers, commit: true},
		{name: "first encrypted save", before: nothing, run: saveOwned, commit: true, open: openCrashSealed},
		{name: "encrypted save with workers", before: three, run: saveWithWorkers, commit: true, open: openCrashSealed},
		{name: "acquire", before: one, run: func(s *Store) error {
			o, err := s.Acquire(context.Background(), crashJob, nil)
			if err != nil {
				return err
			}
			return o.Close()
		}, done: func(h *format.Head, _ int) bool { return h.Epoch == 2 }},
		{name: "tag", before: one, run: onJob(func(ctx context.Context, j *Job) error { _, err := j.Tag(ctx, "latest", "t"); return err }),
			done: func(h *format.Head, _ int) bool { return pins(h, format.Pin_TAG) == 1 }},
		{name: "untag", before: tagged, run: onJob(func(ctx context.Context, j *Job) error { _, err := j.Untag(ctx, "t"); return err }),
			done: func(h *format.Head, _ int) bool { return pins(h, format.Pin_TAG) == 0 }},
		{name: "lease", before: one, run: pinLatest, done: func(h *format.Head, _ int) bool { return pins(h, format.Pin_LEASE) == 1 }},
		{name: "release", before: leased, run: onJob(func(ctx context.Context, j *Job) error {
			at, err := j.existing(ctx, "release")
			if err != nil {
				return err
			}
			p := at.head.Pins[0]
			return (&Lease{job: j, checkpoint: p.Checkpoint, nonce: p.Nonce}).Release(ctx)
		}), done: func(h *format.Head, _ int) bool { return pins(h, format.Pin_LEASE) == 0 }},
		{name: "retain", before: three, run: onJob(func(ctx context.Context, j *Job) error {
			_, err := j.Retain(ctx, Retention{KeepLast: 1}, false)
			return err
		}), done: func(h *format.Head, _ int) bool { return len(h.Retained) == 1 }},
		{name: "collect", before: garbage, run: collect, done: clean},
		{name: "collect in batches", before: garbage, run: collect, done: clean, via: func(mem *memstore.Store) objstore.Store { return inBatches{mem} }},
		{name: "remove", before: tagged, run: onJob(func(ctx context.Context, j *Job) error { return j.Remove(ctx) }), removes: true,
			done: func(h *format.Head, _ int) bool { return h.Removed }},
	}
}

func openCrashSealed(t testing.TB, s objstore.Store) *Store {
	t.Helper()
	store, err := newStore(s, false, withDefaults(&Options{Keeper: newTestKeeper(1)}))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func pinLatest(s *Store) error {
	j, err := s.Job(crashJob)
	if err != nil {
		return err
	}
	c, err := j.Latest(context.Background())
	if err != nil {
		return err
	}
	_, err = c.Pin(context.Background(), "reader", time.Hour)
	return err
}

// inBatches deletes three objects with one request, which may break off in the middle: then nothing is said of any of them.
type inBatches struct{ *memstore.Store }

func (b inBatches) BatchSize() int { return 3 }

func (b inBatches) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	for _, key := range keys {
		if err := b.Delete(ctx, key); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
