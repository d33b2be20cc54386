package bucketstore

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// halfway answers as all three services would, and stops in the middle of a body: of the one that it reads or the one that it writes.
type halfway struct {
	reached chan struct{}
	over    chan struct{} // the client has given up
	size    int
}

func (h halfway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		for name, value := range map[string]string{
			"ETag": `"e"`, "X-Ms-Version": azureVersion, "X-Goog-Generation": "7", "Content-Length": strconv.Itoa(h.size),
		} {
			w.Header().Set(name, value)
		}
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes 0-"+strconv.Itoa(h.size-1)+"/"+strconv.Itoa(h.size))
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(make([]byte, h.size/2))
		_ = http.NewResponseController(w).Flush()
		h.reached <- struct{}{}
		<-r.Context().Done() // the connection is gone
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, int64(h.size/2))
	h.reached <- struct{}{}
	<-h.over
	_, _ = io.Copy(io.Discard, r.Body) // up to where the client gave up
}

// TestCancelledInMidBody: whoever gives up while bytes are under way is told why at once.
func TestCancelledInMidBody(t *testing.T) {
	const size = 64 << 20 // more than what lies in buffers on the way
	h := halfway{make(chan struct{}), make(chan struct{}), size}
	srv := httptest.NewServer(h)
	defer srv.Close()
	body := make([]byte, size)
	because := errors.New("because of the test")
	for _, service := range []string{"gcs", "s3", "azure"} {
		s, err := place{Service: service, Endpoint: srv.URL, Bucket: "acme"}.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for op, call := range map[string]func(context.Context) error{
			"put": func(ctx context.Context) error {
				_, err := s.Put(ctx, "k", body, objstore.Absent)
				return err
			},
			"get":   func(ctx context.Context) error { _, _, err := s.Get(ctx, "k", size); return err },
			"range": func(ctx context.Context) error { return s.ReadRange(ctx, "k", 0, make([]byte, size)) },
			"stream": func(ctx context.Context) error {
				r, err := s.(objstore.Streamer).OpenRange(ctx, "k", 0, size)
				if err != nil {
					return err
				}
				defer func() { _ = r.Close() }()
				_, err = io.Copy(io.Discard, r)
				return err
			},
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			said := make(chan error, 1)
			go func() { said <- call(ctx) }()
			<-h.reached
			cancel(because)
			err := <-said
			var e *objstore.Error
			if !errors.As(err, &e) || !errors.Is(err, context.Canceled) || !errors.Is(err, because) {
				t.Errorf("%s, %s: %v, want context.Canceled and its cause", service, op, err)
			}
			if op != "put" {
				continue
			}
			h.over <- struct{}{}
			if !objstore.Unknown(err) {
				t.Errorf("%s: a write that ended midway counts as settled: %v", service, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
