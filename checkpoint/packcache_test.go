package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// cachedState is several packs' worth of blocks, with tables of its own.
var cachedState = files{"a": noise(1, 3<<20), "sub/b": noise(2, 5<<20), "c": bytes.Repeat([]byte("find this content. "), 30_000), "small": []byte("x")}

// packReads counts the reads of packs on a connection.
func packReads(mem *memstore.Store) *atomic.Int64 {
	n := new(atomic.Int64)
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		if op.Method == "range" && strings.Contains(op.Key, "/data/") {
			n.Add(1)
		}
		return memstore.OK
	})
	return n
}

func openCached(t testing.TB, mem *memstore.Store, c PackCache) *Store {
	t.Helper()
	s, err := newStore(mem, false, withDefaults(&Options{MemoryBudget: smallBudget, PackCache: c}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// restoresWith restores by a new process with the cache, compares, and returns how many reads of packs it took.
func restoresWith(t testing.TB, mem *memstore.Store, c PackCache, want files) int64 {
	t.Helper()
	peer := mem.Peer()
	n := packReads(peer)
	got := restored(t, mustFind(t, mustJob(t, openCached(t, peer, c), "j"), "latest"))
	if d := want.diff(got); d != "" {
		t.Fatal(d)
	}
	return n.Load()
}

func blocksIn(t testing.TB, dir string) (names []string, size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		i, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names, size = append(names, filepath.Join(dir, e.Name())), size+i.Size()
	}
	return names, size
}

func cacheDir(t testing.TB) PackCache {
	return PackCache{Dir: filepath.Join(t.TempDir(), "state", "packs")}
}

func TestRestoreFromPackCache(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	mustSave(t, openMem(t, mem), "j", cachedState)
	if n := restoresWith(t, mem, cache, cachedState); n == 0 {
		t.Fatal("nothing was read of the store: the test shows nothing")
	}
	if n := restoresWith(t, mem, cache, cachedState); n != 0 {
		t.Errorf("%d reads of packs by the second restore", n)
	}
	if info, err := os.Stat(cache.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}

	// What changed is fetched, what did not is not.
	next := files{"a": cachedState["a"], "sub/b": cachedState["sub/b"], "c": cachedState["c"], "small": noise(9, 600_000)}
	mustSave(t, openMem(t, mem), "j", next)
	_, before := blocksIn(t, cache.Dir)
	if n := restoresWith(t, mem, cache, next); n == 0 {
		t.Error("nothing was read for what changed")
	}
	if _, after := blocksIn(t, cache.Dir); after-before > 600_000+4*cacheBlock {
		t.Errorf("%d bytes were fetched for 600,000 that changed", after-before)
	}
}

// What is damaged, cut or gone in the cache is fetched anew, and is right again for the next.
func TestPackCacheIsNotBelieved(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	mustSave(t, openMem(t, mem), "j", cachedState)
	restoresWith(t, mem, cache, cachedState)
	for name, damage := range map[string]func(path string, b []byte) error{
		"flipped": func(path string, b []byte) error { b[len(b)/2]++; return os.WriteFile(path, b, 0o600) },
		"zeros":   func(path string, b []byte) error { return os.WriteFile(path, make([]byte, len(b)), 0o600) },
		"cut":     func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/2], 0o600) },
		"longer":  func(path string, b []byte) error { return os.WriteFile(path, append(b, 0), 0o600) },
		"gone":    func(path string, _ []byte) error { return os.Remove(path) },
		"a directory": func(path string, _ []byte) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			names, _ := blocksIn(t, cache.Dir)
			for _, path := range names {
				b, err := os.ReadFile(path)
				if err == nil {
					err = damage(path, b)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if n := restoresWith(t, mem, cache, cachedState); n == 0 {
				t.Error("nothing was fetched")
			}
			if name == "a directory" { // whoever put it there has to take it away
				if err := os.RemoveAll(cache.Dir); err != nil {
					t.Fatal(err)
				}
			} else if n := restoresWith(t, mem, cache, cachedState); n != 0 {
				t.Errorf("%d reads of packs once the cache was mended", n)
			}
			restoresWith(t, mem, cache, cachedState)
		})
	}
}

