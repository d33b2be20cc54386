package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

const rotHead = rotJob + "/HEAD"

func mustRepair(t testing.TB, j *Job, opts *RepairOptions) *RepairReport {
	t.Helper()
	r, err := j.Repair(context.Background(), opts)
	if err != nil {
		t.Fatalf("repair: %v (%+v)", err, r)
	}
	return r
}

// holds fails unless the job has exactly these checkpoints, all of them whole, and its next life goes on from them: a save, a collection, and still all of them whole.
func (r *rotten) holds(t *testing.T, mem *memstore.Store, want ...uint64) {
	t.Helper()
	ctx := context.Background()
	s := r.open(t, mem)
	j := mustJob(t, s, rotJob)
	for round := range 2 {
		infos, err := j.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, i := range slices.Backward(infos) {
			got = append(got, i.Checkpoint)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the job has %d, want %d", got, want)
		}
		if v, err := j.Verify(ctx, &VerifyOptions{Data: true}); err != nil || !v.OK() {
			t.Fatalf("verify: %v %+v", err, v.Problems)
		}
		for _, number := range want {
			if d := r.states[number].diff(restored(t, mustFind(t, j, fmt.Sprint(number)))); d != "" && r.states[number] != nil {
				t.Errorf("checkpoint %d: %s", number, d)
			}
		}
		if round > 0 {
			return
		}
		state := maps.Clone(r.states[3])
		state["note"] = []byte("after the repair")
		next := mustSave(t, s, rotJob, state)
		r.states[next.Checkpoint] = state
		want = append(want, next.Checkpoint)
		if _, err := j.Collect(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLostHeadIsRebuilt(t *testing.T) {
	for name, keeper := range map[string]Keeper{"clear": nil, "sealed": newTestKeeper(1)} {
		t.Run(name, func(t *testing.T) {
			r := newRotten(t, rotJob, keeper)
			for damage, b := range map[string][]byte{
				"lost": nil, "empty": {}, "a page": []byte("<html>502</html>"), "cut": r.archive[rotHead][:700], "two bits": withBit(withBit(r.archive[rotHead], 4000), 9000),
			} {
				t.Run(damage, func(t *testing.T) {
					mem := r.archive.with(rotHead, b).mem(t)
					j := mustJob(t, r.open(t, mem), rotJob)
					dry := mustRepair(t, j, &RepairOptions{DryRun: true})
					if after := archiveOf(t, mem); !bytes.Equal(after[rotHead], b) || len(after) != len(mem.Keys()) {
						t.Fatal("a dry run changed something")
					}
					got := mustRepair(t, j, nil)
					if len(got.Found) != 3 || !slices.EqualFunc(got.Found, dry.Found, func(a, b Found) bool { return a.Object == b.Object && a.Kept && b.Kept }) {
						t.Errorf("found %+v, in a dry run %+v", got.Found, dry.Found)
					}
					if got.Found[0].Committed || !got.Found[1].Committed || !got.Found[2].Committed {
						t.Errorf("which are known to be committed: %+v", got.Found)
					}
					if got.Mended || got.Epoch <= epochLeap || len(got.Lost) != 1 || got.Lost[0].Kind != "head" || !strings.Contains(got.Lost[0].Detail, "tags") {
						t.Errorf("%+v", got)
					}
					if i := mustFind(t, j, "latest").Info(); i.Checkpoint != 3 || i.Bytes != r.infos[0].Bytes || i.NewBytes != r.infos[0].NewBytes || i.Parts != r.infos[0].Parts || i.StoredBytes != r.infos[0].StoredBytes {
						t.Errorf("latest is %+v, was %+v", i, r.infos[0])
					}
					if keeper != nil {
						_, err := openMem(t, mem.Peer()).Save(context.Background(), rotJob, addAll(files{"a": {1}}), nil)
						wantKind(t, err, ErrCredentials) // it is still an encrypted job
					}
					r.holds(t, mem, 1, 2, 3)
					noViolations(t, mem)
				})
			}
		})
	}
}

// TestFlippedBitOfHeadIsTurnedBack: then nothing is lost.
func TestFlippedBitOfHeadIsTurnedBack(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	head := r.archive[rotHead]
	step := 1
	if testing.Short() {
		step = 37
	}
	for i := 0; i < len(head); i += step {
		mem := r.archive.with(rotHead, withBit(head, 8*i+i%8)).mem(t)
		j := mustJob(t, r.open(t, mem), rotJob)
		_, err := j.List(context.Background())
		if e := wantKind(t, err, ErrCorrupt); !strings.Contains(e.Hint, "repair") {
			t.Fatalf("byte %d: the hint is %q", i, e.Hint)
		}
		if got := mustRepair(t, j, nil); !got.Mended || len(got.Lost) != 0 {
			t.Fatalf("byte %d: %+v", i, got)
		}
		infos, err := j.List(context.Background())
		if err != nil || fmt.Sprint(infos) != fmt.Sprint(r.infos) {
			t.Fatalf("byte %d: %+v (%v), was %+v", i, infos, err, r.infos)
		}
	}
	r.holds(t, r.archive.with(rotHead, head).mem(t), 1, 2, 3)
}

// A HEAD that is mended is believed only if the manifests confirm it.
func TestMendedHeadNeedsConfirmation(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	h, err := format.DecodeHead(r.archive[rotHead])
	if err != nil {
		t.Fatal(err)
	}
	h.Retained[0].ManifestHash = newNonce()
	h.Retained[0].ManifestHash = append(h.Retained[0].ManifestHash, newNonce()...)
	b, err := format.EncodeHead(h)
	if err != nil {
		t.Fatal(err)
	}
	mem := r.archive.with(rotHead, withBit(b, 333)).mem(t)
	if got := mustRepair(t, mustJob(t, r.open(t, mem), rotJob), nil); got.Mended || len(got.Found) != 3 || !got.Found[2].Kept {
		t.Errorf("%+v", got)
	}
	r.holds(t, mem, 1, 2, 3)
}

func TestWholeHeadIsLeftAlone(t *testing.T) {
	ctx := context.Background()
	r := newRotten(t, rotJob, nil)
	mem := r.archive.mem(t)
	s := r.open(t, mem)
	j := mustJob(t, s, rotJob)
	if got := mustRepair(t, j, nil); got.Head != HeadWhole || got.Epoch != 0 || got.Requests.Put != 0 || !got.Whole() {
		t.Errorf("%+v", got)
	}
	if err := j.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if got := mustRepair(t, j, nil); got.Head != HeadWhole || got.Requests.Put != 0 {
		t.Errorf("a removed job: %+v", got)
	}
	_, err := j.Latest(ctx)
	wantKind(t, err, ErrNotFound)

	newer := bytes.Clone(r.archive[rotHead])
	newer[9], newer[500] = 2, newer[500]+1
	mem = r.archive.with(rotHead, newer).mem(t)
	_, err = mustJob(t, r.open(t, mem), rotJob).Repair(ctx, nil)
	wantKind(t, err, ErrUnsupported)
	if !bytes.Equal(archiveOf(t, mem)[rotHead], newer) {
		t.Error("a newer version's HEAD was replaced")
	}

	_, err = mustJob(t, s, "nobody").Repair(ctx, nil)
	wantKind(t, err, ErrNotFound)
}

// TestOldHeadIsReported: whose it is cannot be told, so it stays.
func TestOldHeadIsReported(t *testing.T) {
	ctx := context.Background()
	r := newRotten(t, rotJob, nil)
	mem := r.archive.mem(t)
	s := r.open(t, mem)
	for range 2 { // epochs 2 and 3
		mustSave(t, s, rotJob, files{"note": []byte("a=5")})
	}
	mem = archiveOf(t, mem).with(rotHead, r.archive[rotHead]).mem(t)
	j := mustJob(t, r.open(t, mem), rotJob)
	v, err := j.Verify(ctx, nil)
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Kind != "head" || !strings.Contains(v.Problems[0].Detail, "epoch 3") {
		t.Errorf("%v, %+v", err, v.Problems)
	}
	got := mustRepair(t, j, nil)
	if len(got.Lost) != 1 || got.Lost[0].Kind != "head" || got.Requests.Put != 0 {
		t.Errorf("%+v", got)
	}
}

// TestVerifyBesideRetention: what was retired while verification looked is no damage.
func TestVerifyBesideRetention(t *testing.T) {
	ctx := context.Background()
	r := newRotten(t, rotJob, nil)
	for _, at := range []string{"get", "list", "range"} { // of a manifest, of the data, of a pack
		mem := r.archive.mem(t)
		peer, done := mem.Peer(), false
		peer.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method == at && op.Key != rotHead && !done {
				done = true
				j := mustJob(t, r.open(t, mem), rotJob)
				if _, err := j.Untag(ctx, "first"); err != nil {
					t.Error(err)
				}
				if _, err := j.Retain(ctx, Retention{KeepLast: 1}, false); err != nil {
					t.Error(err)
				}
				if c, err := j.Collect(ctx, nil); err != nil || c.DeletedObjects == 0 {
					t.Errorf("%+v, %v", c, err)
				}
			}
			return memstore.OK
		})
		v, err := mustJob(t, r.open(t, peer), rotJob).Verify(ctx, &VerifyOptions{Data: true})
		if err != nil || !v.OK() || !done {
			t.Errorf("%s: %v, %+v", at, err, v.Problems)
		}
	}
}

// TestLostHeadIsNotANewJob: whoever does not know better must not begin again at 1 over what is there, nor be told that there is nothing.
func TestLostHeadIsNotANewJob(t *testing.T) {
	ctx := context.Background()
	r := newRotten(t, rotJob, nil)
	mem := r.archive.with(rotHead, nil).mem(t)
	s := r.open(t, mem)
	j := mustJob(t, s, rotJob)
	for op, do := range map[string]func() error{
		"acquire": func() error { _, err := s.Acquire(ctx, rotJob, nil); return err },
		"save":    func() error { _, err := s.Save(ctx, rotJob, addAll(files{"a": {1}}), nil); return err },
		"latest":  func() error { _, err := j.Latest(ctx); return err },
		"list":    func() error { _, err := j.List(ctx); return err },
		"collect": func() error { _, err := j.Collect(ctx, nil); return err },
	} {
		if e := wantKind(t, do(), ErrCorrupt); !strings.Contains(e.Hint, "repair") {
			t.Errorf("%s: hint %q", op, e.Hint)
		}
	}
	if len(mem.Keys()) != len(r.archive)-1 {
		t.Error("something was written")
	}
	mustRepair(t, j, nil)
	r.holds(t, mem, 1, 2, 3)
}

// TestRepairFencesOwners: an owner of before the loss cannot commit, and repeats none of its numbers.
func TestRepairFencesOwners(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s := openMem(t, mem)
	o, err := s.Acquire(ctx, rotJob, nil)
	if err != nil {
		t.Fatal(err)
	}
	save := func() error {
		w, err := o.Begin(ctx, nil)
		if err != nil {
			return err
		}
		if err := addAll(oldState)(w); err != nil {
			return err
		}
		_, err = w.Commit(ctx)
		return err
	}
	for range 2 {
		if err := save(); err != nil {
			t.Fatal(err)
		}
	}
	if err := mem.Delete(ctx, rotHead); err != nil {
		t.Fatal(err)
	}
	wantKind(t, save(), ErrCorrupt) // it does not make a new HEAD of what it remembers
	mustRepair(t, mustJob(t, s, rotJob), nil)
	wantKind(t, save(), ErrFenced)
	if i := mustSave(t, s, rotJob, newState); i.Checkpoint != 5 { // the owner's third save left a name, and the repair takes a number
		t.Errorf("checkpoint %d", i.Checkpoint)
	}
}

// TestRepairSurvivesItsWrites: whatever becomes of the write of HEAD, the job is repaired once or not at all.
func TestRepairSurvivesItsWrites(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	for _, bad := range [][]byte{nil, []byte("junk")} {
		for _, f := range fates() {
			if f.lasts {
				continue
			}
			t.Run(fmt.Sprintf("%q/%s", bad, f.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mem := r.archive.with(rotHead, bad).mem(t)
					peer, hits := mem.Peer(), 0
					var late []func() error
					peer.SetFault(func(op memstore.Op) memstore.Outcome {
						if op.Method != "put" || hits > 0 {
							return memstore.OK
						}
						hits++
						return f.outcome(&late)
					})
					_, err := mustJob(t, openMem(t, peer), rotJob).Repair(context.Background(), nil)
					for _, apply := range late {
						_ = apply() // refused: the second try was applied, on another version
					}
					if (err == nil) == (f.dies || f.refused) || hits != 1 {
						t.Fatalf("%d writes, %v", hits, err)
					}
					h, err := mustJob(t, openMem(t, mem), rotJob).readHead(context.Background())
					if repaired := err == nil && h.head != nil; repaired == (f.refused || f.name == "killed before") {
						t.Errorf("%v, %v", h.head, err)
					}
				})
			})
		}
	}
}

// TestOfTwoRepairsOneWins, and a HEAD that somebody else wrote meanwhile stays.
func TestOfTwoRepairsOneWins(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	mem := r.archive.with(rotHead, []byte("junk")).mem(t)
	peer := mem.Peer()
	peer.SetFault(func(op memstore.Op) memstore.Outcome {
		if op.Method == "put" {
			peer.SetFault(nil)
			mustRepair(t, mustJob(t, openMem(t, mem), rotJob), nil)
		}
		return memstore.OK
	})
	_, err := mustJob(t, openMem(t, peer), rotJob).Repair(context.Background(), nil)
	wantKind(t, err, ErrConflict)
	r.holds(t, mem, 1, 2, 3)
}
