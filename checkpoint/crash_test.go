package checkpoint

import (
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
		peer := sc.opened(t, mem.Peer())
		sc.before(t, peer)
		before := look(t, mem, peer)
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
		var via objstore.Store = mem
		if sc.via != nil {
			via = sc.via(mem)
		}
		err := sc.run(sc.opened(t, via))
		if hit.N == 0 {
			if err != nil {
				t.Fatalf("undisturbed: %v", err)
			}
			judge(t, sc, fate{}, nil, before, look(t, mem, peer))
			return
		}
		more = true
		t.Logf("request %d (%s %s): %v", k, hit.Method, hit.Key, err)
		judge(t, sc, f, err, before, look(t, mem, peer))
		for _, apply := range late {
			_ = apply() // long after everybody gave it up
		}
		judge(t, sc, f, err, before, look(t, mem, peer))
		goesOn(t, mem, peer)
	})
	return more && !t.Failed()
}

// seen is what a reader finds.
type seen struct {
	latest  uint64
	state   files
	head    *format.Head // empty if there is none
	garbage int
}

// look restores the latest checkpoint and checks every retained one.
func look(t *testing.T, mem *memstore.Store, s *Store) seen {
	t.Helper()
	ctx := context.Background()
	j := mustJob(t, s, crashJob)
	at, err := j.readHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := seen{head: at.head}
	if at.head == nil {
		found.head = new(format.Head)
		return found
	}
	found.garbage = len(unneeded(t, s, mem.Keys()))
	c, err := j.Latest(ctx)
	if errors.Is(err, ErrNotFound) {
		return found
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := j.Verify(ctx, &VerifyOptions{Data: true})
	if err != nil || !r.OK() {
		t.Fatalf("verify: %v %+v", err, r.Problems)
	}
	found.latest, found.state = c.Info().Checkpoint, restored(t, c)
	return found
}

func judge(t *testing.T, sc scenario, f fate, err error, before, after seen) {
	t.Helper()
	same := after.latest == before.latest && before.state.diff(after.state) == ""
	next := sc.commit && after.latest == before.latest+1 && newState.diff(after.state) == ""
	gone := sc.removes && after.latest == 0
	done := (!sc.commit || next) && (sc.done == nil || sc.done(after.head, after.garbage))
	switch {
	case !same && !next && !gone:
		t.Errorf("the latest checkpoint is %d, neither the old one (%d) nor the new one whole", after.latest, before.latest)
	case err == nil && !done:
		t.Error("acknowledged, but not there")
	case f.refused && err == nil:
		t.Error("refused, but reported as done")
	case f.refused && done:
		t.Error("refused, but done")
	case f.dies && err == nil:
		t.Error("the process was killed, and says that all is well")
	case f.lasts && err != nil && !errors.Is(err, ErrOutcomeUnknown) && done:
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
	look(t, mem, peer)
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
	if d := state.diff(look(t, mem, peer).state); d != "" {
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
	name, ok := format.ParseKey(crashJob, key)
	if !ok {
		return fmt.Errorf("%s is deleted, which is no object of the job", key)
	}
	for _, r := range h.Retained {
		mk := format.ManifestKey(crashJob, r.Id, r.ManifestNonce)
		b, ok := peek(mk)
		if !ok || key == mk {
			return fmt.Errorf("manifest of checkpoint %d is deleted while it is live", r.Id.Checkpoint)
		}
		needs, err := format.ManifestRefers(b)
		if err != nil {
			return err
		}
		if slices.Contains(needs, name.Nonce) {
			return fmt.Errorf("%s is deleted while checkpoint %d refers to it", key, r.Id.Checkpoint)
		}
	}
	return nil
}