func TestPackCacheIsBounded(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	cache.MaxBytes = 2 << 20
	mustSave(t, openMem(t, mem), "j", cachedState)
	for range 2 {
		restoresWith(t, mem, cache, cachedState)
		if _, size := blocksIn(t, cache.Dir); size > cache.MaxBytes || size < cache.MaxBytes/2 {
			t.Errorf("%d bytes are kept, at most %d should be", size, cache.MaxBytes)
		}
	}
	cache.MaxBytes = 1 << 20 // a process that may keep less takes what is too much away
	restoresWith(t, mem, cache, cachedState)
	if _, size := blocksIn(t, cache.Dir); size > cache.MaxBytes {
		t.Errorf("%d bytes are kept, at most %d should be", size, cache.MaxBytes)
	}
}

// A disk on which nothing can be written costs reads of the store, and nothing else.
func TestPackCacheWithoutADisk(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	mustSave(t, openMem(t, mem), "j", cachedState)
	s := openCached(t, mem.Peer(), cache)
	if err := os.RemoveAll(cache.Dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if d := cachedState.diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
			t.Fatal(d)
		}
	}
}

// A directory is used by several at once, who restore all of it, and read at random.
func TestPackCacheIsShared(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	cache.MaxBytes = 3 << 20
	mustSave(t, openMem(t, mem), "j", cachedState)
	var wg sync.WaitGroup
	for i := range 4 {
		c := mustFind(t, mustJob(t, openCached(t, mem.Peer(), cache), "j"), "latest")
		wg.Go(func() {
			if err := readAtRandom(c, uint64(i)); err != nil {
				t.Error(err)
			}
		})
		dir := t.TempDir()
		wg.Go(func() {
			if _, err := c.RestoreDir(context.Background(), "", filepath.Join(dir, "x"), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func readAtRandom(c *Checkpoint, seed uint64) error {
	r, err := c.Open(context.Background(), "sub/b")
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	want := cachedState["sub/b"]
	for range 50 {
		off := rnd.IntN(len(want))
		b := make([]byte, rnd.IntN(100_000))
		n, err := r.ReadAt(b, int64(off))
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(err, r.Close())
		}
		if !bytes.Equal(b[:n], want[off:off+n]) {
			return errors.Join(fmt.Errorf("wrong bytes from %d on", off), r.Close())
		}
	}
	return r.Close()
}

// Verification is about the store, whatever the cache has; a restore that the cache can serve does not meet the store's damage.
func TestVerifyReadsPastThePackCache(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	mustSave(t, openMem(t, mem), "j", cachedState)
	restoresWith(t, mem, cache, cachedState)
	a := archiveOf(t, mem)
	for key, b := range a {
		if strings.Contains(key, "/data/") {
			b[len(b)/2]++
		}
	}
	rotten := a.mem(t)
	if n := restoresWith(t, rotten, cache, cachedState); n != 0 {
		t.Errorf("%d reads of packs", n)
	}
	peer := rotten.Peer()
	reads := packReads(peer)
	report, err := mustJob(t, openCached(t, peer, cache), "j").Verify(context.Background(), &VerifyOptions{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) == 0 || reads.Load() == 0 {
		t.Errorf("verification saw the cache, not the store: %d reads, %v", reads.Load(), report.Problems)
	}
}

func TestPackCacheKeepsSecrets(t *testing.T) {
	mem, cache := memstore.New(), cacheDir(t)
	k := newTestKeeper(1)
	mustSave(t, openSealed(t, mem, k), "j", secretState)
	s, err := newStore(mem.Peer(), false, withDefaults(&Options{Keeper: k, PackCache: cache}))
	if err != nil {
		t.Fatal(err)
	}
	if d := secretState.diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
		t.Fatal(d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := blocksIn(t, cache.Dir)
	if len(names) == 0 {
		t.Fatal("nothing is kept: the test shows nothing")
	}
	for _, path := range names {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, path, b, "find this content", "hidden-name", string(secretState["hidden-name/noise"][:64]))
	}
}

func TestPackCacheRefused(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cache PackCache
		says  string
	}{
		{PackCache{Dir: open}, "open to other users"},
		{PackCache{Dir: file}, file},
		{PackCache{Dir: filepath.Join(file, "below")}, file},
		{PackCache{Dir: t.TempDir(), MaxBytes: -1}, "-1"},
	} {
		_, err := newStore(memstore.New(), false, withDefaults(&Options{PackCache: tt.cache}))
		if e := wantKind(t, err, ErrInvalid); !strings.Contains(err.Error(), tt.says) || e.Hint == "" {
			t.Errorf("%+v: %v", tt.cache, err)
		}
	}
}
