package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

func roundTrip(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	for _, body := range []string{"", "x", "\x00\xff<html>\r\n", strings.Repeat("tide", 100_000)} {
		key := "round/" + string(rune('a'+len(body)%26))
		version := put(t, ctx, s, key, body, objstore.Absent)
		if got, v := get(t, ctx, s, key); got != body || v != version {
			t.Errorf("%d bytes at version %q were put, %d at %q are read", len(body), version, len(got), v)
		}
	}
	_, _, err := s.Get(ctx, "round/none", 10)
	wantKind(t, err, objstore.KindNotFound)
	var e *objstore.Error
	if !errors.As(err, &e) || e.Key != "round/none" || e.Op != "get" {
		t.Errorf("the error does not say what was tried on what: %#v", err)
	}
}

func large(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	body := make([]byte, 17<<20) // more than the storage client's chunk, which must not be used
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	if _, err := s.Put(ctx, "large", body, objstore.Absent); err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Get(ctx, "large", int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, body) {
		t.Error("other bytes are read than were put")
	}
	part := make([]byte, 1<<20)
	if err := s.ReadRange(ctx, "large", 15<<20+7, part); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(part, body[15<<20+7:][:1<<20]) {
		t.Error("the range holds other bytes")
	}
}

func ranges(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	const body = "0123456789"
	put(t, ctx, s, "r", body, objstore.Absent)
	for _, c := range []struct {
		off  int64
		n    int
		want objstore.Kind
	}{
		{0, 10, 0}, {0, 1, 0}, {9, 1, 0}, {3, 4, 0}, {0, 0, 0}, {10, 0, 0},
		{0, 11, objstore.KindCorrupt}, {9, 2, objstore.KindCorrupt}, {10, 1, objstore.KindCorrupt},
		{11, 1, objstore.KindCorrupt}, {1 << 40, 5, objstore.KindCorrupt}, {-1, 1, objstore.KindInvalid},
	} {
		p := bytes.Repeat([]byte{'#'}, c.n)
		err := s.ReadRange(ctx, "r", c.off, p)
		if c.want != 0 {
			if objstore.KindOf(err) != c.want {
				t.Errorf("[%d, +%d): %v, want %v", c.off, c.n, err, c.want)
			}
			continue
		}
		if err != nil || string(p) != body[c.off:][:c.n] {
			t.Errorf("[%d, +%d): %q, %v", c.off, c.n, p, err)
		}
	}
	wantKind(t, s.ReadRange(ctx, "none", 0, make([]byte, 1)), objstore.KindNotFound)
	wantKind(t, s.ReadRange(ctx, "none", 5, make([]byte, 1)), objstore.KindNotFound)
	put(t, ctx, s, "empty", "", objstore.Absent)
	wantKind(t, s.ReadRange(ctx, "empty", 0, make([]byte, 1)), objstore.KindCorrupt)
}

func limit(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	put(t, ctx, s, "ten", "0123456789", objstore.Absent)
	if body, _, err := s.Get(ctx, "ten", 10); err != nil || len(body) != 10 {
		t.Errorf("exactly the limit: %q, %v", body, err)
	}
	_, _, err := s.Get(ctx, "ten", 9)
	wantKind(t, err, objstore.KindTooLarge)
	put(t, ctx, s, "none", "", objstore.Absent)
	if _, _, err := s.Get(ctx, "none", 0); err != nil {
		t.Errorf("an empty object within a limit of 0: %v", err)
	}
}

