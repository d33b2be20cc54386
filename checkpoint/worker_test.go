package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func mustAssignment(t testing.TB, c *Writer) []byte {
	t.Helper()
	a, err := c.Assignment()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// share is a worker's finished share of c, given to nobody yet.
func share(t testing.TB, s *Store, c *Writer, name string, f files) (handle []byte, incarnation string) {
	t.Helper()
	w, err := mustJob(t, s, c.job.name).Join(context.Background(), mustAssignment(t, c), name)
	if err != nil {
		t.Fatal(err)
	}
	return finish(t, w, f), w.Incarnation()
}

func finish(t testing.TB, w *Worker, f files) []byte {
	t.Helper()
	for name, b := range f {
		if err := w.Add(name, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	handle, err := w.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func mustTake(t testing.TB, c *Writer, handle []byte) HandleInfo {
	t.Helper()
	info, err := c.AddHandle(handle)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// onlyNeeded collects, and fails if anything is left that HEAD does not need or anything is gone that it does.
func onlyNeeded(t testing.TB, s *Store, mem *memstore.Store, job string) {
	t.Helper()
	j := mustJob(t, s, job)
	if _, err := j.Collect(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	r, err := j.Verify(context.Background(), &VerifyOptions{Data: true})
	if err != nil || !r.OK() {
		t.Fatalf("verify: %v %+v", err, r.Problems)
	}
	report, err := j.Collect(context.Background(), nil)
	if err != nil || report.DeletedObjects+report.PendingObjects != 0 {
		t.Errorf("left over after a collection: %+v, %v", report, err)
	}
	noViolations(t, mem)
}

// Many workers, each on a connection of its own, save a job's state twice; the second time little of it is new.
func TestWorkersSaveOneCheckpoint(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s := openMem(t, mem)
	o := mustAcquire(t, s, &AcquireOptions{Retention: Retention{KeepLast: 1}})
	state := files{"source": []byte("offset 17")}
	const workers = 5
	for i := range workers {
		state[fmt.Sprintf("enrich/%d/db", i)] = noise(uint64(i), 2*embedLimit)
		state[fmt.Sprintf("enrich/%d/small", i)] = []byte("x")
	}
	for round := range 3 {
		c := mustBegin(t, o, files{"source": state["source"]})
		assignment := mustAssignment(t, c)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() {
				j := mustJob(t, openMem(t, mem.Peer()), "j")
				name := fmt.Sprintf("enrich/%d", i)
				w := j.Worker(o.Epoch(), c.Checkpoint(), name)
				if i%2 == 0 {
					var err error
					if w, err = j.Join(ctx, assignment, name); err != nil {
						t.Error(err)
						return
					}
				}
				for part, b := range state {
					if strings.HasPrefix(part, name+"/") {
						if err := w.Add(part, bytes.NewReader(b)); err != nil {
							t.Error(err)
						}
					}
				}
				if err := w.SetMetadata(name, []byte{byte(round)}); err != nil {
					t.Error(err)
				}
				handle, err := w.Finish(ctx)
				if err != nil {
					t.Error(err)
				}
				if _, err := c.AddHandle(handle); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(c.Handles()); n != workers {
			t.Fatalf("%d handles were taken", n)
		}
		info := mustCommit(t, c)
		last := mustFind(t, o.Job, "latest")
		if d := state.diff(restored(t, last)); d != "" {
			t.Fatalf("round %d: %s", round, d)
		}
		meta, err := last.Metadata(ctx)
		if err != nil || len(meta) != workers || meta["enrich/3"][0] != byte(round) {
			t.Errorf("metadata %v, %v", meta, err)
		}
		if info.Parts != int64(len(state)) || round > 0 && info.NewBytes > 10*4096 || info.Requests.Put < workers {
			t.Errorf("round %d: %+v", round, info)
		}
		onlyNeeded(t, s, mem, "j")
		for i := range workers {
			db := fmt.Sprintf("enrich/%d/db", i)
			state[db] = changed(state[db], 5000*i)
		}
	}
}

// A worker that has an assignment asks the store for nothing but what it compares with; one that has only numbers reads HEAD once.
func TestWorkerRequests(t *testing.T) {
	mem := memstore.New()
	o := mustAcquire(t, openMem(t, mem), nil)
	c := mustBegin(t, o, nil)
	var ops []string
	peer := mem.Peer()
	peer.SetFault(func(op memstore.Op) memstore.Outcome {
		ops = append(ops, op.Method+" "+op.Key[:strings.LastIndexByte(op.Key, '/')])
		return memstore.OK
	})
	s := openMem(t, peer)
	share(t, s, c, "w", files{"a": []byte("1"), "b": []byte("2")})
	if want := []string{"put j/data/000000000001/000000000001"}; !slices.Equal(ops, want) {
		t.Errorf("with an assignment: %q", ops)
	}
	ops = nil
	finish(t, mustJob(t, s, "j").Worker(o.Epoch(), c.Checkpoint(), "w"), files{"a": []byte("1"), "b": []byte("2")})
	if want := []string{"get j", "put j/data/000000000001/000000000001"}; !slices.Equal(ops, want) {
		t.Errorf("with numbers: %q", ops)
	}
	if err := c.Abort(); err != nil {
		t.Fatal(err)
	}
}

// A worker that is restarted and finishes twice: one share counts, and the coordinator can tell which.
func TestWorkerRestarts(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	o := mustAcquire(t, s, nil)
	c := mustBegin(t, o, nil)
	died, err := mustJob(t, s, "j").Join(context.Background(), mustAssignment(t, c), "w")
	if err != nil {
		t.Fatal(err)
	}
	if err := died.Add("db", bytes.NewReader(noise(1, 12<<20))); err != nil { // a pack of it is up when it dies
		t.Fatal(err)
	}
	if err := died.Abort(); err != nil {
		t.Fatal(err)
	}
	first, life1 := share(t, s, c, "w", files{"db": noise(2, 2*embedLimit)})
	second, life2 := share(t, s, c, "w", files{"db": noise(3, 2*embedLimit), "more": nil})
	for range 2 {
		if info := mustTake(t, c, first); info.Incarnation != life1 || info.Ignored != "" {
			t.Errorf("the first handle: %+v", info)
		}
	}
	if info := mustTake(t, c, second); info.Incarnation != life1 || info.Ignored != life2 || info.Parts != 1 {
		t.Errorf("the second handle: %+v", info)
	}
	mustCommit(t, c)
	if d := (files{"db": noise(2, 2*embedLimit)}).diff(restored(t, mustFind(t, o.Job, "latest"))); d != "" {
		t.Error(d)
	}
	onlyNeeded(t, s, mem, "j")
}

// A worker that has only the numbers finds out by itself that its checkpoint cannot be committed any more.
func TestWorkerOfAnotherTime(t *testing.T) {
	s := openMem(t, memstore.New())
	o := mustAcquire(t, s, nil)
	mustCommit(t, mustBegin(t, o, files{"a": []byte("1")}))
	cases := []struct {
		epoch, checkpoint uint64
		kind              error
	}{{0, 2, ErrFenced}, {1, 1, ErrConflict}, {2, 2, ErrInvalid}}
	for _, c := range cases {
		w := o.Worker(c.epoch, c.checkpoint, "w")
		wantKind(t, w.Add("b", strings.NewReader("")), c.kind)
		_, err := w.Finish(context.Background())
		wantKind(t, err, c.kind)
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}
	w := mustJob(t, s, "nothing").Worker(1, 1, "w")
	_, err := w.Finish(context.Background())
	wantKind(t, err, ErrNotFound)
}

// Rule 3 for workers: the base of a share is retired between its handle and the commit.
func TestCommitRefusesRetiredBaseOfWorker(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	o := mustAcquire(t, s, nil)
	big := files{"db": noise(1, embedLimit*2)}
	mustCommit(t, mustBegin(t, o, big))
	w, err := o.Begin(context.Background(), &BeginOptions{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	handle := finish(t, o.Worker(o.Epoch(), w.Checkpoint(), "w"), big)
	mustTake(t, w, handle)
	at, err := o.readHead(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// What no tidemark does: the newest checkpoint is retired under the owner, in its own epoch.
	if _, err := o.writeHead(context.Background(), at, headChange{op: "sabotage",
		apply: func(h *format.Head) error { h.Retained, h.LastBody = nil, nil; return nil }}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Commit(context.Background())
	wantKind(t, err, ErrConflict)
}

// A base that only a worker compared with is kept by commits that overtake.
func TestCommitKeepsBasesOfWorkers(t *testing.T) {
	s := openMem(t, memstore.New())
	o := mustAcquire(t, s, &AcquireOptions{Retention: Retention{KeepLast: 1}})
	big := files{"db": noise(1, embedLimit*2)}
	mustCommit(t, mustBegin(t, o, big))
	newer := mustBegin(t, o, files{"a": []byte("1")})
	full, err := o.Begin(context.Background(), &BeginOptions{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	mustTake(t, full, finish(t, o.Worker(o.Epoch(), full.Checkpoint(), "w"), big))
	mustCommit(t, newer)
	if info := mustCommit(t, full); info.NewBytes != 0 {
		t.Errorf("%+v", info)
	}
	if d := big.diff(restored(t, mustFind(t, o.Job, "latest"))); d != "" {
		t.Error(d)
	}
}

// Workers of a one-shot save get its assignment; two such saves at once do not mix.
func TestWorkersOfOneShotSaves(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	var foreign []byte
	_, err := s.Save(context.Background(), "j", func(a *Writer) error {
		foreign, _ = share(t, s, a, "w", files{"a": []byte("1")})
		_, err := s.Save(context.Background(), "j", func(b *Writer) error {
			if _, err := b.AddHandle(foreign); !errors.Is(err, ErrConflict) {
				t.Errorf("a handle of another save of the same numbers: %v", err)
			}
			h, _ := share(t, s, b, "w", files{"b": []byte("2")})
			_, err := b.AddHandle(h)
			return err
		}, nil)
		if err != nil {
			t.Error(err)
		}
		_, err = a.AddHandle(foreign)
		return err
	}, nil)
	wantKind(t, err, ErrConflict)
	if d := (files{"b": []byte("2")}).diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
		t.Error(d)
	}
	onlyNeeded(t, s, mem, "j")
}

// Abort ends whatever a worker is doing, and gives back what it holds.
func TestWorkerAborts(t *testing.T) {
	for _, where := range []string{"before anything", "reading HEAD", "uploading", "finishing"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				o := mustAcquire(t, openMem(t, mem), nil)
				peer := mem.Peer()
				peer.SetFault(func(op memstore.Op) memstore.Outcome {
					return memstore.Outcome{Hang: op.Method == "put" || where == "reading HEAD", Apply: true}
				})
				s := openMem(t, peer)
				w := mustJob(t, s, "j").Worker(o.Epoch(), 1, "w")
				var wg sync.WaitGroup
				var err error
				wg.Go(func() {
					switch where {
					case "reading HEAD", "uploading":
						err = w.Add("a", bytes.NewReader(noise(1, 100<<20)))
					case "finishing":
						if err = w.Add("a", strings.NewReader("1")); err == nil {
							_, err = w.Finish(context.Background())
						}
					default:
						err = errAborted
					}
				})
				synctest.Wait()
				if err := w.Abort(); err != nil {
					t.Error(err)
				}
				wg.Wait()
				if !errors.Is(err, errAborted) {
					t.Errorf("what was under way ended with %v", err)
				}
				if err := w.Abort(); err != nil {
					t.Error(err)
				}
				if _, err := w.Finish(context.Background()); err == nil {
					t.Error("finished after Abort")
				}
				if free := len(s.buffers.free); free != cap(s.buffers.free) {
					t.Errorf("%d of %d buffers came back", free, cap(s.buffers.free))
				}
			})
		})
	}
}

// A slow store slows Add down instead of letting memory grow: while no upload ends, no more is read than the budget holds.
func TestSlowStoreSlowsAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method == "put" && strings.Contains(op.Key, "/data/") {
				time.Sleep(10 * time.Second) // the store's answer takes so long
			}
			return memstore.OK
		})
		s := openMem(t, mem)
		o := mustAcquire(t, s, nil)
		w, err := o.Begin(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		const size = 200 << 20
		r := &counted{r: bytes.NewReader(noise(1, size))}
		done := make(chan error, 1)
		go func() { done <- w.Add("a", r) }()
		time.Sleep(9 * time.Second)
		if n := r.n.Load(); n > smallBudget+segmentSize {
			t.Errorf("%d bytes were read before an upload ended", n)
		}
		start := time.Now()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		mustCommit(t, w)
		if least := size / smallBudget * 10 * time.Second; time.Since(start) < least/2 {
			t.Errorf("the save took %s, the uploads at least %s", time.Since(start), least)
		}
	})
}

type counted struct {
	r *bytes.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
