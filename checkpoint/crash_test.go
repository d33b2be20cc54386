package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

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
}

const crashJob = "flows"

var errUnfinished = errors.New("the scenario did not finish")

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
	return []scenario{
		{"first save", nothing, saveOneShot, true},
		{"save", one, saveOneShot, true},
		{"save with retention", three, saveOneShot, true},
		{"first owned save", nothing, saveOwned, true},
		{"owned save", three, saveOwned, true},
		{"save with workers", three, saveWithWorkers, true},
		{"tag", one, onJob(func(ctx context.Context, j *Job) error { _, err := j.Tag(ctx, "latest", "t"); return err }), false},
		{"retain", three, onJob(func(ctx context.Context, j *Job) error {
			_, err := j.Retain(ctx, Retention{KeepLast: 1}, false)
			return err
		}), false},
		{"collect", garbage, onJob(func(ctx context.Context, j *Job) error { _, err := j.Collect(ctx, nil); return err }), false},
	}
}

// fate is what becomes of the one request that is disturbed.
type fate struct {
	name    string
	outcome func(late *[]func() error) memstore.Outcome
	dies    bool // the process is dead after it
	refused bool // a final no: the operation fails, without effect
	lasts   bool // every later write has the same fate
}

func fates() []fate {
	fixed := func(o memstore.Outcome) func(*[]func() error) memstore.Outcome {
		return func(*[]func() error) memstore.Outcome { return o }
	}
	unavailable := &objstore.Error{Kind: objstore.KindUnavailable, Op: "fault", Err: errors.New("503")}
	return []fate{
		{name: "killed after", outcome: fixed(memstore.Outcome{Apply: true, Stop: true}), dies: true},
		{name: "killed before", outcome: fixed(memstore.Outcome{Stop: true}), dies: true},
		{name: "applied, reported failed", outcome: fixed(memstore.Outcome{Apply: true, Err: unavailable})},
		{name: "not applied, reported failed", outcome: fixed(memstore.Outcome{Err: unavailable})},
		{name: "applied, never reported", outcome: fixed(memstore.Outcome{Apply: true, Hang: true})},
		{name: "not applied, never reported", outcome: fixed(memstore.Outcome{Hang: true})},
		{name: "applied, throttled", outcome: fixed(memstore.Outcome{Apply: true, Err: &objstore.Error{Kind: objstore.KindThrottled, Op: "fault"}})},
		{name: "applied late, reported failed", outcome: func(late *[]func() error) memstore.Outcome {
			return memstore.Outcome{Err: unavailable, Later: func(apply func() error) { *late = append(*late, apply) }}
		}},
		{name: "it and all later writes applied late, reported failed", lasts: true, outcome: func(late *[]func() error) memstore.Outcome {
			return memstore.Outcome{Err: unavailable, Later: func(apply func() error) { *late = append(*late, apply) }}
		}},
		{name: "forbidden", outcome: fixed(memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindPermission, Op: "fault"}}), refused: true},
	}
}

// TestCrashAtEveryRequest disturbs every request of every operation in every way. Whatever happens: what was acknowledged is there, what is there is
// whole, the job can go on, and collection leaves exactly what is needed.
func TestCrashAtEveryRequest(t *testing.T) {
	for _, sc := range scenarios() {
		for _, f := range fates() {
			t.Run(sc.name+"/"+f.name, func(t *testing.T) {
				for k := 1; crashAt(t, sc, f, k); k++ {
					if k > 200 {
						t.Fatal("the operation does not end")
					}
				}
			})
		}
	}
}

// crashAt disturbs request k; false if the operation has fewer requests.
func crashAt(t *testing.T, sc scenario, f fate, k int) (more bool) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		peer := openMem(t, mem.Peer())
		sc.before(t, peer)
		before := look(t, peer)
		mem.OnDelete(refereeLive(t))

		var late []func() error
		var hit memstore.Op
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			later := f.lasts && op.N > k && op.Method == "put"
			if op.N != k && !later {
				return memstore.OK
			}
			if op.N == k {
				hit = op
			}
			return f.outcome(&late)
		})
		err := sc.run(openMem(t, mem))
		if hit.N == 0 {
			if err != nil {
				t.Fatalf("undisturbed: %v", err)
			}
			return
		}
		more = true
		t.Logf("request %d (%s %s): %v", k, hit.Method, hit.Key, err)
		judge(t, sc, f, err, before, look(t, peer))
		for _, apply := range late {
			_ = apply() // long after everybody gave it up
		}
		judge(t, sc, f, err, before, look(t, peer))
		goesOn(t, mem, peer)
	})
	return more && !t.Failed()
}