func stat(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	version := put(t, ctx, s, "a/b", "hello", objstore.Absent)
	info, err := s.Stat(ctx, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	checkInfo(t, info, "a/b", "hello", version)
	_, err = s.Stat(ctx, "a")
	wantKind(t, err, objstore.KindNotFound)
	_, err = s.Stat(ctx, "a/b/c")
	wantKind(t, err, objstore.KindNotFound)
}

func checkInfo(t *testing.T, info objstore.Info, key, body string, version objstore.Version) {
	t.Helper()
	if info.Key != key || info.Size != int64(len(body)) || info.Modified.IsZero() {
		t.Errorf("%+v for %s with %d bytes", info, key, len(body))
	}
	if info.Version != objstore.Absent && info.Version != version {
		t.Errorf("%s: version %q, was put at %q", key, info.Version, version)
	}
	if info.HasCRC32C && info.CRC32C != objstore.CRC32C([]byte(body)) {
		t.Errorf("%s: CRC32C %08x is not that of its bytes", key, info.CRC32C)
	}
}

func remove(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	for range 2 { // idempotent
		if err := s.Delete(ctx, "d/x"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, ctx, s, "d/x", "x", objstore.Absent)
	put(t, ctx, s, "d/y", "y", objstore.Absent)
	if err := s.Delete(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(ctx, "d/x"); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Get(ctx, "d/x", 10)
		wantKind(t, err, objstore.KindNotFound)
	}
	if body, _ := get(t, ctx, s, "d/y"); body != "y" {
		t.Error("a neighbour of the deleted object changed")
	}
}

// removeMany deletes by batches where the store has them; keys that are absent, and names that need escaping, are among them.
func removeMany(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	var keys []string
	for i := range 1005 { // more than the largest batch
		keys = append(keys, fmt.Sprintf("m/%04d", i))
	}
	keys = append(keys, "m/with space", "m/per%41cent", "m/<&>\"'", "m/ü/日本語", "m/+?#;", "m")
	var present []string
	for i, key := range keys {
		if i < 20 || i%50 == 0 || i > 1000 {
			present = append(present, key)
		}
	}
	present = slices.DeleteFunc(present, func(key string) bool { return key == "m" }) // a prefix of the others, and nothing itself
	fill(t, ctx, s, append(slices.Clone(present), "l/before", "m0/after"))
	r := objstore.NewRetrying(s, nil)
	for range 2 { // idempotent
		var m objstore.Meter
		if failed := r.DeleteAll(objstore.WithMeter(ctx, &m), keys); len(failed) != 0 {
			t.Fatalf("%d keys: %v", len(failed), failed)
		}
		if batches := (len(keys) + r.BatchSize() - 1) / r.BatchSize(); m.Snapshot().Delete != int64(batches) {
			t.Errorf("%d requests, want %d", m.Snapshot().Delete, batches)
		}
	}
	if got := list(t, ctx, s, ""); !slices.Equal(got, []string{"l/before", "m0/after"}) {
		t.Errorf("left: %q", got)
	}
	if failed := r.DeleteAll(ctx, []string{"l/before", "bad//key", "l/none"}); len(failed) == 0 || objstore.KindOf(failed["bad//key"]) != objstore.KindInvalid {
		t.Errorf("an invalid key among others: %v", failed)
	}
	if b, ok := s.(objstore.BatchDeleter); ok {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if failed, err := b.DeleteBatch(cancelled, []string{"m0/after", "l/before"}); !errors.Is(err, context.Canceled) && !errors.Is(failed["m0/after"], context.Canceled) {
			t.Errorf("cancelled: %v, %v", failed, err)
		}
	}
	if got := list(t, ctx, s, "m0"); !slices.Equal(got, []string{"m0/after"}) {
		t.Errorf("left: %q", got)
	}
}

func cancelled(t *testing.T, parent context.Context, s objstore.Store, _ Options) {
	put(t, parent, s, "c", "c", objstore.Absent)
	ctx, cancel := context.WithCancelCause(parent)
	because := errors.New("because of the test")
	cancel(because)
	check := func(op string, err error) {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, because) {
			t.Errorf("%s: %v, want context.Canceled and its cause", op, err)
		}
	}
	_, _, err := s.Get(ctx, "c", 1)
	check("get", err)
	check("range", s.ReadRange(ctx, "c", 0, make([]byte, 1)))
	_, err = s.Put(ctx, "new", nil, objstore.Absent)
	check("put", err)
	_, err = s.Stat(ctx, "c")
	check("stat", err)
	check("delete", s.Delete(ctx, "c"))
	for _, err := range s.List(ctx, "") {
		check("list", err)
	}
	for _, err := range s.Dirs(ctx, "") {
		check("dirs", err)
	}
	if got := list(t, parent, s, ""); !slices.Equal(got, []string{"c"}) {
		t.Errorf("cancelled calls left %q", got)
	}
}

func meter(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	var outer, m objstore.Meter
	ctx = objstore.WithMeter(objstore.WithMeter(ctx, &outer), &m)
	put(t, ctx, s, "m/a", "a", objstore.Absent)
	_, err := s.Put(ctx, "m/a", nil, objstore.Absent)
	wantKind(t, err, objstore.KindPrecondition)
	get(t, ctx, s, "m/a")
	if err := s.ReadRange(ctx, "m/a", 0, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, "m/a"); err != nil {
		t.Fatal(err)
	}
	list(t, ctx, s, "m/")
	if err := s.Delete(ctx, "m/a"); err != nil {
		t.Fatal(err)
	}
	want := objstore.Requests{Put: 2, Get: 2, Head: 1, List: 1, Delete: 1}
	if got := m.Snapshot(); got != want || outer.Snapshot() != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func probe(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	if err := objstore.Probe(ctx, s, "probe"); err != nil {
		t.Error(err)
	}
	if got := list(t, ctx, s, ""); len(got) != 0 {
		t.Errorf("the probe left %q", got)
	}
}
