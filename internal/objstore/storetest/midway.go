package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// cancelledMidway ends calls at many moments of their way. A write is applied whole or not at all, a read delivers all or an error, and the
// store is none the worse for it.
func cancelledMidway(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	body := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(body)
	because := errors.New("because of the test")
	told := func(op string, err error) {
		t.Helper()
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, because) {
			t.Errorf("%s: %v, want context.DeadlineExceeded and its cause", op, err)
		}
	}
	for i := range 12 {
		key := fmt.Sprintf("m/%d", i)
		moment := time.Duration(i*i) * 200 * time.Microsecond
		short, cancel := context.WithTimeoutCause(ctx, moment, because)
		_, err := s.Put(short, key, body, objstore.Absent)
		cancel()
		if err != nil {
			told("put", err)
		}
		// What a cancelled write left behind may still be on its way. Whichever comes first is there, whole.
		_, again := s.Put(ctx, key, body[:1<<20], objstore.Absent)
		if again != nil {
			wantKind(t, again, objstore.KindPrecondition)
		}
		got, _, readErr := s.Get(ctx, key, int64(len(body)))
		if readErr != nil {
			t.Fatal(readErr)
		}
		first := bytes.Equal(got, body)
		if !first && !bytes.Equal(got, body[:1<<20]) {
			t.Errorf("%d bytes are stored of a write that ended midway", len(got))
		}
		if err == nil && !first || again == nil && first {
			t.Errorf("two creations of one object succeeded: %v, %v", err, again)
		}
		short, cancel = context.WithTimeoutCause(ctx, moment, because)
		got, _, err = s.Get(short, key, int64(len(body)))
		cancel()
		if err != nil {
			told("get", err)
		} else if !first && len(got) != 1<<20 || first && !bytes.Equal(got, body) {
			t.Errorf("a read delivers %d bytes", len(got))
		}
	}
}

// cancelledStream ends a stream when a part of it was read.
func cancelledStream(t *testing.T, parent context.Context, s objstore.Store, _ Options) {
	body := make([]byte, 17<<20) // more than what lies in buffers on the way
	_, _ = rand.NewChaCha8([32]byte{4}).Read(body)
	put(t, parent, s, "s", string(body), objstore.Absent)
	because := errors.New("because of the test")
	for _, after := range []int{0, 1, 1 << 20} {
		ctx, cancel := context.WithCancelCause(parent)
		r, err := s.(objstore.Streamer).OpenRange(ctx, "s", 0, int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, after, len(body))
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		cancel(because)
		rest, err := io.ReadAll(r)
		if got = append(got, rest...); !bytes.Equal(got, body[:len(got)]) {
			t.Error("other bytes are read than were put")
		}
		// A store that has the bytes at hand may deliver them all.
		if len(got) < len(body) && (!errors.Is(err, context.Canceled) || !errors.Is(err, because)) {
			t.Errorf("after %d of %d bytes: %v, want context.Canceled and its cause", len(got), len(body), err)
		}
		_ = r.Close() // may say again that the context ended
	}
}
