package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// restoreCase is a way to restore newState. had is what lies in the directory before; nil: there is no directory.
type restoreCase struct {
	name string
	had  files
	want files
	opts RestoreOptions
}

func restoreCases() []restoreCase {
	// Its db differs from newState's in a page of each of the two checkpoints.
	stranger := files{"db": changed(oldState["db"], 200_000), "map": oldState["map"], "stranger": []byte("not of the job")}
	both := files{"db": newState["db"], "map": newState["map"], "empty": {}, "stranger": stranger["stranger"]}
	return []restoreCase{
		{"new directory", nil, newState, RestoreOptions{}},
		{"resume", nil, newState, RestoreOptions{Resume: true}},
		{"force", stranger, both, RestoreOptions{Force: true}},
		{"update", stranger, both, RestoreOptions{Update: true}},
		{"update and delete", stranger, newState, RestoreOptions{Update: true, Delete: true}},
	}
}

// TestCrashOfARestoreAtEveryRequest disturbs every request of a restore. It survives one that fails, or it fails and the directory is as it was; and
// the next restore works. What a killed process leaves on the disk is another matter, which the command's tests look at.
func TestCrashOfARestoreAtEveryRequest(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	mustSave(t, s, crashJob, oldState)
	mustSave(t, s, crashJob, newState)
	for _, rc := range restoreCases() {
		for _, f := range fates() {
			if strings.HasPrefix(f.name, "applied") || f.lasts {
				continue // a read has no effect that could come without its answer
			}
			t.Run(rc.name+"/"+f.name, func(t *testing.T) {
				k := 1
				for ; restoreCrashAt(t, mem, rc, f, k); k++ {
					if k > 50 {
						t.Fatal("the restore does not end")
					}
				}
				if k < 4 && !t.Failed() {
					t.Errorf("a restore of %d requests: HEAD, and packs of two checkpoints were expected", k-1)
				}
			})
		}
	}
}

func restoreCrashAt(t *testing.T, mem *memstore.Store, rc restoreCase, f fate, k int) (more bool) {
	dir := filepath.Join(t.TempDir(), "state")
	if rc.had != nil {
		rc.had.write(t, dir)
	}
	restore := func(conn *memstore.Store) error {
		c, err := mustJob(t, openMem(t, conn), crashJob).Latest(context.Background())
		if err != nil {
			return err
		}
		_, err = c.RestoreDir(context.Background(), "", dir, &rc.opts)
		return err
	}
	synctest.Test(t, func(t *testing.T) {
		conn := mem.Peer()
		conn.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.N != k {
				return memstore.OK
			}
			more = true
			return f.outcome(nil)
		})
		err := restore(conn)
		if failed := more && (f.dies || f.refused); (err != nil) != failed {
			t.Errorf("request %d: %v", k, err)
		}
		if err != nil {
			asBefore(t, rc, dir)
			if err := restore(mem.Peer()); err != nil {
				t.Errorf("the next restore after request %d: %v", k, err)
			}
		}
	})
	if d := rc.want.diff(readDir(t, dir)); d != "" {
		t.Errorf("restored after request %d: %s", k, d)
	}
	return more && !t.Failed()
}

// asBefore fails unless the directory is what it was before a restore that failed.
func asBefore(t *testing.T, rc restoreCase, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); rc.had == nil && os.IsNotExist(err) {
		return
	}
	left := readDir(t, dir)
	for name := range left {
		if rc.opts.Resume && isStage(strings.SplitN(name, "/", 2)[0]) {
			delete(left, name) // kept for the next one, on demand
		}
	}
	if d := rc.had.diff(left); d != "" {
		t.Errorf("the restore failed, and the directory is not as it was: %s", d)
	}
	if rc.had == nil && !rc.opts.Resume {
		t.Error("the restore failed and left its directory")
	}
}
