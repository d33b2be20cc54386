package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// TestManifestsComeBackAsTheyWere: the last one from HEAD, any one with one flipped bit by itself, and nothing that is not exactly what was there.
func TestManifestsComeBackAsTheyWere(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	step := 1
	if testing.Short() {
		step = 37
	}
	for key, b := range r.archive {
		n, ok := format.ParseKey(rotJob, key)
		if !ok || !n.Manifest {
			continue
		}
		last := n.Checkpoint == 3
		for i := 0; i < len(b); i += step {
			mem := r.archive.with(key, withBit(b, 8*i+i%8)).mem(t)
			got := mustRepair(t, mustJob(t, r.open(t, mem), rotJob), nil)
			if len(got.Written) != 1 || len(got.Lost) != 0 || !bytes.Equal(archiveOf(t, mem)[key], b) {
				t.Fatalf("checkpoint %d, byte %d: %+v", n.Checkpoint, i, got)
			}
		}
		for damage, bad := range map[string][]byte{"removed": nil, "cut": b[:len(b)/2], "two bits": withBit(withBit(b, 700), 3000), "longer": append(bytes.Clone(b), 0)} {
			t.Run(fmt.Sprintf("%d %s", n.Checkpoint, damage), func(t *testing.T) {
				mem := r.archive.with(key, bad).mem(t)
				j := mustJob(t, r.open(t, mem), rotJob)
				got := mustRepair(t, j, nil)
				if saved := bytes.Equal(archiveOf(t, mem)[key], b); saved != last || saved != (len(got.Written) == 1) || saved != (len(got.Lost) == 0) || saved != got.Whole() {
					t.Errorf("%+v", got)
				}
				want := []uint64{1, 2, 3}
				if !last {
					if got = mustRepair(t, j, &RepairOptions{RetireLost: true}); !slices.Equal(got.Retired, []uint64{n.Checkpoint}) || !got.Whole() {
						t.Errorf("%+v", got)
					}
					want = slices.DeleteFunc(want, func(c uint64) bool { return c == n.Checkpoint })
				}
				if n.Checkpoint != 1 { // what lay in the manifest itself is gone, for 2 and 3 too
					r.holds(t, mem, want...)
				}
			})
		}
	}
}

