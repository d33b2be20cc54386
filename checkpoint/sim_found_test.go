package checkpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// What the simulation found, one test for each.

// A commit whose reply was lost, and which was looked up when another owner had the job already, is a success. The next save has to be told that it is fenced: it
// was compared with a checkpoint of the new owner, and failed as something that cannot be stored.
func TestCommitFoundUnderANewOwnerIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		mem := memstore.New()
		peer := openMem(t, mem.Peer())
		o := mustAcquire(t, openMem(t, mem), nil)
		w := mustBegin(t, o, oldState)
		wait := hideOneHeadPut(mem, func() {
			mustCommit(t, mustBegin(t, mustAcquire(t, peer, nil), newState))
		})
		mustCommit(t, w)
		wait()
		_, err := o.Begin(ctx, nil)
		wantKind(t, err, ErrFenced)
	})
}

// An acquisition that others outrun until its patience ends fails with one of the package's kinds.
func TestOutrunIsAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		mem := memstore.New()
		peer := openMem(t, mem.Peer())
		mustSave(t, peer, crashJob, oldState)
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			if isHeadPut(op) {
				if _, err := mustJob(t, peer, crashJob).Tag(ctx, "latest", "moves"); err != nil {
					t.Error(err)
				}
				if _, err := mustJob(t, peer, crashJob).Untag(ctx, "moves"); err != nil {
					t.Error(err)
				}
				return memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindPrecondition}}
			}
			return memstore.OK
		})
		_, err := openMem(t, mem).Acquire(ctx, crashJob, nil)
		if wantKind(t, err, ErrConflict); errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("in doubt without need: %v", err)
		}
	})
}
