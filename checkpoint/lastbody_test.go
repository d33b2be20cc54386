package checkpoint

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// asked returns what run asks of a store by a connection, and caches, of its own.
func asked(t *testing.T, mem *memstore.Store, run func(s *Store)) string {
	t.Helper()
	peer := mem.Peer()
	var ops []string
	peer.SetFault(func(op memstore.Op) memstore.Outcome {
		dir, _, _ := strings.Cut(strings.TrimPrefix(op.Key, "j/"), "/")
		ops = append(ops, op.Method+" "+dir)
		return memstore.OK
	})
	run(openMem(t, peer))
	return strings.Join(ops, ", ")
}

func TestLatestIsOneRequest(t *testing.T) {
	ctx := context.Background()
	small := files{"a": []byte("1"), "b": noise(2, 30_000)}
	for _, tc := range []struct {
		name                          string
		state                         files
		show, restore, verify, commit string
	}{
		{"small", small, "get HEAD", "get HEAD", "get HEAD, get manifests, list manifests, list data, range manifests", "get HEAD, list manifests, put manifests, put HEAD"},
		{"manifest too large for HEAD", files{"a": noise(1, format.MaxLastBody)}, "get HEAD, get manifests", "get HEAD, get manifests, range manifests",
			"get HEAD, get manifests, list manifests, list data, range manifests", ""},
		{"pack of its own", files{"a": noise(1, embedLimit+1)}, "get HEAD", "get HEAD, range data, range data", "", "get HEAD, list manifests, put data, put manifests, put HEAD"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := memstore.New()
			if got := asked(t, mem, func(s *Store) { mustSave(t, s, "j", tc.state) }); tc.commit != "" && got != tc.commit {
				t.Errorf("the save asked for %s", got)
			}
			show := func(s *Store) {
				if _, err := mustFind(t, mustJob(t, s, "j"), "latest").Parts(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if got := asked(t, mem, show); got != tc.show {
				t.Errorf("show asked for %s", got)
			}
			restore := func(s *Store) {
				dir := filepath.Join(t.TempDir(), "d")
				if _, err := mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(ctx, "", dir, nil); err != nil {
					t.Fatal(err)
				}
				if d := tc.state.diff(readDir(t, dir)); d != "" {
					t.Error(d)
				}
			}
			if got := asked(t, mem, restore); got != tc.restore {
				t.Errorf("the restore asked for %s", got)
			}
			verify := func(s *Store) {
				if r, err := mustJob(t, s, "j").Verify(ctx, &VerifyOptions{Data: true}); err != nil || !r.OK() {
					t.Fatal(err, r.Problems)
				}
			}
			// The copy in HEAD says nothing of the object, which is what older readers and the next base will need.
			if got := asked(t, mem, verify); tc.verify != "" && got != tc.verify {
				t.Errorf("verify asked for %s", got)
			}
		})
	}
}

// An incremental save on a small checkpoint needs nothing but HEAD: the base's manifest and tables are in it.
func TestSaveOnSmallBase(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	small := files{"a": []byte("1"), "b": noise(2, 30_000)}
	mustSave(t, s, "j", small)
	if got := asked(t, mem, func(s *Store) { mustSave(t, s, "j", small) }); got != "get HEAD, put manifests, put HEAD" {
		t.Errorf("the save asked for %s", got)
	}
}

// Whoever writes HEAD carries the copy along, and drops it with the checkpoint.
func TestLastBodyFollowsHead(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, memstore.New())
	j := mustJob(t, s, "j")
	body := func() []byte {
		at, err := j.readHead(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return at.head.LastBody
	}
	mustSave(t, s, "j", files{"a": []byte("1")})
	mustSave(t, s, "j", files{"a": []byte("2")})
	first := body()
	if len(first) == 0 {
		t.Fatal("HEAD carries no manifest")
	}
	steps := map[string]func() error{
		"tag":     func() error { _, err := j.Tag(ctx, "1", "t"); return err },
		"untag":   func() error { _, err := j.Untag(ctx, "t"); return err },
		"retain":  func() error { _, err := j.Retain(ctx, Retention{KeepLast: 1}, false); return err },
		"acquire": func() error { _, err := s.Acquire(ctx, "j", nil); return err },
		"pin":     func() error { _, err := mustFind(t, j, "latest").Pin(ctx, "me", maxLease); return err },
	}
	for _, name := range []string{"tag", "untag", "retain", "pin", "acquire"} {
		if err := steps[name](); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(body(), first) {
			t.Errorf("%s changed the copy", name)
		}
	}
	mustSave(t, s, "j", files{"a": []byte("3")})
	if len(body()) == 0 || bytes.Equal(body(), first) {
		t.Error("a save did not replace the copy")
	}
	mustSave(t, s, "j", files{"a": noise(1, format.MaxLastBody)})
	if len(body()) != 0 {
		t.Error("a save with a large manifest left a copy of another")
	}
	mustSave(t, s, "j", files{"a": []byte("4")})
	if err := j.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if len(body()) != 0 {
		t.Error("a removed job has a manifest")
	}
	mustSave(t, s, "j", files{"a": []byte("5")})
	if d := (files{"a": []byte("5")}).diff(restored(t, mustFind(t, j, "latest"))); d != "" {
		t.Error(d)
	}
}
