package emulator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

const testBucket = "bucket-1"

// newTestStorage serves a storage server with one bucket.
func newTestStorage(t testing.TB, opts *StorageOptions) (*Storage, *httptest.Server) {
	t.Helper()
	s := NewStorage(opts)
	if err := s.CreateBucket(testBucket); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, srv
}

// bearer sends a token, or none if it is empty.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.base.RoundTrip(r)
}

// newHTTPClient makes a client whose connections do not outlive the test.
func newHTTPClient(t testing.TB, token string) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: &bearer{token, transport}}
}

func newTestClient(t testing.TB, srv *httptest.Server, opts ...option.ClientOption) *storage.Client {
	t.Helper()
	opts = append([]option.ClientOption{
		option.WithEndpoint(srv.URL + "/storage/v1/"), option.WithHTTPClient(newHTTPClient(t, "token")),
	}, opts...)
	client, err := storage.NewClient(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	client.SetRetry(storage.WithPolicy(storage.RetryNever))
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// noise is n bytes that differ everywhere.
func noise(n int) []byte {
	b := make([]byte, 0, n+sha256.Size)
	sum := sha256.Sum256([]byte("pattern"))
	for len(b) < n {
		sum = sha256.Sum256(sum[:])
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func put(ctx context.Context, o *storage.ObjectHandle, body []byte, chunkSize int) (*storage.ObjectAttrs, error) {
	w := o.NewWriter(ctx)
	w.ChunkSize = chunkSize
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return w.Attrs(), nil
}

func mustPut(t testing.TB, o *storage.ObjectHandle, body []byte) *storage.ObjectAttrs {
	t.Helper()
	attrs, err := put(t.Context(), o, body, 0)
	if err != nil {
		t.Fatalf("put %s: %v", o.ObjectName(), err)
	}
	return attrs
}

func get(ctx context.Context, o *storage.ObjectHandle, off, n int64) ([]byte, *storage.Reader, error) {
	r, err := o.NewRangeReader(ctx, off, n)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(r)
	return body, r, errors.Join(err, r.Close())
}

// wantStatus fails unless err is an answer of that status, and returns the answer.
func wantStatus(t testing.TB, err error, status int) *googleapi.Error {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) || e.Code != status {
		t.Fatalf("error = %v, want status %d", err, status)
	}
	return e
}

func TestStorageRoundTrips(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	for _, api := range []struct {
		name string
		opts []option.ClientOption
	}{{"xml", nil}, {"json", []option.ClientOption{storage.WithJSONReads()}}} {
		client := newTestClient(t, srv, api.opts...)
		for _, c := range []struct {
			name            string
			size, chunkSize int
		}{
			{"empty", 0, 0},
			{"byte", 1, 0},
			{"small", 1000, 0},
			{"at the small limit", smallBody, 0},
			{"past the small limit", smallBody + 1, 0},
			{"several segments", 9<<20 + 17, 0},
			{"one chunk", 100_000, 1 << 20},
			{"empty in chunks", 0, 256 << 10},
			{"many chunks", 5<<20 + 3, 256 << 10},
			{"many whole chunks", 4 << 20, 256 << 10},
		} {
			t.Run(api.name+"/"+c.name, func(t *testing.T) {
				body := noise(c.size)
				o := client.Bucket(testBucket).Object(api.name + "/" + c.name)
				attrs, err := put(t.Context(), o, body, c.chunkSize)
				if err != nil {
					t.Fatal(err)
				}
				got, r, err := get(t.Context(), o, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, body) {
					t.Errorf("read %d bytes that differ from the %d written", len(got), len(body))
				}
				if r.Attrs.Generation != attrs.Generation || r.Attrs.CRC32C != attrs.CRC32C || r.Attrs.Size != int64(c.size) {
					t.Errorf("reader says %+v, writer %+v", r.Attrs, attrs)
				}
			})
		}
	}
	var sum int64
	for _, o := range s.Objects(testBucket) {
		sum += o.Size
	}
	if used := s.memory.used.Load(); used != sum {
		t.Errorf("budget counts %d bytes, the objects have %d", used, sum)
	}
}

func TestStorageObjectNames(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	names := []string{
		"a", "a/b/c", "/leading", "trailing/", "a//b", "with space", "100%", "%2F", "a%2Fb", "a+b", "a?b#c&d=e", "ünïcödé/日本語/🌊",
		"a:b;c,d", "quote\"'<>", "..", "../../etc/passwd", "./x", "\x01\x7f", "compose", "o/b/acl", strings.Repeat("n", 1024),
	}
	for _, opts := range [][]option.ClientOption{nil, {storage.WithJSONReads()}} {
		client := newTestClient(t, srv, opts...)
		for _, name := range names {
			o := client.Bucket(testBucket).Object(name)
			_, err := put(t.Context(), o, []byte(name), 0)
			if name == ".." {
				wantStatus(t, err, http.StatusBadRequest)
				continue
			}
			if err != nil {
				t.Errorf("put %q: %v", name, err)
				continue
			}
			if got, _, err := get(t.Context(), o, 0, -1); err != nil || string(got) != name {
				t.Errorf("get %q: %q, %v", name, got, err)
			}
			if attrs, err := o.Attrs(t.Context()); err != nil || attrs.Name != name {
				t.Errorf("attributes of %q: %+v, %v", name, attrs, err)
			}
			if err := o.Delete(t.Context()); err != nil {
				t.Errorf("delete %q: %v", name, err)
			}
		}
	}
	if left := s.Objects(testBucket); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	client := newTestClient(t, srv)
	for _, name := range []string{"a\nb", "a\rb", strings.Repeat("n", 1025)} {
		_, err := put(t.Context(), client.Bucket(testBucket).Object(name), nil, 0)
		wantStatus(t, err, http.StatusBadRequest)
	}
}

// roundTrip is a transport in a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func withHTTP(client *http.Client) option.ClientOption { return option.WithHTTPClient(client) }
