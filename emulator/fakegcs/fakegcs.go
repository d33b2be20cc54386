// Package fakegcs puts fake-gcs-server, the field's usual fake of Google Cloud Storage, behind the door of the emulator:
// the same bearer-token check, faults, request log and address. It is a second reading of the storage protocol, written
// by others, and hides other bugs than the emulator's own server does.
//
// Use [Start] first; it is emulator.Start with this server inside.
//
// Its limits, measured on v1.56.1: preconditions on delete, copy, compose and read are ignored, checksums of many-chunk
// uploads are not checked, listings with delimiter and pages are wrong, one stalled upload blocks every other request,
// and each request costs time in proportion to the number of objects. So compare contents, stall on the
// emulator's own server, and measure no client against this one.
package fakegcs

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/tidemark-go/tidemark/emulator"
)

// publicHost is the name under which fake-gcs-server serves the XML API: a name of its own, because the address that
// clients use is not known when it is made.
const publicHost = "storage.googleapis.com"

// Server is a fake-gcs-server in memory, an http.Handler.
type Server struct {
	authorize func(bearer string) error
	fake      *fakestorage.Server
	handler   http.Handler
}

// New returns an empty server. authorize decides on the bearer token of every request; the empty
// string is a request without one. Nil: all pass.
func New(authorize func(bearer string) error) (*Server, error) {
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true,
		PublicHost: publicHost,
	})
	if err != nil {
		return nil, fmt.Errorf("fakegcs: start fake-gcs-server in memory: %w", err)
	}
	return &Server{authorize: authorize, fake: fake, handler: fake.HTTPHandler()}, nil
}

// Start runs a cloud whose storage server is fake-gcs-server until the test ends. opts may be nil; its Storage and
// StorageHandler are not used.
func Start(t emulator.TB, opts *emulator.Options) *emulator.Cloud {
	t.Helper()
	o, err := inPlace(opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return emulator.Start(t, o)
}

// Listen is Start for programs that are no tests: it runs until Close.
func Listen(ctx context.Context, opts *emulator.Options) (*emulator.Cloud, error) {
	o, err := inPlace(opts)
	if err != nil {
		return nil, err
	}
	return emulator.Listen(ctx, o)
}

// inPlace puts a new server in the place of the emulator's own.
func inPlace(opts *emulator.Options) (*emulator.Options, error) {
	s, err := New(nil)
	if err != nil {
		return nil, err
	}
	var o emulator.Options
	if opts != nil {
		o = *opts
	}
	o.StorageHandler = func(authorize func(string) error) http.Handler {
		s.authorize = authorize
		return s
	}
	return &o, nil
}

// CreateBucket creates an empty bucket; one that exists is left as it is.
func (s *Server) CreateBucket(name string) error {
	s.fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: name})
	return nil
}

// Close ends the server. Objects in memory are lost.
func (s *Server) Close() error {
	s.fake.Stop()
	return nil
}

func (s *Server) check(bearer string) error {
	if s.authorize == nil {
		return nil
	}
	return s.authorize(bearer)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := s.check(bearer); err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if isXML(r.URL.Path) {
		r = r.WithContext(r.Context())
		r.Host = publicHost
	}
	s.handler.ServeHTTP(w, r)
}

// isXML tells a path-style XML request, /bucket/object, which fake-gcs-server knows by its host alone. The others keep
// their host, from which it makes the URLs of resumable uploads.
func isXML(path string) bool {
	for _, prefix := range []string{"/storage/v1/", "/upload/", "/download/storage/", "/batch/", "/_internal/"} {
		if strings.HasPrefix(path, prefix) {
			return false
		}
	}
	return true
}
