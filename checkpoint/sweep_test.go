package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

const (
	manyObjects = 100_000
	garbageFrom = 1000 // a checkpoint that the owner did not come to
)

// garbageKey is the i-th of the packs that an owner before the present one left behind, in the order of keys.
func garbageKey(job string, i int) string {
	return format.PackKey(job, &format.Object{
		Id: &format.CheckpointID{Epoch: 1, Checkpoint: uint64(garbageFrom + i/1000)}, Writer: "lost", Number: uint32(i % 1000), Nonce: fmt.Appendf(nil, "%016x", i)[:16],
	})
}

// saveTwice makes a job whose epoch is past that of garbageKey.
func saveTwice(t *testing.T, s *Store, job string) (live int64) {
	t.Helper()
	for i := range 2 {
		mustSave(t, s, job, files{"a": noise(uint64(i), embedLimit*2)})
	}
	r, err := mustJob(t, s, job).Collect(t.Context(), nil)
	if err != nil || r.DeletedObjects+r.PendingObjects != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return r.LiveObjects
}

// landfill has a hundred thousand objects that take no memory, and knows which of them were deleted.
type landfill struct {
	*memstore.Store
	job   string
	batch int
	hold  func(i int) error

	mu                sync.Mutex
	gone              [manyObjects]bool
	deleted, requests int
	base, peak        uint64
}

func (l *landfill) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		listed := prefix != format.DataPrefix(l.job)
		for info, err := range l.Store.List(ctx, prefix) {
			if !listed && info.Key > garbageKey(l.job, 0) {
				listed = true
				for i := range manyObjects {
					if ctx.Err() != nil {
						yield(objstore.Info{}, objstore.ContextError(ctx, "list", prefix))
						return
					}
					if !yield(objstore.Info{Key: garbageKey(l.job, i), Size: 7}, nil) {
						return
					}
				}
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (l *landfill) BatchSize() int { return l.batch }

func (l *landfill) DeleteBatch(_ context.Context, keys []string) (map[string]error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.requests++; l.requests%50 == 1 {
		l.measure()
	}
	failed := map[string]error{}
	for _, key := range keys {
		name, ok := format.ParseKey(l.job, key)
		if !ok || name.Epoch != 1 {
			return nil, &objstore.Error{Kind: objstore.KindInvalid, Key: key, Err: errors.New("nobody was to delete this")}
		}
		i := int(name.Checkpoint-garbageFrom)*1000 + int(name.Number)
		if err := l.hold(i); err != nil {
			failed[key] = err
			continue
		}
		if l.gone[i] {
			return nil, &objstore.Error{Kind: objstore.KindInvalid, Key: key, Err: errors.New("it was deleted before")}
		}
		l.gone[i] = true
		l.deleted++
	}
	return failed, nil
}

func (l *landfill) measure() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if l.base == 0 {
		l.base = m.HeapAlloc
	}
	l.peak = max(l.peak, m.HeapAlloc)
}

// TestCollectAtScale deletes 100,000 objects in bounded memory and as few requests as the batches allow.
func TestCollectAtScale(t *testing.T) {
	for _, batch := range []int{300, 1000} {
		l := &landfill{Store: memstore.New(), job: "job", batch: batch, hold: func(int) error { return nil }}
		s := openMem(t, l)
		saveTwiceBeforeTheLandfill(t, l)
		r, err := mustJob(t, s, "job").Collect(t.Context(), nil)
		if err != nil || r.DeletedObjects != manyObjects || r.DeletedBytes != 7*manyObjects || r.FailedObjects != 0 || r.LiveObjects == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if l.deleted != manyObjects || l.requests != (manyObjects+batch-1)/batch {
			t.Errorf("%d objects deleted with %d requests of %d", l.deleted, l.requests, batch)
		}
		t.Logf("batches of %d: %d requests, heap grew by %d KiB", batch, l.requests, (l.peak-l.base)>>10)
		// The keys alone of all that is listed have 10 MiB.
		if l.peak-l.base > 4<<20 {
			t.Errorf("the heap grew by %d bytes", l.peak-l.base)
		}
	}
}

func saveTwiceBeforeTheLandfill(t *testing.T, l *landfill) {
	t.Helper()
	saveTwice(t, openMem(t, l.Peer()), l.job)
}

// TestCollectReportsWhatIsHeld: some objects cannot be deleted. All others are, and the report and the error say so.
func TestCollectReportsWhatIsHeld(t *testing.T) {
	l := &landfill{Store: memstore.New(), job: "job", batch: 1000, hold: func(i int) error {
		if i%10_000 == 5 {
			return &objstore.Error{Kind: objstore.KindPermission, Op: "delete", Key: garbageKey("job", i), Err: errors.New("under a retention policy")}
		}
		return nil
	}}
	s := openMem(t, l)
	saveTwiceBeforeTheLandfill(t, l)
	r, err := mustJob(t, s, "job").Collect(t.Context(), nil)
	if r.DeletedObjects != manyObjects-10 || r.FailedObjects != 10 || l.deleted != manyObjects-10 {
		t.Errorf("%+v", r)
	}
	if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "10 objects could not be deleted") || !strings.Contains(err.Error(), "retention policy") {
		t.Errorf("%v", err)
	}
}

// TestCollectStopsWhenNothingCanBeDeleted: a principal who may not delete is told soon, not after 100,000 refusals.
func TestCollectStopsWhenNothingCanBeDeleted(t *testing.T) {
	l := &landfill{Store: memstore.New(), job: "job", batch: 1000, hold: func(i int) error {
		return &objstore.Error{Kind: objstore.KindPermission, Op: "delete", Key: garbageKey("job", i)}
	}}
	s := openMem(t, l)
	saveTwiceBeforeTheLandfill(t, l)
	r, err := mustJob(t, s, "job").Collect(t.Context(), nil)
	if !errors.Is(err, ErrPermission) || r.DeletedObjects != 0 || l.requests > 40 {
		t.Errorf("%+v, %v after %d requests", r, err, l.requests)
	}
}

// TestCollectAtScaleFromAServer lists and deletes through the real client.
func TestCollectAtScaleFromAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 objects on a server take seconds; without -short")
	}
	h := emulator.NewStorage(nil)
	cloud := emulator.Start(t, &emulator.Options{StorageHandler: func(func(string) error) http.Handler { return h }})
	s, err := Open(t.Context(), cloud.StoreURL("acme", "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	live := saveTwice(t, s, "job")
	fillBucket(t, h, "acme", "state/")
	cloud.ResetRequests()
	r, err := mustJob(t, s, "job").Collect(t.Context(), nil)
	if err != nil || r.DeletedObjects != manyObjects || r.LiveObjects != live {
		t.Fatalf("%+v, %v", r, err)
	}
	if left := len(h.Objects("acme")); left != int(live)+1 {
		t.Errorf("%d objects are left, %d and HEAD are live", left, live)
	}
	n := cloud.Requests().ByOp
	if n[emulator.OpDelete] != manyObjects/100 || n[emulator.OpList] > manyObjects/1000+5 {
		t.Errorf("%v", n)
	}
}

// fillBucket puts the garbage into the server without a network between.
func fillBucket(t *testing.T, h http.Handler, bucket, prefix string) {
	t.Helper()
	for i := range manyObjects {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://storage/upload/storage/v1/b/"+bucket+"/o?uploadType=media&name="+prefix+garbageKey("job", i), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		w := &discarded{header: http.Header{}}
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			t.Fatalf("status %d", w.status)
		}
	}
}

type discarded struct {
	io.Writer
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
