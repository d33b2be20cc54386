package bucketstore

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

const (
	keyID  = "GOOG1EXAMPLE"
	secret = "bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ"
)

func keys(secret string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(keyID, secret, "")
}

// front is what stands before Google's servers: it adds to Accept-Encoding whatever the client had signed.
func front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("Accept-Encoding"); v != "" {
			r.Header.Set("Accept-Encoding", v+",gzip(gfe)")
		}
		next.ServeHTTP(w, r)
	})
}

// s3Server lets an emulator with the bucket "acme" listen, encrypted, and returns a client whose every connection leads there: the
// endpoint may be Google's.
func s3Server(t *testing.T, o emulator.StorageOptions, wrap func(http.Handler) http.Handler) (*emulator.Storage, *httptest.Server, *http.Client) {
	t.Helper()
	h := emulator.NewStorage(&o)
	if err := h.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(wrap(h))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that a client dialled and did not need
	srv.StartTLS()
	transport := behind(srv, place{}).transport()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, srv, &http.Client{Transport: transport}
}

// behind is p where srv answers, under whatever name.
func behind(srv *httptest.Server, p place) place {
	p.Dial = srv.Listener.Addr().String()
	p.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return p
}

// s3Mode is one of the two kinds of server.
type s3Mode struct {
	endpoint string // empty for the test server's
	google   bool
	wrap     func(http.Handler) http.Handler
}

var s3Modes = map[string]s3Mode{
	"Google": {"https://storage.googleapis.com", true, front},
	"plain":  {"", false, func(h http.Handler) http.Handler { return h }},
}

func openS3(t *testing.T, m s3Mode, o emulator.StorageOptions) (*emulator.Storage, *S3) {
	t.Helper()
	h, s, _ := placeS3(t, m, o)
	return h, s
}

