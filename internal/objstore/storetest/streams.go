package storetest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// streams holds what OpenRange delivers against ReadRange's promises.
func streams(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	st, ok := s.(objstore.Streamer)
	if !ok {
		t.Fatal("the store is no Streamer")
	}
	body := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(body)
	put(t, ctx, s, "r", string(body), objstore.Absent)
	read := func(key string, off, n int64) ([]byte, error) {
		r, err := st.OpenRange(ctx, key, off, n)
		if err != nil {
			return nil, err
		}
		defer func() { _ = r.Close() }()
		return io.ReadAll(r)
	}
	for _, c := range []struct {
		off, n int64
		want   objstore.Kind
	}{
		{0, 3 << 20, 0}, {0, 1, 0}, {3<<20 - 1, 1, 0}, {777_777, 1_000_000, 0},
		{0, 3<<20 + 1, objstore.KindCorrupt}, {3 << 20, 1, objstore.KindCorrupt}, {1 << 40, 5, objstore.KindCorrupt},
		{-1, 1, objstore.KindInvalid}, {0, 0, objstore.KindInvalid},
	} {
		got, err := read("r", c.off, c.n)
		if objstore.KindOf(err) != c.want {
			t.Errorf("[%d, +%d): %v, want %v", c.off, c.n, err, c.want)
		}
		if c.want == 0 && !bytes.Equal(got, body[c.off:][:c.n]) {
			t.Errorf("[%d, +%d): %d other bytes, %v", c.off, c.n, len(got), err)
		}
	}
	_, err := read("none", 0, 1)
	wantKind(t, err, objstore.KindNotFound)

	ended, cancel := context.WithCancel(ctx)
	r, err := st.OpenRange(ended, "r", 0, 3<<20)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); err == nil && n < 3<<20 {
		t.Errorf("a stream whose context ended stops after %d bytes as if that were all", n)
	}
	_ = r.Close() // may say again that the context ended
	// What was not read to its end does not block what comes after.
	if got, err := read("r", 5, 10); err != nil || !bytes.Equal(got, body[5:15]) {
		t.Errorf("after an abandoned stream: %v", err)
	}
}
