package bucketstore

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// interposed answers the first request by itself, then lets the emulator serve, and notes which connections were used when.
type interposed struct {
	next  http.Handler
	first http.HandlerFunc

	mu    sync.Mutex
	conns []string
}

func (i *interposed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.conns = append(i.conns, r.RemoteAddr)
	first := len(i.conns) == 1 && i.first != nil
	i.mu.Unlock()
	if first {
		i.first(w, r)
		return
	}
	i.next.ServeHTTP(w, r)
}

// reset lets the next request be answered by first.
func (i *interposed) reset(first http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conns, i.first = nil, first
}

func (i *interposed) used() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.conns
}

func poisons() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"a proxy's page": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", html)
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, page)
		},
		"a captive portal's page": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", html)
			_, _ = io.WriteString(w, page)
		},
		"a proxy's idea of absence": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", html)
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, nginx)
		},
		"a reset in the answer": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet { // of a write to S3 the headers are the answer
				w.Header().Set("ETag", `"x"`)
			}
			w.Header().Set("X-Goog-Generation", "7")
			w.Header().Set("Content-Range", "bytes 0-3/4")
			w.Header().Set("Content-Length", "4")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "b")
			_ = http.NewResponseController(w).Flush()
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	}
}

// TestPoisonedConnectionsAreNotReused: after an answer that was not the store's, or not whole, the same request goes out over another
// connection and succeeds. A good answer keeps its connection.
func TestPoisonedConnectionsAreNotReused(t *testing.T) {
	server := emulator.NewStorage(&emulator.StorageOptions{AutoCreate: true, S3: &emulator.S3Options{Keys: map[string]string{keyID: secret}}})
	between := &interposed{next: server}
	srv := httptest.NewServer(between)
	t.Cleanup(func() {
		srv.Close()
		_ = server.Close()
	})
	gcs, err := OpenGCS(t.Context(), nil, "acme", &Options{Endpoint: srv.URL, Prefix: "gcs"})
	if err != nil {
		t.Fatal(err)
	}
	s3, err := OpenS3(t.Context(), nil, "acme", &S3Options{Endpoint: srv.URL, Prefix: "s3", Credentials: keys(secret)})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]objstore.Store{"GCS": gcs, "S3": s3} {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		if _, err := s.Put(t.Context(), "k", []byte("body"), objstore.Absent); err != nil {
			t.Fatal(err)
		}
		ops := map[string]func(ctx context.Context) error{
			"get":   func(ctx context.Context) error { _, _, err := s.Get(ctx, "k", 10); return err },
			"range": func(ctx context.Context) error { return s.ReadRange(ctx, "k", 0, make([]byte, 4)) },
			"put": func(ctx context.Context) error {
				_, err := s.Put(ctx, "HEAD", []byte("nonce"), objstore.Absent)
				if err == nil {
					err = s.Delete(ctx, "HEAD")
				}
				return err
			},
			"list": func(ctx context.Context) error {
				for _, err := range s.List(ctx, "") {
					return err
				}
				return nil
			},
		}
		for op, run := range ops {
			for poison, first := range poisons() {
				between.reset(first)
				if err := run(t.Context()); objstore.KindOf(err) != objstore.KindUnavailable {
					t.Errorf("%s, %s: %s: %v", name, poison, op, err)
				}
				if err := run(t.Context()); err != nil {
					t.Errorf("%s, after %s: %s: %v", name, poison, op, err)
				}
				used := between.used()
				for _, later := range used[1:] {
					if later == used[0] {
						t.Errorf("%s, after %s: %s went over the same connection", name, poison, op)
					}
				}
			}
			between.reset(nil)
			for range 3 {
				if err := run(t.Context()); err != nil {
					t.Errorf("%s: %s: %v", name, op, err)
				}
			}
			for _, conn := range between.used() {
				if conn != between.used()[0] {
					t.Errorf("%s: %s: a connection was given up after a good answer", name, op)
				}
			}
		}
	}
}
