package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func checkpoints(infos []Info) string {
	var out []string
	for _, i := range infos {
		out = append(out, fmt.Sprint(i.Checkpoint))
	}
	return strings.Join(out, " ")
}

func TestReferences(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, memstore.New())
	j := mustJob(t, s, "j")
	_, err := j.Find(ctx, "latest")
	wantKind(t, err, ErrNotFound)
	for i := range 5 {
		mustSave(t, s, "j", files{"a": {byte(i)}})
	}
	if _, err := j.Tag(ctx, "-3", "before-upgrade"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Retain(ctx, Retention{KeepLast: 3}, false); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]uint64{"latest": 5, "": 5, "-0": 5, "-2": 3, "-3": 2, "4": 4, "before-upgrade": 2} {
		if c, err := j.Find(ctx, ref); err != nil || c.Info().Checkpoint != want {
			t.Errorf("%q is %v, want %d (%v)", ref, c, want, err)
		}
	}
	for ref, kind := range map[string]error{"1": ErrNotFound, "9": ErrNotFound, "-4": ErrNotFound, "no-tag": ErrNotFound, "-x": ErrInvalid} {
		_, err := j.Find(ctx, ref)
		wantKind(t, err, kind)
	}
}

func TestTags(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": {1}})
	mustSave(t, s, "j", files{"a": {2}})
	j := mustJob(t, s, "j")
	if i, err := j.Tag(ctx, "1", "v1"); err != nil || !slices.Equal(i.Tags, []string{"v1"}) {
		t.Fatalf("%+v, %v", i, err)
	}
	if _, err := j.Tag(ctx, "1", "v1"); err != nil {
		t.Errorf("the same tag again: %v", err)
	}
	_, err := j.Tag(ctx, "2", "v1")
	wantKind(t, err, ErrConflict)
	for _, tag := range []string{"", "latest", "-1", "12", "a b", "a\nb", strings.Repeat("x", 300)} {
		_, err := j.Tag(ctx, "1", tag)
		wantKind(t, err, ErrInvalid)
	}
	_, err = j.Untag(ctx, "v2")
	wantKind(t, err, ErrNotFound)
	if i, err := j.Untag(ctx, "v1"); err != nil || len(i.Tags) != 0 {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := s.Save(ctx, "j", addAll(files{"a": {3}}), &SaveOptions{Tag: "v3"}); err != nil {
		t.Fatal(err)
	}
	if c := mustFind(t, j, "v3"); c.Info().Checkpoint != 3 {
		t.Errorf("v3 is %d", c.Info().Checkpoint)
	}
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := openMem(t, memstore.New())
		for i := range 6 {
			mustSave(t, s, "j", files{"a": {byte(i)}})
			time.Sleep(time.Hour) // fake time
		}
		j := mustJob(t, s, "j")
		if _, err := j.Tag(ctx, "1", "keep"); err != nil {
			t.Fatal(err)
		}
		lease, err := mustFind(t, j, "2").Pin(ctx, "a reader", 3*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			policy Retention
			want   string
		}{
			{Retention{KeepLast: 2}, "3 4"},
			{Retention{KeepWithin: 2*time.Hour + time.Minute}, "3 4"},
			{Retention{KeepLast: 1, KeepWithin: 3*time.Hour + time.Minute}, "3"},
			{Retention{KeepLast: 100}, ""},
		} {
			retired, err := j.Retain(ctx, tt.policy, true)
			if got := checkpoints(retired); err != nil || got != tt.want {
				t.Errorf("%+v retires %q, want %q (%v)", tt.policy, got, tt.want, err)
			}
		}
		time.Sleep(4 * time.Hour) // fake time: the lease expires
		retired, err := j.Retain(ctx, Retention{KeepLast: 1}, false)
		if got := checkpoints(retired); err != nil || got != "2 3 4 5" {
			t.Errorf("retired %q, %v", got, err)
		}
		if err := lease.Release(ctx); err != nil {
			t.Errorf("release of an expired lease: %v", err)
		}
		infos, err := j.List(ctx)
		if got := checkpoints(infos); err != nil || got != "6 1" {
			t.Errorf("left %q, %v", got, err)
		}
		_, err = j.Retain(ctx, Retention{}, false)
		wantKind(t, err, ErrInvalid)
		_, err = j.Retain(ctx, Retention{KeepLast: -1}, false)
		wantKind(t, err, ErrInvalid)
	})
}

