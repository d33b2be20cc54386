package checkpoint

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// object returns the bytes of the only object whose key has all of these in it.
func object(t *testing.T, mem *memstore.Store, parts ...string) (key string, body []byte) {
	t.Helper()
next:
	for _, k := range mem.Keys() {
		for _, part := range parts {
			if !strings.Contains(k, part) {
				continue next
			}
		}
		if key != "" {
			t.Fatalf("%q and %q both have %q", key, k, parts)
		}
		key = k
	}
	body, _, err := mem.Peer().Get(context.Background(), key, 1<<30)
	if err != nil {
		t.Fatalf("an object with %q: %v", parts, err)
	}
	return key, body
}

// put is what somebody can do who may write to the bucket.
func put(t *testing.T, mem *memstore.Store, key string, body []byte) {
	t.Helper()
	ctx, peer := context.Background(), mem.Peer()
	info, err := peer.Stat(ctx, key)
	if err != nil && objstore.KindOf(err) != objstore.KindNotFound {
		t.Fatal(err)
	}
	if _, err := peer.Put(ctx, key, body, info.Version); err != nil {
		t.Fatal(err)
	}
}

// rewriteHead changes HEAD, which is not authenticated.
func rewriteHead(t *testing.T, mem *memstore.Store, job string, change func(*format.Head)) {
	t.Helper()
	key := job + "/HEAD"
	_, b := object(t, mem, key)
	h, err := format.DecodeHead(b)
	if err != nil {
		t.Fatal(err)
	}
	change(h)
	if b, err = format.EncodeHead(h); err != nil {
		t.Fatal(err)
	}
	put(t, mem, key, b)
}

// sealedJobs is a store with a job of two checkpoints, and another job under the same keeper.
func sealedJobs(t *testing.T) (*memstore.Store, Keeper) {
	t.Helper()
	mem := memstore.New()
	k := newTestKeeper(1)
	s := openSealed(t, mem, k)
	mustSave(t, s, "j", files{"a": []byte("first")})
	mustSave(t, s, "j", files{"a": []byte("second")})
	mustSave(t, s, "other", files{"a": []byte("not yours")})
	mustSave(t, s, "other", files{"a": []byte("not yours either")})
	return mem, k
}

