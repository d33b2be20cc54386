package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func mustAcquire(t testing.TB, s *Store, opts *AcquireOptions) *Owner {
	t.Helper()
	o, err := s.Acquire(context.Background(), "j", opts)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mustBegin(t testing.TB, o *Owner, f files) *Writer {
	t.Helper()
	w, err := o.Begin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := addAll(f)(w); err != nil {
		t.Fatal(err)
	}
	return w
}

func mustCommit(t testing.TB, w *Writer) Info {
	t.Helper()
	info, err := w.Commit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestFencedOwnerCannotCommit(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	old := mustAcquire(t, s, &AcquireOptions{Owner: "old host"})
	mustCommit(t, mustBegin(t, old, files{"a": []byte("1")}))
	late := mustBegin(t, old, files{"a": noise(3, embedLimit*2)})

	young := mustAcquire(t, s, &AcquireOptions{Owner: "young host"})
	if young.Epoch() != old.Epoch()+1 {
		t.Errorf("epochs %d and %d", old.Epoch(), young.Epoch())
	}
	if _, err := late.Commit(context.Background()); !strings.Contains(wantKind(t, err, ErrFenced).Error(), "young host") {
		t.Errorf("the error does not name the new owner: %v", err)
	}
	if _, err := old.Begin(context.Background(), nil); !errors.Is(err, ErrFenced) {
		t.Errorf("a fenced owner begins again: %v", err)
	}
	c, err := young.Latest(context.Background())
	if err != nil || c.Info().Checkpoint != 1 {
		t.Fatalf("latest is %v, %v", c, err)
	}
	if info := mustCommit(t, mustBegin(t, young, files{"a": []byte("2")})); info.Checkpoint != 2 || info.Epoch != young.Epoch() {
		t.Errorf("committed %+v", info)
	}
}

func TestOwnersRaceForEpochs(t *testing.T) {
	mem := memstore.New()
	var wg sync.WaitGroup
	var mu sync.Mutex
	epochs := map[uint64]bool{}
	for range 16 {
		wg.Go(func() {
			o := mustAcquire(t, openMem(t, mem.Peer()), nil)
			mu.Lock()
			defer mu.Unlock()
			if epochs[o.Epoch()] {
				t.Errorf("epoch %d was given twice", o.Epoch())
			}
			epochs[o.Epoch()] = true
		})
	}
	wg.Wait()
}

// Tags, trims and leases of others move HEAD under an owner, who goes on from there.
func TestOwnerRebasesOverOthers(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	o := mustAcquire(t, s, nil)
	for i := range 3 {
		mustCommit(t, mustBegin(t, o, files{"a": []byte{byte(i)}}))
	}
	w := mustBegin(t, o, files{"a": []byte("last")})
	admin := mustJob(t, openMem(t, mem.Peer()), "j")
	if _, err := admin.Tag(context.Background(), "1", "keep"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Retain(context.Background(), Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, w)
	infos, err := admin.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range infos {
		got = append(got, fmt.Sprint(i.Checkpoint, i.Tags))
	}
	if s := strings.Join(got, " "); s != "4 [] 3 [] 1 [keep]" {
		t.Errorf("retained: %s", s)
	}
}

func TestNewerCommitSupersedesOlderSave(t *testing.T) {
	o := mustAcquire(t, openMem(t, memstore.New()), nil)
	first := mustBegin(t, o, files{"a": []byte("1")})
	second := mustBegin(t, o, files{"a": []byte("2")})
	mustCommit(t, second)
	_, err := first.Commit(context.Background())
	wantKind(t, err, ErrConflict)
	if c := mustFind(t, o.Job, "latest"); c.Info().Checkpoint != second.Checkpoint() {
		t.Errorf("latest is %d", c.Info().Checkpoint)
	}
}

// The base of a save under way is not retired by a commit that overtakes it.
func TestCommitKeepsBasesInUse(t *testing.T) {
	o := mustAcquire(t, openMem(t, memstore.New()), &AcquireOptions{Retention: Retention{KeepLast: 1}})
	mustCommit(t, mustBegin(t, o, files{"a": noise(1, embedLimit*2)}))
	overtaken := mustBegin(t, o, files{"a": noise(1, embedLimit*2)}) // compares with 1
	newer := mustBegin(t, o, files{"a": []byte("x")})
	mustCommit(t, newer)
	if _, err := o.Find(context.Background(), "1"); err != nil {
		t.Errorf("the base was retired: %v", err)
	}
	if err := overtaken.Abort(); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, mustBegin(t, o, files{"a": []byte("y")}))
	_, err := o.Find(context.Background(), "1")
	wantKind(t, err, ErrNotFound)
}

// Rule 3: a manifest never refers to what the HEAD it is conditioned on does not retain.
func TestCommitRefusesRetiredBase(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	big := files{"a": noise(1, embedLimit*2)}
	o := mustAcquire(t, s, nil)
	mustCommit(t, mustBegin(t, o, big))
	w := mustBegin(t, o, big)
	// What no tidemark does: the newest checkpoint is retired under the owner, in its own epoch.
	at, err := o.readHead(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.writeHead(context.Background(), at, headChange{op: "sabotage",
		apply: func(h *format.Head) error { h.Retained, h.LastBody = nil, nil; return nil }}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Commit(context.Background())
	wantKind(t, err, ErrConflict)
}

func TestOneShotLosesToWhoeverCameBetween(t *testing.T) {
	ctx := context.Background()
	between := map[string]struct {
		do   func(t *testing.T, s *Store)
		kind error
	}{
		"a save":     {func(t *testing.T, s *Store) { mustSave(t, s, "j", files{"a": []byte("theirs")}) }, ErrConflict},
		"an acquire": {func(t *testing.T, s *Store) { mustAcquire(t, s, nil) }, ErrConflict},
		"a removal": {func(t *testing.T, s *Store) {
			if err := mustJob(t, s, "j").Remove(ctx); err != nil {
				t.Fatal(err)
			}
		}, ErrConflict},
		"a tag": {func(t *testing.T, s *Store) {
			if _, err := mustJob(t, s, "j").Tag(ctx, "latest", "t"); err != nil {
				t.Fatal(err)
			}
		}, nil},
	}
	for name, b := range between {
		t.Run(name, func(t *testing.T) {
			s := openMem(t, memstore.New())
			mustSave(t, s, "j", files{"a": []byte("old")})
			info, err := s.Save(ctx, "j", func(w *Writer) error {
				b.do(t, s)
				return w.Add("a", strings.NewReader("mine"))
			}, nil)
			if b.kind != nil {
				wantKind(t, err, b.kind)
				return
			}
			if err != nil || info.Checkpoint != 2 {
				t.Errorf("save over %s: %+v, %v", name, info, err)
			}
		})
	}
}

func TestHeadIsPacedPerJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		mem.SetTraits(objstore.Traits{RewriteInterval: time.Second})
		s := openMem(t, mem)
		start := time.Now()
		o := mustAcquire(t, s, nil)
		for range 3 {
			mustCommit(t, mustBegin(t, o, files{"a": []byte("1")}))
		}
		if _, err := s.Save(context.Background(), "other", addAll(files{"a": nil}), nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("four writes of one HEAD and one of another took %s", d)
		}
	})
}

// An interrupted save is gone, or, if its commit was already on the way, its fate is known within a second.
func TestInterruptDuringCommit(t *testing.T) {
	for name, o := range map[string]memstore.Outcome{"applied": {Apply: true, Hang: true}, "lost": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				s := openMem(t, mem)
				ctx, cancel := context.WithCancel(context.Background())
				mem.SetFault(func(op memstore.Op) memstore.Outcome {
					if op.Method == "put" && op.Key == "j/HEAD" {
						cancel()
						return o
					}
					return memstore.OK
				})
				start := time.Now()
				_, err := s.Save(ctx, "j", addAll(files{"a": []byte("1")}), nil)
				if d := time.Since(start); d > time.Second {
					t.Errorf("the interrupted save took %s to end", d)
				}
				at, readErr := mustJob(t, s, "j").readHead(context.Background())
				if readErr != nil {
					t.Fatal(readErr)
				}
				if committed := at.head != nil; committed != (err == nil) {
					t.Errorf("committed %v, reported %v", committed, err)
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("the error hides the interruption: %v", err)
				}
			})
		})
	}
}