func TestLeaseIsReleased(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": {1}})
	j := mustJob(t, s, "j")
	lease, err := mustFind(t, j, "1").Pin(ctx, "a reader", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, "j", files{"a": {2}})
	if r, err := j.Retain(ctx, Retention{KeepLast: 1}, true); err != nil || len(r) != 0 {
		t.Errorf("retires %q, %v", checkpoints(r), err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Fatal(err)
	}
	late := mustFind(t, j, "1")
	defer func() {
		_, err := late.Pin(ctx, "a late reader", time.Hour)
		wantKind(t, err, ErrRetired)
	}()
	if r, err := j.Retain(ctx, Retention{KeepLast: 1}, true); err != nil || checkpoints(r) != "1" {
		t.Errorf("retires %q, %v", checkpoints(r), err)
	}
	if _, err := j.Retain(ctx, Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
}

// A collector runs between every two steps of a save: what is under way stays, what is dead goes.
func TestCollectBesideASave(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s := openMem(t, mem)
	state := files{"a": noise(1, 9<<20)}
	mustSave(t, s, "j", state)
	collector := mustJob(t, openMem(t, mem.Peer()), "j")
	pending := int64(0)
	mem.OnDelete(refereeLive(t))
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		r, err := collector.Collect(ctx, nil)
		if err != nil {
			t.Error(err)
		}
		pending = max(pending, r.PendingObjects)
		return memstore.OK
	})
	state["a"] = noise(2, 20<<20)
	o, err := s.Acquire(ctx, "j", nil)
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, mustBegin(t, o, state))
	mem.SetFault(nil)
	if pending == 0 {
		t.Error("the collector never saw the save's objects")
	}
	if r, err := mustJob(t, s, "j").Verify(ctx, &VerifyOptions{Data: true}); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// A collector that reads an older HEAD than another one has collected by begins again with the newer.
