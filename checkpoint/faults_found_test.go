package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// What the table of faults in the module's root found, request by request.

// A store that is tried out before a job is created in it fails once, at any request of the trial, in any way: the job is created.
func TestOneFaultDuringTheProbe(t *testing.T) {
	for _, kind := range []objstore.Kind{objstore.KindUnavailable, objstore.KindThrottled, objstore.KindPrecondition, objstore.KindInvalid, objstore.KindCorrupt} {
		for k := 1; k <= 6; k++ {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				n := 0
				mem.SetFault(func(op memstore.Op) memstore.Outcome {
					if !strings.HasPrefix(op.Key, ".tidemark-probe") {
						return memstore.OK
					}
					n++
					wrong := kind == objstore.KindInvalid && (op.Method != "put" || op.Cond == objstore.Absent) // there it is a final no
					if n != k || wrong || kind == objstore.KindPrecondition && op.Method != "put" {
						return memstore.OK
					}
					return memstore.Outcome{Apply: k%2 == 0, Err: &objstore.Error{Kind: kind, Op: "fault", Err: errors.New("once")}}
				})
				s, err := newStore(mem, true, withDefaults(nil))
				if err != nil {
					t.Fatal(err)
				}
				o, err := s.Acquire(context.Background(), "j", nil)
				if err != nil {
					if kind == objstore.KindInvalid && errors.Is(err, ErrInvalid) {
						return
					}
					t.Fatalf("%v at request %d: %v", kind, k, err)
				}
				if err := o.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A store that ignores conditions is refused all the same, and so is one that is gone for good.
func TestProbeIsNotTriedForEver(t *testing.T) {
	for kind, want := range map[objstore.Kind]error{objstore.KindUnavailable: ErrUnavailable, objstore.KindUnsupported: ErrUnsupported, objstore.KindPermission: ErrPermission} {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			mem.SetFault(func(op memstore.Op) memstore.Outcome {
				if op.Method == "put" {
					return memstore.Outcome{Err: &objstore.Error{Kind: kind, Op: "fault", Err: errors.New("for ever")}}
				}
				return memstore.OK
			})
			s, err := newStore(mem, true, withDefaults(&Options{RetryFor: time.Minute}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Acquire(context.Background(), "j", nil)
			wantKind(t, err, want)
		})
	}
}

// Whatever a save is busy with when the caller's time is over, it says so by the one name for it.
func TestSaveOutOfTime(t *testing.T) {
	for k := 1; ; k++ {
		more := false
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			mustSave(t, openMem(t, mem.Peer()), crashJob, oldState)
			mem.SetFault(func(op memstore.Op) memstore.Outcome {
				more = more || op.N == k
				return memstore.Outcome{Apply: true, Hang: op.N >= k}
			})
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := openMem(t, mem).Save(ctx, crashJob, addAll(newState), nil)
			if more {
				if e := wantKind(t, err, ErrUnavailable); !errors.Is(err, context.DeadlineExceeded) || e.Hint == "" {
					t.Errorf("request %d hangs: %v, %+v", k, err, e)
				}
			} else if err != nil {
				t.Fatal(err)
			}
		})
		if !more || t.Failed() {
			return
		}
	}
}

// A HEAD that belongs to another job, whose manifest this process has read before: its data must not pass for this job's.
func TestHeadOfAnotherJob(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	mustSave(t, s, "a", files{"x": []byte("of a")})
	mustSave(t, s, "b", files{"x": []byte("of b")})
	restored(t, mustFind(t, mustJob(t, s, "b"), "latest"))
	head, _, err := mem.Get(t.Context(), format.HeadKey("b"), format.MaxHead)
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, mem, format.HeadKey("a"), func([]byte) []byte { return head })
	c, err := mustJob(t, s, "a").Latest(t.Context())
	if err == nil {
		_, err = c.RestoreDir(t.Context(), "", filepath.Join(t.TempDir(), "a"), nil)
	}
	wantKind(t, err, ErrCorrupt)
}

// Nor must a collector take this job's objects for garbage, because another job's HEAD does not refer to them.
func TestCollectWithTheHeadOfAnotherJob(t *testing.T) {
	for name, open := range map[string]func(testing.TB, objstore.Store) *Store{"plain": openMem, "sealed": openCrashSealed} {
		for _, cached := range []bool{false, true} {
			mem := memstore.New()
			s := open(t, mem)
			mustSave(t, s, "a", files{"x": []byte("of a")})
			mustSave(t, s, "b", files{"x": []byte("of b")})
			head, _, err := mem.Get(t.Context(), format.HeadKey("b"), format.MaxHead)
			if err != nil {
				t.Fatal(err)
			}
			tamper(t, mem, format.HeadKey("a"), func([]byte) []byte { return head })
			if !cached {
				s = open(t, mem)
			}
			before := len(mem.Keys())
			if _, err := mustJob(t, s, "a").Collect(t.Context(), nil); err == nil || len(mem.Keys()) != before {
				t.Errorf("%s, cached %t: %d of %d objects are left, %v", name, cached, len(mem.Keys()), before, err)
			}
		}
	}
}

// flaky flips a byte of the n-th range that is read, in what arrives.
type flaky struct {
	*memstore.Store
	n  atomic.Int64
	at int64
}

func (f *flaky) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	err := f.Store.ReadRange(ctx, key, off, p)
	if n := f.n.Add(1); err == nil && n == f.at {
		p[len(p)/2] ^= 1
	}
	return err
}

func (f *flaky) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	p := make([]byte, n)
	if err := f.ReadRange(ctx, key, off, p); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(p)), nil
}

// One byte that is damaged on the way, in a table or in a chunk: it is fetched again, whoever reads.
func TestOneDamagedReadOnTheWay(t *testing.T) {
	mem := memstore.New()
	big := files{"db": noise(1, 6<<20), "map": []byte("a")} // its table is too large for the manifest
	mustSave(t, openMem(t, mem), "j", big)
	readers := map[string]func(t *testing.T, c *Checkpoint) error{
		"restore": func(t *testing.T, c *Checkpoint) error {
			_, err := c.RestoreDir(t.Context(), "", filepath.Join(t.TempDir(), "r"), nil)
			return err
		},
		"part": func(t *testing.T, c *Checkpoint) error {
			r, err := c.Open(t.Context(), "db")
			if err != nil {
				return err
			}
			b, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(b, big["db"]) {
				t.Error("wrong bytes")
			}
			return errors.Join(err, r.Close())
		},
	}
	for name, read := range readers {
		for at := int64(1); ; at++ {
			f := &flaky{Store: mem.Peer(), at: at}
			s, err := newStore(f, false, withDefaults(&Options{Concurrency: 1}))
			if err != nil {
				t.Fatal(err)
			}
			if err := read(t, mustFind(t, mustJob(t, s, "j"), "latest")); err != nil {
				t.Errorf("%s, read %d of %d damaged: %v", name, at, f.n.Load(), err)
			}
			if f.n.Load() < at || t.Failed() {
				if at < 3 {
					t.Errorf("%s: only %d reads", name, f.n.Load())
				}
				break
			}
		}
	}
}