// latestOf restores the latest checkpoint of job j as a process does that knows nothing of it.
func latestOf(t *testing.T, mem *memstore.Store, o *Options) (files, error) {
	t.Helper()
	s, err := newStore(mem.Peer(), false, withDefaults(o))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	c, err := mustJob(t, s, "j").Latest(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err = c.RestoreDir(context.Background(), "", dir, nil); err != nil {
		return nil, err
	}
	return readDir(t, dir), nil
}

// claim makes the last entry of HEAD name other bytes, with all that HEAD says of a manifest right, and puts them where it says.
func claim(t *testing.T, mem *memstore.Store, body []byte) {
	t.Helper()
	rewriteHead(t, mem, "j", func(h *format.Head) {
		r := h.Retained[len(h.Retained)-1]
		sum := format.Sum(body)
		r.ManifestSize, r.ManifestCrc32C, r.ManifestHash, h.LastBody = uint64(len(body)), format.CRC32C(body), sum[:], nil
		put(t, mem, format.ManifestKey("j", r.Id, r.ManifestNonce), body)
	})
}

// TestSwappedSealedManifests: who can write to the bucket and has no key has HEAD name other manifests, with every figure of theirs right.
// Which job and checkpoint a manifest is of lies inside of it, sealed.
func TestSwappedSealedManifests(t *testing.T) {
	for name, from := range map[string][]string{
		"an older one of the job":                  {"j/manifests/", "-000000000001-"},
		"one of another job":                       {"other/manifests/", "-000000000001-"},
		"one of another job, with the same number": {"other/manifests/", "-000000000002-"},
	} {
		t.Run(name, func(t *testing.T) {
			mem, k := sealedJobs(t)
			_, body := object(t, mem, from...)
			claim(t, mem, body)
			_, err := latestOf(t, mem, &Options{Keeper: k})
			if e := wantKind(t, err, ErrCorrupt); !strings.Contains(e.Error(), "the manifest is of job") {
				t.Errorf("found by something else: %v", e)
			}
		})
	}
}

// TestSwappedHeads: the HEAD of another job names manifests that are not there.
func TestSwappedHeads(t *testing.T) {
	mem, k := sealedJobs(t)
	_, head := object(t, mem, "other/HEAD")
	put(t, mem, "j/HEAD", head)
	got, err := latestOf(t, mem, &Options{Keeper: k})
	wantKind(t, err, ErrCorrupt)
	if got != nil {
		t.Errorf("restored %v", got)
	}
}

// TestRollback is what encryption does not prevent, as docs/security.md says: an older HEAD is a good one. Whoever holds the job notices at the
// next commit, and what is newer is not overwritten in silence.
func TestRollback(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	k := newTestKeeper(1)
	s := openSealed(t, mem, k)
	o := mustAcquire(t, s, nil)
	mustCommit(t, mustBegin(t, o, files{"a": []byte("first")}))
	_, old := object(t, mem, "j/HEAD")
	mustCommit(t, mustBegin(t, o, files{"a": []byte("second")}))
	put(t, mem, "j/HEAD", old)
	got, err := latestOf(t, mem, &Options{Keeper: k})
	if err != nil || string(got["a"]) != "first" {
		t.Errorf("a process that knows nothing restores %q, %v: if this is found out now, docs/security.md has to say so", got["a"], err)
	}
	_, err = mustBegin(t, o, files{"a": []byte("third")}).Commit(ctx)
	if e := wantKind(t, err, ErrCorrupt); !strings.Contains(e.Error(), "put back") || e.Hint == "" {
		t.Errorf("the owner is told %v (hint %q)", e, e.Hint)
	}
	if info := mustCommit(t, mustBegin(t, mustAcquire(t, s, nil), files{"a": []byte("fourth")})); info.Checkpoint != 2 {
		t.Errorf("who acquires the job anew goes on with checkpoint %d", info.Checkpoint)
	}
}

// TestPutInTheClear: in the place of an encrypted state somebody without the key puts one of their own, as a job that never was encrypted.
func TestPutInTheClear(t *testing.T) {
	mem, k := sealedJobs(t)
	evil := memstore.New()
	mustSave(t, openMem(t, evil), "j", files{"a": []byte("evil")})
	for _, key := range evil.Keys() {
		body, _, err := evil.Get(context.Background(), key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		put(t, mem, key, body)
	}
	got, err := latestOf(t, mem, &Options{Keeper: k})
	if err != nil || string(got["a"]) != "evil" {
		t.Errorf("restored %q, %v: if this is found out without EncryptedOnly now, its documentation has to say so", got["a"], err)
	}
	_, err = latestOf(t, mem, &Options{Keeper: k, EncryptedOnly: true})
	if e := wantKind(t, err, ErrCorrupt); e.Hint == "" || !strings.Contains(e.Error(), "not encrypted") {
		t.Errorf("%v (hint %q)", e, e.Hint)
	}
	honest, k := sealedJobs(t)
	if got, err := latestOf(t, honest, &Options{Keeper: k, EncryptedOnly: true}); err != nil || string(got["a"]) != "second" {
		t.Errorf("restored %q, %v", got["a"], err)
	}
	_, err = Open(context.Background(), "mem://", &Options{EncryptedOnly: true})
	wantKind(t, err, ErrInvalid)
}

// TestRepairAdoptsNothingInTheClear: a HEAD that is lost is made from the manifests that are there. Of those that anybody could have made, none
// is taken where only what is encrypted is believed.
func TestRepairAdoptsNothingInTheClear(t *testing.T) {
	ctx := context.Background()
	for _, only := range []bool{false, true} {
		mem, k := sealedJobs(t)
		evil := memstore.New()
		for range 3 { // the last one would be the newest
			mustSave(t, openMem(t, evil), "j", files{"a": []byte("evil")})
		}
		key, body := object(t, evil, "j/manifests/", "-000000000003-")
		put(t, mem, key, body)
		if err := mem.Peer().Delete(ctx, "j/HEAD"); err != nil {
			t.Fatal(err)
		}
		o := &Options{Keeper: k, EncryptedOnly: only}
		s, err := newStore(mem.Peer(), false, withDefaults(o))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mustJob(t, s, "j").Repair(ctx, nil); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "evil", true: "second"}[only]
		if got, err := latestOf(t, mem, o); err != nil || string(got["a"]) != want {
			t.Errorf("EncryptedOnly %v: restored %q, %v, want %q", only, got["a"], err, want)
		}
	}
}