func placeS3(t *testing.T, m s3Mode, o emulator.StorageOptions) (*emulator.Storage, *S3, place) {
	t.Helper()
	o.S3 = &emulator.S3Options{Keys: map[string]string{keyID: secret}, Google: m.google}
	h, srv, client := s3Server(t, o, m.wrap)
	endpoint := m.endpoint
	if endpoint == "" {
		endpoint = srv.URL
	}
	at := behind(srv, place{Service: "s3", Endpoint: endpoint, Bucket: "acme", Prefix: "some/prefix"})
	s, err := at.open(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, s.(*S3), at
}

func TestS3Conformance(t *testing.T) {
	for name, m := range s3Modes {
		t.Run(name, func(t *testing.T) {
			var at place
			storetest.Run(t, func(t *testing.T) objstore.Store {
				var s *S3
				_, s, at = placeS3(t, m, emulator.StorageOptions{})
				return s
			}, &storetest.Options{Address: func(objstore.Store) string { return at.address() }})
		})
	}
}

// Without TLS it is the signature that protects the body.
func TestS3PlainHTTPConformance(t *testing.T) {
	at := place{Service: "s3", Bucket: "acme"}
	storetest.Run(t, func(t *testing.T) objstore.Store {
		h := emulator.NewStorage(&emulator.StorageOptions{S3: &emulator.S3Options{Keys: map[string]string{keyID: secret}}})
		if err := h.CreateBucket("acme"); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		at.Endpoint = srv.URL
		s, err := at.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}, &storetest.Options{Address: func(objstore.Store) string { return at.address() }})
}

// TestS3ProbeRefusesIgnoredConditions: a server that ignores what it does not know must be refused, not believed.
func TestS3ProbeRefusesIgnoredConditions(t *testing.T) {
	// Google's server, taken for a plain one: it ignores If-None-Match and If-Match on writes.
	m := s3Modes["Google"]
	m.endpoint = ""
	_, s := openS3(t, m, emulator.StorageOptions{})
	err := objstore.Probe(t.Context(), s, "probe")
	if objstore.KindOf(err) != objstore.KindUnsupported {
		t.Errorf("%v", err)
	}
}

func TestS3WrongKeysAreRefused(t *testing.T) {
	for name, m := range s3Modes {
		_, s := openS3(t, m, emulator.StorageOptions{})
		for what, provider := range map[string]aws.CredentialsProvider{
			"secret": keys("not" + secret), "id": credentials.NewStaticCredentialsProvider("GOOG1NOBODY", secret, ""),
		} {
			s.creds = provider
			for op, err := range s3Ops(t.Context(), s) {
				if objstore.KindOf(err) != objstore.KindCredentials {
					t.Errorf("%s: wrong %s: %s: %v", name, what, op, err)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%s: %s shows the secret: %v", name, op, err)
				}
			}
		}
	}
}

func s3Ops(ctx context.Context, s *S3) map[string]error {
	_, _, getErr := s.Get(ctx, "k", 100)
	_, putErr := s.Put(ctx, "k", []byte("body"), objstore.Absent)
	_, statErr := s.Stat(ctx, "k")
	ops := map[string]error{
		"get": getErr, "put": putErr, "stat": statErr, "range": s.ReadRange(ctx, "k", 0, make([]byte, 1)), "delete": s.Delete(ctx, "k"),
	}
	for _, err := range s.List(ctx, "") {
		ops["list"] = err
	}
	for _, err := range s.Dirs(ctx, "") {
		ops["dirs"] = err
	}
	return ops
}

func TestS3RefusalsNameThePermission(t *testing.T) {
	for name, m := range s3Modes {
		forbid := false
		_, s := openS3(t, m, emulator.StorageOptions{Forbid: func(string, string, string) (string, bool) { return "", forbid }})
		if _, err := s.Put(t.Context(), "k", []byte("xyz"), objstore.Absent); err != nil {
			t.Fatal(err)
		}
		forbid = true
		want := map[string]string{"get": "s3:GetObject", "range": "s3:GetObject", "stat": "s3:GetObject", "put": "s3:PutObject",
			"delete": "s3:DeleteObject", "list": "s3:ListBucket", "dirs": "s3:ListBucket"}
		if m.google {
			want = map[string]string{"get": "storage.objects.get", "range": "storage.objects.get", "stat": "storage.objects.get",
				"put": "storage.objects.create", "delete": "storage.objects.delete", "list": "storage.objects.list", "dirs": "storage.objects.list"}
		}
		ops := s3Ops(t.Context(), s)
		for op, permission := range want {
			var e *objstore.Error
			if !errors.As(ops[op], &e) || e.Kind != objstore.KindPermission || e.Permission != permission || e.Principal == "" {
				t.Errorf("%s: %s: %v, want a refusal of %s", name, op, ops[op], permission)
			}
		}
	}
}

func TestS3MissingBucket(t *testing.T) {
	for name, m := range s3Modes {
		_, s := openS3(t, m, emulator.StorageOptions{})
		s.base.Path = "/nobodys"
		for op, err := range s3Ops(t.Context(), s) {
			if objstore.KindOf(err) != objstore.KindInvalid || !strings.Contains(err.Error(), "bucket") {
				t.Errorf("%s: %s in a bucket that does not exist: %v", name, op, err)
			}
		}
	}
}

// TestS3LostReplies: the write that is repeated meets its own success.
func TestS3LostReplies(t *testing.T) {
	for name, m := range s3Modes {
		h, s := openS3(t, m, emulator.StorageOptions{})
		wire, lose := s.client.Transport, 2
		s.client.Transport = roundTripperRaw(func(r *http.Request) (*http.Response, error) {
			resp, err := wire.RoundTrip(r)
			if err != nil || r.Method != http.MethodPut || lose == 0 {
				return resp, err
			}
			lose--
			return nil, errors.Join(errors.New("the reply was lost"), resp.Body.Close())
		})
		r := objstore.NewRetrying(s, nil)
		var meter objstore.Meter
		if err := r.Create(objstore.WithMeter(t.Context(), &meter), "pack", []byte("bytes")); err != nil {
			t.Fatal(err)
		}
		if got, want := meter.Snapshot(), (objstore.Requests{Put: 3, Head: 1, Retries: 2}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if objects := h.Objects("acme"); len(objects) != 1 || objects[0].CRC32C != objstore.CRC32C([]byte("bytes")) {
			t.Errorf("%s: %+v", name, objects)
		}
	}
}
