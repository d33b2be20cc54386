package checkpoint

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// What the model of the protocol found in an earlier form of this package: writes of HEAD whose outcome nobody learned in time.

func isHeadPut(op memstore.Op) bool { return op.Method == "put" && strings.HasSuffix(op.Key, "/HEAD") }

// hideOneHeadPut applies the next write of HEAD and never answers it, while meanwhile runs on another connection; wait returns when it has.
func hideOneHeadPut(mem *memstore.Store, meanwhile func()) (wait func()) {
	armed, done := true, make(chan struct{})
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		if !armed || !isHeadPut(op) {
			return memstore.OK
		}
		armed = false
		go func() {
			defer close(done)
			time.Sleep(10 * time.Second) // fake time: after the write was applied, before its sender gives it up
			meanwhile()
		}()
		return memstore.Outcome{Apply: true, Hang: true}
	})
	return func() { <-done }
}

// A commit that was sent and not answered may land whenever it likes: giving up must not be reported as failure.
func TestGivingUpIsNotFailing(t *testing.T) {
	for _, how := range []string{"the caller's time ends", "patience ends", "the next try is forbidden"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				mustSave(t, openMem(t, mem.Peer()), crashJob, oldState)
				var late []func() error
				mem.SetFault(func(op memstore.Op) memstore.Outcome {
					if !isHeadPut(op) {
						return memstore.OK
					}
					if how == "the next try is forbidden" && len(late) > 0 {
						return memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindPermission, Op: "fault"}}
					}
					return memstore.Outcome{Err: errors.New("503"), Later: func(a func() error) { late = append(late, a) }, Hang: how == "the caller's time ends"}
				})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if how == "the caller's time ends" {
					ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
					defer cancel()
				}
				_, err := openMem(t, mem).Save(ctx, crashJob, addAll(newState), nil)
				if !errors.Is(err, ErrOutcomeUnknown) {
					t.Errorf("reported as certain: %v", err)
				}
				if err := late[0](); err != nil {
					t.Fatalf("the late write was not applied: %v", err)
				}
			})
		})
	}
}

// Committed, not told, superseded and retired before anybody looked: others have seen it, so "it failed" would be a lie.
func TestSupersededIsNotFailed(t *testing.T) {
	for name, owned := range map[string]bool{"one-shot": false, "owner": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				peer := openMem(t, mem.Peer())
				mustSave(t, peer, crashJob, oldState)
				supersede := func() {
					_, err := peer.Save(context.Background(), crashJob, addAll(oldState), &SaveOptions{Retention: Retention{KeepLast: 1}})
					if err != nil {
						t.Error(err)
					}
				}
				s := openMem(t, mem)
				var err error
				kind := ErrConflict
				if owned {
					kind = ErrFenced
					o, acquireErr := s.Acquire(context.Background(), crashJob, nil)
					if acquireErr != nil {
						t.Fatal(acquireErr)
					}
					w := mustBegin(t, o, newState)
					wait := hideOneHeadPut(mem, supersede)
					_, err = w.Commit(context.Background())
					wait()
				} else {
					wait := hideOneHeadPut(mem, supersede)
					_, err = s.Save(context.Background(), crashJob, addAll(newState), nil)
					wait()
				}
				if wantKind(t, err, kind); !errors.Is(err, ErrOutcomeUnknown) {
					t.Errorf("reported as certain: %v", err)
				}
			})
		})
	}
}

// A race that was lost for certain is reported as such.
func TestLostRaceIsCertain(t *testing.T) {
	s := openMem(t, memstore.New())
	_, err := s.Save(context.Background(), crashJob, func(w *Writer) error {
		mustSave(t, s, crashJob, oldState)
		return addAll(newState)(w)
	}, nil)
	if wantKind(t, err, ErrConflict); errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("in doubt without need: %v", err)
	}
}

func TestRemovalDoesNotHitTheJobsNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		peer := openMem(t, mem.Peer())
		mustSave(t, peer, crashJob, oldState)
		wait := hideOneHeadPut(mem, func() { mustSave(t, peer, crashJob, newState) })
		err := mustJob(t, openMem(t, mem), crashJob).Remove(context.Background())
		wait()
		if !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("removed, revived, and reported as %v", err)
		}
		if d := newState.diff(look(t, mem, peer).state); d != "" {
			t.Errorf("a checkpoint that was acknowledged after the removal is gone: %s", d)
		}
	})
}

func TestAcquireDoesNotTakeTheJobBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		peer := openMem(t, mem.Peer())
		mustSave(t, peer, crashJob, oldState)
		var second *Owner
		wait := hideOneHeadPut(mem, func() {
			var err error
			if second, err = peer.Acquire(context.Background(), crashJob, nil); err != nil {
				t.Error(err)
			}
		})
		_, err := openMem(t, mem).Acquire(context.Background(), crashJob, nil)
		wait()
		wantKind(t, err, ErrConflict)
		mustCommit(t, mustBegin(t, second, newState))
	})
}

// A refusal that cannot be looked into is no conflict that anybody knows of.
func TestRefusalInDoubtIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		mustSave(t, openMem(t, mem.Peer()), crashJob, oldState)
		owner, err := openMem(t, mem).Acquire(context.Background(), crashJob, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := false
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			switch {
			case isHeadPut(op):
				refused = true
				return memstore.Outcome{Apply: true, Err: &objstore.Error{Kind: objstore.KindPrecondition, Op: "fault"}}
			case refused && op.Method == "get":
				return memstore.Outcome{Err: errors.New("503")}
			}
			return memstore.OK
		})
		w, err := owner.Begin(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := addAll(newState)(w); err != nil {
			t.Fatal(err)
		}
		if _, err = w.Commit(context.Background()); !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrConflict) {
			t.Errorf("a refusal in doubt: %v", err)
		}
	})
}
