package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

func createOnce(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	version := put(t, ctx, s, "k", "first", objstore.Absent)
	for _, body := range []string{"second", "first", ""} {
		_, err := s.Put(ctx, "k", []byte(body), objstore.Absent)
		wantKind(t, err, objstore.KindPrecondition)
	}
	if body, v := get(t, ctx, s, "k"); body != "first" || v != version {
		t.Errorf("%q at %q, want the first writer's at %q", body, v, version)
	}
}

// race has n writers write at once, each its own body, and returns who succeeded, with which version. Bodies differ from
// those of every other race on the key, as those of HEAD do: to write what is there already may keep the version.
func race(t *testing.T, ctx context.Context, s objstore.Store, key string, n int, cond objstore.Version) map[string]objstore.Version {
	t.Helper()
	var mu sync.Mutex
	won := map[string]objstore.Version{}
	start := make(chan struct{})
	var writers sync.WaitGroup
	for i := range n {
		writers.Go(func() {
			body := fmt.Sprintf("writer %d after %q %s", i, cond, strings.Repeat("x", i*100))
			<-start
			v, err := s.Put(ctx, key, []byte(body), cond)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won[body] = v
			} else if objstore.KindOf(err) != objstore.KindPrecondition {
				t.Errorf("a loser was told %v", err)
			}
		})
	}
	close(start)
	writers.Wait()
	return won
}

func oneWinner(t *testing.T, ctx context.Context, s objstore.Store, key string, won map[string]objstore.Version) objstore.Version {
	t.Helper()
	if len(won) != 1 {
		t.Fatalf("%d writers were told that they won", len(won))
	}
	body, version := get(t, ctx, s, key)
	if v, ok := won[body]; !ok || v != version {
		t.Fatalf("%q at %q is stored, but %v won", body, version, won)
	}
	return version
}

func createRace(t *testing.T, ctx context.Context, s objstore.Store, o Options) {
	for round := range 5 {
		key := fmt.Sprintf("race/%d/k", round)
		oneWinner(t, ctx, s, key, race(t, ctx, s, key, o.Racers, objstore.Absent))
	}
}

func swapRace(t *testing.T, ctx context.Context, s objstore.Store, o Options) {
	version := put(t, ctx, s, "job/HEAD", "start", objstore.Absent)
	for range 5 {
		next := oneWinner(t, ctx, s, "job/HEAD", race(t, ctx, s, "job/HEAD", o.Racers, version))
		if next == version {
			t.Fatalf("version %q stayed through a write", version)
		}
		version = next
	}
}

func swap(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	first := put(t, ctx, s, "HEAD", "1", objstore.Absent)
	second := put(t, ctx, s, "HEAD", "2", first)
	for _, stale := range []objstore.Version{first, objstore.Absent} {
		_, err := s.Put(ctx, "HEAD", []byte("stale"), stale)
		wantKind(t, err, objstore.KindPrecondition)
	}
	_, err := s.Put(ctx, "other", []byte("x"), second)
	wantKind(t, err, objstore.KindPrecondition)
	if body, v := get(t, ctx, s, "HEAD"); body != "2" || v != second {
		t.Errorf("%q at %q, want 2 at %q", body, v, second)
	}
	put(t, ctx, s, "HEAD", "3", second)
}

func swapDeleted(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	version := put(t, ctx, s, "job/HEAD", "1", objstore.Absent)
	if err := s.Delete(ctx, "job/HEAD"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(ctx, "job/HEAD", []byte("2"), version)
	wantKind(t, err, objstore.KindPrecondition)
	_, err = s.Stat(ctx, "job/HEAD")
	wantKind(t, err, objstore.KindNotFound)
	put(t, ctx, s, "job/HEAD", "3", objstore.Absent)
}

// swapDeleteRace: whichever of a swap and a deletion comes first, nothing is left; a swap must not revive the object.
func swapDeleteRace(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	for round := range 50 {
		key := fmt.Sprintf("race/%d/HEAD", round)
		version := put(t, ctx, s, key, "1", objstore.Absent)
		start := make(chan struct{})
		var racers sync.WaitGroup
		for i := range 4 {
			racers.Go(func() {
				<-start
				_, err := s.Put(ctx, key, fmt.Appendf(nil, "swap %d", i), version)
				if err != nil && objstore.KindOf(err) != objstore.KindPrecondition {
					t.Error(err)
				}
			})
		}
		racers.Go(func() {
			<-start
			if err := s.Delete(ctx, key); err != nil {
				t.Error(err)
			}
		})
		close(start)
		racers.Wait()
		if _, err := s.Stat(ctx, key); objstore.KindOf(err) != objstore.KindNotFound {
			t.Fatalf("round %d: a deleted object was revived (%v)", round, err)
		}
	}
}

// versionsNeverReturn writes one key again and again, with deletions between.
func versionsNeverReturn(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	seen := map[objstore.Version]bool{}
	for round := range 5 {
		v := objstore.Absent
		for i := range 4 {
			v = put(t, ctx, s, "HEAD", fmt.Sprint(round, i), v)
			if seen[v] {
				t.Fatalf("version %q was another state before", v)
			}
			seen[v] = true
		}
		if err := s.Delete(ctx, "HEAD"); err != nil {
			t.Fatal(err)
		}
	}
}

// readersSeeWholeObjects reads while a writer swaps: each read is one version's bytes under that version.
func readersSeeWholeObjects(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	body := func(i int) string { return strings.Repeat(fmt.Sprintf("%04d", i), 1000*(1+i%3)) }
	version := put(t, ctx, s, "HEAD", body(0), objstore.Absent)
	written := map[objstore.Version]string{version: body(0)}
	type read struct {
		body    string
		version objstore.Version
	}
	var reads []read
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			b, v, err := s.Get(ctx, "HEAD", 1<<20)
			if errors.Is(err, context.Canceled) {
				return
			}
			if err != nil {
				t.Errorf("a read during writes: %v", err)
				return
			}
			reads = append(reads, read{string(b), v})
		}
	})
	for i := 1; i <= 30; i++ {
		version = put(t, ctx, s, "HEAD", body(i), version)
		written[version] = body(i)
	}
	cancel()
	reader.Wait()
	for _, r := range reads {
		if want, ok := written[r.version]; !ok || want != r.body {
			t.Fatalf("version %q was read with %d bytes that are not what was written", r.version, len(r.body))
		}
	}
}
