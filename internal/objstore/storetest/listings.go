package storetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

func list(t *testing.T, ctx context.Context, s objstore.Store, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range s.List(ctx, prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func listDirs(t *testing.T, ctx context.Context, s objstore.Store, prefix string) []string {
	t.Helper()
	var keys []string
	for key, err := range s.Dirs(ctx, prefix) {
		if err != nil {
			t.Fatalf("dirs %q: %v", prefix, err)
		}
		keys = append(keys, key)
	}
	return keys
}

func fill(t *testing.T, ctx context.Context, s objstore.Store, keys []string) {
	t.Helper()
	work := make(chan string)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for key := range work {
				if _, err := s.Put(ctx, key, []byte(key), objstore.Absent); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	writers.Wait()
}

// listOrder has keys whose order in a directory tree differs from the order of their bytes: "-" and "." sort before "/", "0" after.
func listOrder(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	if got := list(t, ctx, s, ""); len(got) != 0 {
		t.Fatalf("an empty store lists %q", got)
	}
	keys := []string{
		"a!", "a-b", "a.b", "a.c/d", "a/b", "a/b-c", "a/b.c/x", "a0/x-", "aa/z", "b%", "b%41/x", "b/c-", "c/c/c/c", "c/c/c-c", "Z", "é", "z/é/ü", "日",
	}
	fill(t, ctx, s, keys)
	slices.Sort(keys)
	if got := list(t, ctx, s, ""); !slices.Equal(got, keys) {
		t.Errorf("listed %q\nwant   %q", got, keys)
	}
}

func listPrefix(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	keys := []string{"job-1/HEAD", "job-1/data/1", "job-10/HEAD", "job-2/HEAD", "job-2/data/11", "job-2/data/12", "job-2/data/2/x"}
	fill(t, ctx, s, keys)
	for prefix, want := range map[string][]string{
		"job-1": keys[:3], "job-1/": keys[:2], "job-2/data/1": keys[4:6], "job-2/data/2": keys[6:], "job-2/data/2/": keys[6:],
		"job-2/HEAD": {"job-2/HEAD"}, "job-2/HEAD/": nil, "job-3": nil, "j": keys, "none/": nil, "job-2/data/2/x/": nil,
	} {
		if got := list(t, ctx, s, prefix); !slices.Equal(got, want) {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
	}
	for info, err := range s.List(ctx, "job-1/d") {
		if err != nil {
			t.Fatal(err)
		}
		_, version := get(t, ctx, s, info.Key)
		checkInfo(t, info, "job-1/data/1", "job-1/data/1", version)
	}
}

func listPages(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	var keys []string
	for i := range 1100 {
		keys = append(keys, fmt.Sprintf("p/%05d", i))
	}
	fill(t, ctx, s, append(slices.Clone(keys), "o", "q"))
	if got := list(t, ctx, s, "p/"); !slices.Equal(got, keys) {
		t.Errorf("%d keys, want %d in order", len(got), len(keys))
	}
	n := 0
	for _, err := range s.List(ctx, "p/") { // whoever stops early leaves nothing behind
		if n++; err != nil || n == 3 {
			break
		}
	}
	type resumer interface {
		ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error]
	}
	if r, ok := s.(resumer); ok {
		for _, from := range []int{0, 998, 999, 1000, 1098, 1099} {
			n := from
			for info, err := range r.ListAfter(ctx, "p/", keys[from]) {
				if n++; err != nil || info.Key != keys[n] {
					t.Fatalf("after %s: %v, %v", keys[from], info, err)
				}
			}
			if n != len(keys)-1 {
				t.Errorf("after %s: %d keys", keys[from], n-from)
			}
		}
	}
	t.Run("DuringWrites", func(t *testing.T) { listDuringWrites(t, ctx, s, keys) })
}

// listDuringWrites lists p/, which is these keys on two pages, while others write and delete: what was there before the listing began and stays is in it, what
// was gone before is not, and everything else is something that somebody wrote.
func listDuringWrites(t *testing.T, ctx context.Context, s objstore.Store, stay []string) {
	const churners = 4
	var (
		mu    sync.Mutex
		there = map[string]bool{} // acknowledged, and no deletion has begun
		gone  = map[string]bool{} // the deletion is acknowledged
	)
	churning, stop := context.WithCancel(ctx)
	var writers sync.WaitGroup
	for w := range churners {
		writers.Go(func() {
			for i := 0; churning.Err() == nil; i++ {
				key := fmt.Sprintf("%s-%d-%d", stay[(i*37+w*251)%len(stay)], w, i)
				if _, err := s.Put(ctx, key, []byte(key), objstore.Absent); err != nil {
					t.Errorf("put during listings: %v", err)
					return
				}
				mu.Lock()
				there[key] = true
				mu.Unlock()
				if i%2 == 0 {
					continue
				}
				mu.Lock()
				delete(there, key)
				mu.Unlock()
				if err := s.Delete(ctx, key); err != nil {
					t.Errorf("delete during listings: %v", err)
					return
				}
				mu.Lock()
				gone[key] = true
				mu.Unlock()
			}
		})
	}
	defer func() {
		stop()
		writers.Wait()
	}()
	snapshot := func(of map[string]bool) []string {
		mu.Lock()
		defer mu.Unlock()
		keys := make([]string, 0, len(of))
		for key := range of {
			keys = append(keys, key)
		}
		return keys
	}
	for n := 0; n < 6 || len(snapshot(there))+len(snapshot(gone)) < 40; n++ { // a quick store lists before anybody has written
		before, mustNot := snapshot(there), snapshot(gone)
		got := list(t, ctx, s, "p/")
		must := slices.DeleteFunc(before, func(key string) bool { // whose deletion began meanwhile
			mu.Lock()
			defer mu.Unlock()
			return !there[key]
		})
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Error("a listing is out of order, or has a key twice")
		}
		for _, key := range append(must, stay...) {
			if _, listed := slices.BinarySearch(got, key); !listed {
				t.Errorf("%s was there before the listing began, and is not in it", key)
			}
		}
		for _, key := range mustNot {
			if _, listed := slices.BinarySearch(got, key); listed {
				t.Errorf("%s was gone before the listing began, and is in it", key)
			}
		}
		if t.Failed() {
			break
		}
	}
	stop()
	writers.Wait()
	if want := append(snapshot(there), stay...); !t.Failed() {
		slices.Sort(want)
		if got := list(t, ctx, s, "p/"); !slices.Equal(got, want) {
			t.Errorf("in the end %d keys are listed, %d are there", len(got), len(want))
		}
	}
}

// listConsistent checks a listing right after each change.
func listConsistent(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	for i := range 20 {
		key := fmt.Sprintf("c/%d/x", i)
		put(t, ctx, s, key, "x", objstore.Absent)
		if got := list(t, ctx, s, "c/"); !slices.Equal(got, []string{key}) {
			t.Fatalf("right after the put: %q", got)
		}
		if err := s.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if got := list(t, ctx, s, "c/"); len(got) != 0 {
			t.Fatalf("right after the deletion: %q", got)
		}
		if got := listDirs(t, ctx, s, "c/"); len(got) != 0 {
			t.Fatalf("directories right after the deletion: %q", got)
		}
	}
}

func dirs(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	fill(t, ctx, s, []string{"a/1", "a/2/3", "a-b/x", "b", "c/d/e/f", "c/d/e/g", "c/h", "cc/i"})
	for prefix, want := range map[string][]string{
		"": {"a-b/", "a/", "c/", "cc/"}, "a": {"a-b/", "a/"}, "a/": {"a/2/"}, "c": {"c/", "cc/"}, "c/": {"c/d/"}, "c/d/": {"c/d/e/"}, "b": nil, "none/": nil,
	} {
		if got := listDirs(t, ctx, s, prefix); !slices.Equal(got, want) {
			t.Errorf("dirs of %q: %q, want %q", prefix, got, want)
		}
	}
}

func dirsPages(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	var keys, want []string
	for i := range 1010 {
		keys = append(keys, fmt.Sprintf("j/%04d/HEAD", i))
		if i%100 == 0 {
			keys = append(keys, fmt.Sprintf("j/%04d/m", i))
		}
		want = append(want, fmt.Sprintf("j/%04d/", i))
	}
	fill(t, ctx, s, keys)
	if got := listDirs(t, ctx, s, "j/"); !slices.Equal(got, want) {
		t.Errorf("%d directories, want %d in order", len(got), len(want))
	}
}
