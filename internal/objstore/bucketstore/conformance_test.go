package bucketstore

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/emulator/fakegcs"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

// server is what both storage servers offer.
type server interface {
	http.Handler
	CreateBucket(name string) error
	Close() error
}

func strict(*testing.T) server { return emulator.NewStorage(nil) }

func fake(t *testing.T) server {
	s, err := fakegcs.New(func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs the suite on two servers that know nothing of each other.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name string
		new  func(*testing.T) server
		gaps map[string]string // what the server is known to get wrong, and why
	}{
		{"emulator", strict, nil},
		{"fake-gcs-server", fake, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &Options{Prefix: "some/prefix"}
			storetest.Run(t, func(t *testing.T) objstore.Store { return open(t, c.new(t), o) }, &storetest.Options{
				Gaps: c.gaps,
				Address: func(objstore.Store) string {
					return place{Service: "gcs", Endpoint: o.Endpoint, Bucket: "acme", Prefix: o.Prefix}.address()
				},
			})
		})
	}
}

// TestOwnBucketConformance runs it on a bucket as a user opens it: the client's defaults, XML reads, a prefix of theirs.
func TestOwnBucketConformance(t *testing.T) {
	at := place{Service: "gcs", Bucket: "acme", Prefix: "theirs/ours"}
	storetest.Run(t, func(t *testing.T) objstore.Store {
		url, transport := serve(t, strict(t))
		at.Endpoint = url
		s, err := New(ownBucket(t, transport, url, "theirs/"), &Options{Prefix: "ours/"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, &storetest.Options{Address: func(objstore.Store) string { return at.address() }})
}

// serve lets h, with the bucket "acme", listen on loopback.
func serve(t *testing.T, h server) (url string, transport *http.Transport) {
	t.Helper()
	if err := h.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	transport = &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv.URL, transport
}

func open(t *testing.T, h server, o *Options) *Store {
	t.Helper()
	url, transport := serve(t, h)
	o.Endpoint = url
	s, err := OpenGCS(t.Context(), &http.Client{Transport: transport}, "acme", o)
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

// lossy loses the replies of the first uploads, after the server has carried them out.
type lossy struct {
	http.RoundTripper
	lose int
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodPost || l.lose == 0 {
		return resp, err
	}
	l.lose--
	return nil, errors.Join(errors.New("the reply was lost"), resp.Body.Close())
}

// TestLostReplies: the write that is repeated meets its own success.
func TestLostReplies(t *testing.T) {
	h := emulator.NewStorage(nil)
	url, transport := serve(t, h)
	wire := &lossy{transport, 2}
	s, err := OpenGCS(t.Context(), &http.Client{Transport: wire}, "acme", &Options{Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	r := objstore.NewRetrying(s, nil)
	var m objstore.Meter
	if err := r.Create(objstore.WithMeter(t.Context(), &m), "pack", []byte("bytes")); err != nil {
		t.Fatal(err)
	}
	// The second upload's 412 is lost too; the third one's is settled by a look at the object.
	if got, want := m.Snapshot(), (objstore.Requests{Put: 3, Head: 1, Retries: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if objects := h.Objects("acme"); len(objects) != 1 || objects[0].CRC32C != objstore.CRC32C([]byte("bytes")) {
		t.Errorf("%+v", objects)
	}
	wire.lose = 1
	_, err = r.Swap(t.Context(), "HEAD", []byte("nonce"), objstore.Absent)
	if !objstore.Unknown(err) {
		t.Errorf("an unknown outcome is called known: %v", err)
	}
	if body, _, err := r.Get(t.Context(), "HEAD", 10); err != nil || string(body) != "nonce" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestRefusalsOfTheEmulator checks the classifier against words that somebody else wrote after GCS's documentation.
func TestRefusalsOfTheEmulator(t *testing.T) {
	forbid := false
	h := emulator.NewStorage(&emulator.StorageOptions{
		Forbid: func(string, string, string) (string, bool) { return "", forbid },
	})
	s := open(t, h, &Options{})
	if _, err := s.Put(t.Context(), "k", []byte("xyz"), objstore.Absent); err != nil {
		t.Fatal(err)
	}
	forbid = true
	for op, permission := range map[string]string{
		"get": "storage.objects.get", "range": "storage.objects.get", "stat": "storage.objects.get", "put": "storage.objects.create",
		"delete": "storage.objects.delete", "list": "storage.objects.list", "dirs": "storage.objects.list",
	} {
		err := everyOp(t.Context(), s)[op]
		var e *objstore.Error
		if !errors.As(err, &e) || e.Kind != objstore.KindPermission || e.Permission != permission {
			t.Errorf("%s: %v, want a refusal of %s", op, err, permission)
		}
	}
}

func TestMissingBucketOfTheEmulator(t *testing.T) {
	url, transport := serve(t, strict(t))
	s, err := OpenGCS(t.Context(), &http.Client{Transport: transport}, "nobodys", &Options{Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for op, err := range everyOp(t.Context(), s) {
		if objstore.KindOf(err) != objstore.KindInvalid {
			t.Errorf("%s in a bucket that does not exist: %v", op, err)
		}
	}
}