// TestUncommittedManifests: what was uploaded and never committed is not taken for what was.
func TestUncommittedManifests(t *testing.T) {
	ctx := context.Background()
	r := newRotten(t, rotJob, nil)
	// stopped makes a save upload everything, and die before its write of HEAD.
	stopped := func(t *testing.T, mem *memstore.Store, state files) {
		t.Helper()
		peer := mem.Peer()
		peer.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method == "put" && op.Key == rotHead {
				return memstore.Outcome{Stop: true}
			}
			return memstore.OK
		})
		if _, err := r.open(t, peer).Save(ctx, rotJob, addAll(state), nil); err == nil {
			t.Fatal("the save did not stop")
		}
	}
	lose := func(t *testing.T, mem *memstore.Store) *memstore.Store {
		return archiveOf(t, mem).with(rotHead, nil).mem(t)
	}
	a, b := files{"note": []byte("never committed")}, files{"note": []byte("committed")}

	t.Run("by a one-shot save, alone", func(t *testing.T) {
		mem := r.archive.mem(t)
		stopped(t, mem, a)
		mem = lose(t, mem)
		got := mustRepair(t, mustJob(t, r.open(t, mem), rotJob), nil)
		if f := got.Found[0]; f.Info.Checkpoint != 4 || f.Committed || !f.Kept || !got.Found[1].Committed {
			t.Errorf("%+v", got.Found)
		}
		r.states[4] = a
		r.holds(t, mem, 1, 2, 3, 4)
	})
	t.Run("left out", func(t *testing.T) {
		mem := r.archive.mem(t)
		stopped(t, mem, a)
		mem = lose(t, mem)
		j := mustJob(t, r.open(t, mem), rotJob)
		dry := mustRepair(t, j, &RepairOptions{DryRun: true})
		got := mustRepair(t, j, &RepairOptions{Without: []string{dry.Found[0].Object}})
		if f := got.Found[0]; f.Kept || f.Why == "" || mustFind(t, j, "latest").Info().Checkpoint != 3 {
			t.Errorf("%+v", got.Found)
		}
		if i := mustSave(t, r.open(t, mem), rotJob, b); i.Checkpoint != 6 { // 5 is the repair's own
			t.Errorf("number %d comes again", i.Checkpoint)
		}
	})
	t.Run("before the commit of a newer epoch", func(t *testing.T) {
		mem := r.archive.mem(t)
		stopped(t, mem, a)
		s := r.open(t, mem)
		if _, err := s.Acquire(ctx, rotJob, nil); err != nil { // epoch 2, like the dead save
			t.Fatal(err)
		}
		mustSave(t, s, rotJob, b) // epoch 3
		mem = lose(t, mem)
		j := mustJob(t, r.open(t, mem), rotJob)
		got, err := j.Repair(ctx, nil)
		wantKind(t, err, ErrCorrupt)
		if len(got.Found) != 5 || got.Epoch != 0 || !strings.Contains(got.Found[1].Why, got.Found[0].Object) || !strings.Contains(got.Found[0].Why, got.Found[1].Object) {
			t.Errorf("%+v", got.Found)
		}
		if _, ok := archiveOf(t, mem)[rotHead]; ok {
			t.Error("it chose, and cannot know")
		}
		mustRepair(t, j, &RepairOptions{Without: []string{got.Found[1].Object}})
		r.states[4] = b
		r.holds(t, mem, 1, 2, 3, 4)
	})
	t.Run("by a one-shot save that lost against the owner", func(t *testing.T) {
		mem := r.archive.mem(t)
		s := r.open(t, mem)
		o, err := s.Acquire(ctx, rotJob, nil)
		if err != nil {
			t.Fatal(err)
		}
		stopped(t, mem, a) // (3, 4)
		for range 2 {      // (2, 4) and (2, 5), which is compared with it
			w, err := o.Begin(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := addAll(b)(w); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
		mem = lose(t, mem)
		got := mustRepair(t, mustJob(t, r.open(t, mem), rotJob), nil)
		for _, f := range got.Found {
			if f.Kept != (f.Info.Epoch < 3) {
				t.Errorf("%+v", f)
			}
		}
		r.states[4], r.states[5] = b, b
		r.holds(t, mem, 1, 2, 3, 4, 5)
	})
}

func TestIncompleteCheckpointsAreNotTaken(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	for key := range r.archive {
		if n, ok := format.ParseKey(rotJob, key); ok && !n.Manifest && n.Checkpoint == 2 {
			mem := r.archive.with(rotHead, nil).with(key, nil).mem(t)
			got := mustRepair(t, mustJob(t, r.open(t, mem), rotJob), nil)
			if got.Found[0].Kept || got.Found[1].Kept || !got.Found[2].Kept || got.Found[0].Why == "" {
				t.Errorf("%+v", got.Found)
			}
			if !slices.ContainsFunc(got.Lost, func(p Problem) bool { return p.Kind == "missing" && p.Object == key && p.Checkpoint == 3 }) {
				t.Errorf("what is lost: %+v", got.Lost)
			}
			r.holds(t, mem, 1)
		}
	}
	// Nothing is whole: no HEAD that promises what is not there.
	a := maps.Clone(r.archive)
	maps.DeleteFunc(a, func(key string, _ []byte) bool { return key == rotHead || strings.Contains(key, "/manifests/") })
	mem := a.mem(t)
	got, err := mustJob(t, r.open(t, mem), rotJob).Repair(context.Background(), nil)
	wantKind(t, err, ErrCorrupt)
	if len(mem.Keys()) != len(a) || len(got.Lost) == 0 || got.Lost[0].Kind != "orphan" {
		t.Errorf("%+v", got)
	}
}

func TestFlippedBit(t *testing.T) {
	for _, n := range []int{1, 2, 16, 1000, 70_000} {
		b := noise(uint64(n), n)
		sum := format.CRC32C(b)
		if _, ok := flippedBit(b, sum); ok {
			t.Error("a bit of nothing")
		}
		for bit := 0; bit < 8*n; bit += max(1, n/7) {
			if got, ok := flippedBit(withBit(b, bit), sum); !ok || got != bit {
				t.Fatalf("%d bytes: bit %d, found %d, %t", n, bit, got, ok)
			}
		}
		if n > 2 {
			if _, ok := flippedBit(withBit(withBit(b, 3), 8*n-5), sum); ok {
				t.Errorf("%d bytes: two bits are taken for one", n)
			}
		}
	}
}

// TestChecksumAloneMendsNoManifest: of damage that its checksum takes for one bit, the hash knows better.
func TestChecksumAloneMendsNoManifest(t *testing.T) {
	r := newRotten(t, rotJob, nil)
	for key, b := range r.archive {
		if n, ok := format.ParseKey(rotJob, key); !ok || !n.Manifest || n.Checkpoint == 3 {
			continue
		}
		bad := b
		for _, i := range unseen(b, 200) {
			bad = withBit(bad, 200+i)
		}
		if bytes.Equal(bad, b) || format.CRC32C(bad) != format.CRC32C(b) {
			t.Fatal("the checksum sees it")
		}
		bad = withBit(bad, 3001)
		mem := r.archive.with(key, bad).mem(t)
		got := mustRepair(t, mustJob(t, r.open(t, mem), rotJob), nil)
		if len(got.Written) != 0 || len(got.Lost) != 1 || !bytes.Equal(archiveOf(t, mem)[key], bad) {
			t.Errorf("%+v", got)
		}
	}
}

// unseen returns bits from bit at of b on whose flips together leave the checksum as it is: of 33 changes of 32 bits some cancel each other out.
func unseen(b []byte, at int) (bits []int) {
	type change struct {
		sum uint32
		of  uint64 // which bits
	}
	var basis []change
	for i := range 33 {
		c := change{format.CRC32C(b) ^ format.CRC32C(withBit(b, at+i)), 1 << i}
		for _, o := range basis {
			if c.sum^o.sum < c.sum {
				c = change{c.sum ^ o.sum, c.of ^ o.of}
			}
		}
		if c.sum == 0 {
			for k := range 33 {
				if c.of>>k&1 == 1 {
					bits = append(bits, k)
				}
			}
			return bits
		}
		basis = append(basis, c)
		slices.SortFunc(basis, func(a, b change) int { return -compare(uint64(a.sum), uint64(b.sum)) })
	}
	return nil
}