// seen is what a reader finds.
type seen struct {
	latest uint64
	state  files
}

// look restores the latest checkpoint and checks every retained one.
func look(t *testing.T, s *Store) seen {
	t.Helper()
	ctx := context.Background()
	j := mustJob(t, s, crashJob)
	c, err := j.Latest(ctx)
	if errors.Is(err, ErrNotFound) {
		return seen{}
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := j.Verify(ctx, &VerifyOptions{Data: true})
	if err != nil || !r.OK() {
		t.Fatalf("verify: %v %+v", err, r.Problems)
	}
	return seen{c.Info().Checkpoint, restored(t, c)}
}

func judge(t *testing.T, sc scenario, f fate, err error, before, after seen) {
	t.Helper()
	same := after.latest == before.latest && before.state.diff(after.state) == ""
	done := sc.commit && after.latest == before.latest+1 && newState.diff(after.state) == ""
	switch {
	case !same && !done:
		t.Errorf("the latest checkpoint is %d, neither the old one (%d) nor the new one whole", after.latest, before.latest)
	case err == nil && sc.commit && !done:
		t.Error("acknowledged, but not there")
	case f.refused && err == nil:
		t.Error("refused, but reported as done")
	case f.refused && !same:
		t.Error("refused, but done")
	case f.dies && err == nil:
		t.Error(errUnfinished)
	case f.lasts && err != nil && !errors.Is(err, ErrOutcomeUnknown) && !same:
		t.Errorf("reported as failed for certain, and done: %v", err)
	case !f.dies && !f.refused && !f.lasts && err != nil:
		t.Errorf("one failed request was not survived: %v", err)
	}
}

// goesOn is the next life of the job: a new owner saves, trims and collects, and then everything that is stored is needed.
func goesOn(t *testing.T, mem *memstore.Store, peer *Store) {
	t.Helper()
	ctx := context.Background()
	j := mustJob(t, peer, crashJob)
	if _, err := j.Collect(ctx, nil); err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	look(t, peer)
	o, err := peer.Acquire(ctx, crashJob, &AcquireOptions{Retention: Retention{KeepLast: 1}})
	if err != nil {
		t.Fatal(err)
	}
	state := files{"db": changed(newState["db"], 5), "map": []byte("a=3")}
	w, err := o.Begin(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := addAll(state)(w); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Collect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if d := state.diff(look(t, peer).state); d != "" {
		t.Errorf("the next checkpoint: %s", d)
	}
	if extra := unneeded(t, peer, mem.Keys()); len(extra) > 0 {
		t.Errorf("collection left %q", extra)
	}
	noViolations(t, mem)
}

// unneeded are the keys that HEAD does not refer to.
func unneeded(t *testing.T, s *Store, keys []string) []string {
	t.Helper()
	j := mustJob(t, s, crashJob)
	at, err := j.readHead(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	live, err := j.liveObjects(context.Background(), at.head)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		n, ok := format.ParseKey(crashJob, key)
		return key == format.HeadKey(crashJob) || (ok && live[n.Nonce])
	})
}

// refereeLive fails the test when an object disappears that the HEAD of that very moment refers to.
func refereeLive(t *testing.T) func(string, func(string) ([]byte, bool)) {
	return func(key string, peek func(string) ([]byte, bool)) {
		b, ok := peek(format.HeadKey(crashJob))
		if !ok || strings.HasSuffix(key, "/HEAD") {
			return
		}
		if err := checkDead(key, b, peek); err != nil {
			t.Error(err)
		}
	}
}

func checkDead(key string, head []byte, peek func(string) ([]byte, bool)) error {
	h, err := format.DecodeHead(head)
	if err != nil {
		return err
	}
	for _, r := range h.Retained {
		mk := format.ManifestKey(crashJob, r.Id, r.ManifestNonce)
		b, ok := peek(mk)
		if !ok || key == mk {
			return fmt.Errorf("manifest of checkpoint %d is deleted while it is live", r.Id.Checkpoint)
		}
		m, err := format.DecodeManifest(b, nil)
		if err != nil {
			return err
		}
		for _, o := range m.Objects {
			if k, _ := format.ObjectKey(crashJob, o, r.Id, r.ManifestNonce, r.ManifestSize); k == key {
				return fmt.Errorf("%s is deleted while checkpoint %d refers to it", key, r.Id.Checkpoint)
			}
		}
	}
	return nil
}
