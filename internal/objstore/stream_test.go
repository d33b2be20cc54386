package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// flaky is a store whose streams break: each delivers at most cut bytes, then says fail (nil: ends early), or hangs.
type flaky struct {
	objstore.Store
	cut  int64
	fail error
	hang bool
}

func (f *flaky) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := f.Store.(objstore.Streamer).OpenRange(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	return &flakyBody{r, f, ctx, f.cut}, nil
}

type flakyBody struct {
	io.ReadCloser
	f    *flaky
	ctx  context.Context
	left int64
}

func (b *flakyBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		switch {
		case b.f.hang:
			<-b.ctx.Done()
			return 0, objstore.ContextError(b.ctx, "range", "k")
		case b.f.fail != nil:
			return 0, b.f.fail
		}
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func TestStreamResumes(t *testing.T) {
	body := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	tests := map[string]struct {
		f        flaky
		requests int64
		kind     objstore.Kind
	}{
		"whole":         {flaky{cut: 1 << 20}, 1, 0},
		"breaks":        {flaky{cut: 30_000, fail: &objstore.Error{Kind: objstore.KindUnavailable}}, 3, 0},
		"ends early":    {flaky{cut: 30_000}, 3, 0},
		"throttled":     {flaky{cut: 30_000, fail: &objstore.Error{Kind: objstore.KindThrottled, RetryAfter: time.Minute}}, 3, 0},
		"stalls":        {flaky{cut: 30_000, hang: true}, 3, 0},
		"no progress":   {flaky{fail: &objstore.Error{Kind: objstore.KindUnavailable}}, -1, objstore.KindUnavailable},
		"never answers": {flaky{hang: true}, -1, objstore.KindUnavailable},
		"forbidden":     {flaky{cut: 30_000, fail: &objstore.Error{Kind: objstore.KindPermission}}, 1, objstore.KindPermission},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				if _, err := mem.Put(context.Background(), "k", body, objstore.Absent); err != nil {
					t.Fatal(err)
				}
				tt.f.Store = mem
				var m objstore.Meter
				ctx := objstore.WithMeter(context.Background(), &m)
				s := objstore.NewRetrying(&tt.f, nil).Stream(ctx, "k", 10_000, 80_000)
				if err := s.Open(); err != nil {
					t.Fatal(err) // only reading fails here
				}
				if n := m.Snapshot().Get; n != 1 {
					t.Errorf("opened with %d requests", n)
				}
				got, err := io.ReadAll(s)
				if objstore.KindOf(err) != tt.kind {
					t.Fatalf("error %v, want %v", err, tt.kind)
				}
				if tt.kind == 0 && !bytes.Equal(got, body[10_000:90_000]) {
					t.Errorf("%d other bytes", len(got))
				}
				if n := m.Snapshot().Get; tt.requests >= 0 && n != tt.requests {
					t.Errorf("%d requests, want %d", n, tt.requests)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if _, err := s.Read(make([]byte, 1)); err == nil {
					t.Error("a closed stream reads")
				}
			})
		})
	}
}

// The reader's own time does not count against the store.
func TestSlowReaderOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		if _, err := mem.Put(context.Background(), "k", make([]byte, 10), objstore.Absent); err != nil {
			t.Fatal(err)
		}
		var m objstore.Meter
		s := objstore.NewRetrying(mem, nil).Stream(objstore.WithMeter(context.Background(), &m), "k", 0, 10)
		for range 10 {
			if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if n := m.Snapshot().Get; n != 1 {
			t.Errorf("%d requests", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A stream that cannot be opened is tried again, and says why in the end.
func TestOpenStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := failing(2, kind(objstore.KindUnavailable))
		if _, err := s.Peer().Put(t.Context(), "k", []byte("body"), objstore.Absent); err != nil {
			t.Fatal(err)
		}
		r := objstore.NewRetrying(s, nil)
		st := r.Stream(t.Context(), "k", 0, 4)
		if err := st.Open(); err != nil || s.Requests() != 3 {
			t.Errorf("%v after %d requests", err, s.Requests())
		}
		if b, err := io.ReadAll(st); err != nil || string(b) != "body" || s.Requests() != 3 {
			t.Errorf("%q, %v after %d requests", b, err, s.Requests())
		}
		if err := errors.Join(st.Close(), r.Stream(t.Context(), "k", 0, 4).Close()); err != nil {
			t.Error(err)
		}
		none := r.Stream(t.Context(), "none", 0, 4)
		if err := none.Open(); objstore.KindOf(err) != objstore.KindNotFound {
			t.Errorf("%v", err)
		}
		if _, err := none.Read(make([]byte, 1)); objstore.KindOf(err) != objstore.KindNotFound {
			t.Errorf("read on: %v", err)
		}
	})
}

// The end of the caller's context ends a stream, with that as the reason.
func TestStreamEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		if _, err := mem.Put(context.Background(), "k", make([]byte, 10), objstore.Absent); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		s := objstore.NewRetrying(&flaky{Store: mem, cut: 5, hang: true}, nil).Stream(ctx, "k", 0, 10)
		time.AfterFunc(time.Second, cancel)
		if n, err := io.ReadFull(s, make([]byte, 10)); n != 5 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