func TestCollectBesideACollector(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s, peer := openMem(t, mem.Peer()), mustJob(t, openMem(t, mem.Peer()), "j")
	for i := range 3 {
		mustSave(t, s, "j", files{"a": noise(uint64(i), 300<<10)})
	}
	faster := true
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		if faster && op.Method == "get" && strings.Contains(op.Key, "/manifests/") {
			faster = false
			if _, err := peer.Retain(ctx, Retention{KeepLast: 1}, false); err != nil {
				t.Error(err)
			}
			if r, err := peer.Collect(ctx, nil); err != nil || r.DeletedObjects != 4 {
				t.Errorf("%+v, %v", r, err)
			}
		}
		return memstore.OK
	})
	report, err := mustJob(t, openMem(t, mem), "j").Collect(ctx, nil)
	if err != nil || report.LiveObjects != 2 || report.DeletedObjects != 0 || faster {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCollectReport(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s := openMem(t, mem)
	for i := range 4 {
		mustSave(t, s, "j", files{"a": noise(uint64(i), embedLimit*2)})
	}
	for _, key := range []string{"j/data/notes.txt", "j/manifests/mine"} {
		if _, err := mem.Put(ctx, key, []byte("foreign"), ""); err != nil {
			t.Fatal(err)
		}
	}
	j := mustJob(t, s, "j")
	if _, err := j.Retain(ctx, Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
	before := mem.Keys()
	dry, err := j.Collect(ctx, &CollectOptions{DryRun: true})
	if err != nil || dry.DeletedObjects != 6 || dry.LiveObjects != 2 || !slices.Equal(before, mem.Keys()) {
		t.Fatalf("%+v, %v", dry, err)
	}
	real, err := j.Collect(ctx, nil)
	if err != nil || real.DeletedObjects != 6 || real.DeletedBytes != dry.DeletedBytes || real.Requests.Delete != 6 {
		t.Errorf("%+v, %v", real, err)
	}
	if len(real.Unknown) != 2 || len(mem.Keys()) != 5 {
		t.Errorf("unknown %q, left %q", real.Unknown, mem.Keys())
	}
}

// A manifest that cannot be read might refer to anything.
func TestCollectStopsAtADamagedManifest(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	mustSave(t, openMem(t, mem), "j", files{"a": noise(1, embedLimit*2)})
	mustSave(t, openMem(t, mem), "j", files{"a": noise(2, embedLimit*2)})
	mustSave(t, openMem(t, mem), "j", files{"a": noise(3, embedLimit*2)}) // HEAD has a copy of this one's manifest
	if _, err := mustJob(t, openMem(t, mem), "j").Retain(ctx, Retention{KeepLast: 2}, false); err != nil {
		t.Fatal(err)
	}
	before := mem.Keys()
	tamper(t, mem, "-000000000002-", func(b []byte) []byte { b[20]++; return b })
	_, err := mustJob(t, openMem(t, mem), "j").Collect(ctx, nil)
	if wantKind(t, err, ErrCorrupt); !slices.Equal(before, mem.Keys()) || !strings.Contains(err.Error(), "nothing was deleted") {
		t.Errorf("deleted something, or did not say so: %v", err)
	}
}

// Every byte of every object is flipped in turn; verify finds each, and what is read is never wrong.
func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	ctx := context.Background()
	clean := memstore.New()
	mustSave(t, openMem(t, clean), "j", files{"a": noise(1, 300), "text": []byte(strings.Repeat("compressible ", 40))})
	mustSave(t, openMem(t, clean), "j", files{"a": noise(1, 300), "b": {1}})
	state := files{"a": noise(1, 300), "b": {1}}
	for _, key := range clean.Keys() {
		body, _, err := clean.Get(ctx, key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for i := range body {
			mem := memstore.New()
			for _, k := range clean.Keys() {
				b, _, err := clean.Get(ctx, k, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if k == key {
					b[i] ^= 1 << (i % 8)
				}
				if _, err := mem.Put(ctx, k, b, ""); err != nil {
					t.Fatal(err)
				}
			}
			s := openMem(t, mem)
			j := mustJob(t, s, "j")
			r, err := j.Verify(ctx, &VerifyOptions{Data: true})
			if err == nil && r.OK() {
				t.Fatalf("byte %d of %s is flipped, and nobody sees it", i, key)
			}
			if err != nil && !errors.Is(err, ErrUnsupported) { // a flipped version looks like a newer one
				t.Fatalf("byte %d of %s: %v", i, key, err)
			}
			if err == nil && r.Problems[0].Object != key {
				t.Fatalf("byte %d of %s is flipped, reported is %+v", i, key, r.Problems)
			}
			if c, err := j.Latest(ctx); err == nil && i%16 == 0 {
				if dir := t.TempDir(); restoreQuietly(c, dir) == nil {
					if d := state.diff(readDir(t, dir)); d != "" {
						t.Fatalf("byte %d of %s: restored wrong bytes: %s", i, key, d)
					}
				}
			}
		}
	}
}

func restoreQuietly(c *Checkpoint, dir string) error {
	_, err := c.RestoreDir(context.Background(), "", dir, nil)
	return err
}

func TestVerifyNamesTheDamage(t *testing.T) {
	ctx := context.Background()
	state := files{"a": noise(1, 6<<20), "b": noise(2, 6<<20)}
	damage := map[string]struct {
		part   string
		change func([]byte) []byte
		data   bool // found only by reading
		kind   string
	}{
		"pack cut":       {"/data/", func(b []byte) []byte { return b[:len(b)-1] }, false, "size"},
		"pack flipped":   {"/data/", func(b []byte) []byte { b[1000]++; return b }, false, "crc32c"},
		"manifest wrong": {"/manifests/", func(b []byte) []byte { b[50]++; return b }, false, "manifest"},
		"head wrong":     {"/HEAD", func(b []byte) []byte { b[30]++; return b }, false, "head"},
	}
	for name, d := range damage {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			mustSave(t, openMem(t, mem), "j", state)
			tamper(t, mem, d.part, d.change)
			r, err := mustJob(t, openMem(t, mem), "j").Verify(ctx, nil)
			if err != nil || r.OK() || r.Problems[0].Kind != d.kind || !strings.Contains(r.Problems[0].Object, d.part) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestJobsAreListed(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	s := openMem(t, mem)
	for _, name := range []string{"b", "a", "c d", "ümlaut"} {
		mustSave(t, s, name, files{"x": {1}})
	}
	if _, err := mem.Put(ctx, "not-a-job/file", []byte("x"), ""); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, err := range s.Jobs(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if !slices.Equal(got, []string{"a", "b", "c d", "ümlaut"}) {
		t.Errorf("jobs %q", got)
	}
}
