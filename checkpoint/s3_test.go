package checkpoint_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/emulator"
)

const (
	s3ID     = "GOOG1EXAMPLE"
	s3Secret = "bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ"
)

// s3Cloud is an encrypted S3 server, and a client that trusts it and reaches it under every name.
func s3Cloud(t *testing.T, google bool) (*emulator.Storage, *httptest.Server, *http.Client) {
	t.Helper()
	h := emulator.NewStorage(&emulator.StorageOptions{S3: &emulator.S3Options{Keys: map[string]string{s3ID: s3Secret}, Google: google}})
	if err := h.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept-Encoding", r.Header.Get("Accept-Encoding")+",gzip(gfe)") // as Google's front end does
		h.ServeHTTP(w, r)
	}))
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
		},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
		_ = h.Close()
	})
	return h, srv, &http.Client{Transport: transport}
}

// s3Environment leaves a process nothing but these keys.
func s3Environment(t *testing.T, id, secret string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
}

func openS3(t *testing.T, storeURL string, client *http.Client) *checkpoint.Store {
	t.Helper()
	s, err := checkpoint.Open(t.Context(), storeURL, &checkpoint.Options{HTTPClient: client, RetryFor: time.Second})
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

// s3URL is the store on Google's endpoint, or on the server's own.
func s3URL(srv *httptest.Server, google bool) string {
	if google {
		return "s3://acme/flows?endpoint=" + url.QueryEscape("https://storage.googleapis.com") + "&region=auto"
	}
	return "s3://acme/flows?endpoint=" + url.QueryEscape(srv.URL)
}

// The whole life of a job on S3, and on Google Cloud Storage by HMAC keys.
func TestS3WholePath(t *testing.T) {
	for name, google := range map[string]bool{"Google": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s3Environment(t, s3ID, s3Secret)
			h, srv, client := s3Cloud(t, google)
			store := openS3(t, s3URL(srv, google), client)
			owner, err := store.Acquire(ctx, "orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := owner.Latest(ctx); !errors.Is(err, checkpoint.ErrNotFound) {
				t.Fatalf("latest of a new job: %v", err)
			}
			dir := t.TempDir()
			for _, body := range []string{"one", "two", strings.Repeat("three", 100_000)} {
				if err := os.WriteFile(filepath.Join(dir, "state"), []byte(body), 0o600); err != nil {
					t.Fatal(err)
				}
				w, err := owner.Begin(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.AddDir("db", dir); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Commit(ctx); err != nil {
					t.Fatal(err)
				}
			}
			job, err := openS3(t, s3URL(srv, google), client).Job("orders")
			if err != nil {
				t.Fatal(err)
			}
			last, err := job.Latest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			if _, err := last.RestoreDir(ctx, "db", out, nil); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(out, "state")); err != nil || string(b) != strings.Repeat("three", 100_000) {
				t.Errorf("restored %d bytes, %v", len(b), err)
			}
			before := len(h.Objects("acme"))
			if _, err := job.Retain(ctx, checkpoint.Retention{KeepLast: 1}, false); err != nil {
				t.Fatal(err)
			}
			if gone, err := job.Collect(ctx, nil); err != nil || gone.DeletedObjects == 0 || len(h.Objects("acme")) != before-int(gone.DeletedObjects) {
				t.Errorf("collected %+v of %d, %v", gone, before, err)
			}
			if report, err := job.Verify(ctx, &checkpoint.VerifyOptions{Data: true}); err != nil || !report.OK() {
				t.Errorf("verify: %+v, %v", report, err)
			}
			if _, err := store.Acquire(ctx, "orders", nil); err != nil { // fences the first owner
				t.Fatal(err)
			}
			w, err := owner.Begin(ctx, nil)
			if err == nil {
				_, err = w.Commit(ctx)
			}
			if !errors.Is(err, checkpoint.ErrFenced) {
				t.Errorf("a fenced owner: %v", err)
			}
		})
	}
}

// A store that ignores conditions is refused before a job comes into being in it: here Google's, taken for somebody else's.
func TestS3WithoutConditionsIsRefused(t *testing.T) {
	s3Environment(t, s3ID, s3Secret)
	h, srv, client := s3Cloud(t, true)
	_, err := openS3(t, s3URL(srv, false), client).Acquire(t.Context(), "orders", nil)
	if !errors.Is(err, checkpoint.ErrUnsupported) || !strings.Contains(err.Error(), "create-if-absent") {
		t.Errorf("%v", err)
	}
	if left := h.Objects("acme"); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

func TestS3KeysThatAreWrong(t *testing.T) {
	for name, google := range map[string]bool{"Google": true, "plain": false} {
		_, srv, client := s3Cloud(t, google)
		for what, env := range map[string][2]string{"secret": {s3ID, "wrong"}, "id": {"GOOG1NOBODY", s3Secret}, "no keys": {"", ""}} {
			s3Environment(t, env[0], env[1])
			job, err := openS3(t, s3URL(srv, google), client).Job("orders")
			if err != nil {
				t.Fatal(err)
			}
			_, err = job.Latest(t.Context())
			var e *checkpoint.Error
			if !errors.Is(err, checkpoint.ErrCredentials) || !errors.As(err, &e) || e.Hint == "" || strings.Contains(e.Error(), s3Secret) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}