func TestAbortLeavesNothingVisible(t *testing.T) {
	s := openMem(t, memstore.New())
	o := mustAcquire(t, s, nil)
	w := mustBegin(t, o, files{"a": noise(1, embedLimit*40)})
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	_, err := w.Commit(context.Background())
	wantKind(t, err, ErrInvalid)
	_, err = o.Latest(context.Background())
	wantKind(t, err, ErrNotFound)
	if free := len(s.buffers.free); free != cap(s.buffers.free) {
		t.Errorf("%d of %d buffers came back", free, cap(s.buffers.free))
	}
}

func TestCloseAbortsSavesUnderWay(t *testing.T) {
	o := mustAcquire(t, openMem(t, memstore.New()), nil)
	w := mustBegin(t, o, files{"a": []byte("1")})
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := w.Commit(context.Background())
	wantKind(t, err, ErrInvalid)
	_, err = o.Begin(context.Background(), nil)
	wantKind(t, err, ErrInvalid)
}

func TestRemovedJobIsGoneAndCanComeBack(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s := openMem(t, mem)
	o := mustAcquire(t, s, nil)
	mustCommit(t, mustBegin(t, o, files{"a": noise(1, embedLimit*2)}))
	zombie := mustBegin(t, o, files{"a": []byte("2")})
	j := mustJob(t, s, "j")
	if err := j.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := zombie.Commit(ctx)
	wantKind(t, err, ErrFenced)
	_, err = j.Latest(ctx)
	wantKind(t, err, ErrNotFound)
	for name, err := range s.Jobs(ctx) {
		t.Errorf("still listed: %s %v", name, err)
	}
	if _, err := j.Collect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if keys := mem.Keys(); len(keys) != 1 {
		t.Errorf("beside the tombstone there are %q", keys)
	}
	if info := mustSave(t, s, "j", files{"a": []byte("3")}); info.Checkpoint <= 1 || info.Epoch <= o.Epoch() {
		t.Errorf("numbers went back: %+v", info)
	}
}

// Several saves share one budget that holds fewer packs than they need.
func TestSavesShareTheBudget(t *testing.T) {
	s, err := newStore(memstore.New(), false, withDefaults(&Options{MemoryBudget: minBudget}))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	content := noise(1, 10<<20)
	for i := range 6 {
		wg.Go(func() {
			_, err := s.Save(context.Background(), fmt.Sprint("job-", i), func(w *Writer) error { return w.Add("a", bytes.NewReader(content)) }, nil)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if free := len(s.buffers.free); free != cap(s.buffers.free) {
		t.Errorf("%d of %d buffers came back", free, cap(s.buffers.free))
	}
}
