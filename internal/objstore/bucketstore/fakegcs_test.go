package bucketstore

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

// fakeGCSGaps are what fake-gcs-server is known to get wrong.
var fakeGCSGaps = map[string]string{}

func TestFakeGCSConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objstore.Store {
		server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "b"})
		return openServer(t, server.HTTPHandler(), "some/prefix")
	}, &storetest.Options{Gaps: fakeGCSGaps})
}

// openServer opens bucket b of a storage server through a loopback connection.
func openServer(t *testing.T, h http.Handler, prefix string) *Store {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	s, err := OpenGCS(t.Context(), &http.Client{Transport: transport}, "b", &Options{Prefix: prefix, Endpoint: srv.URL})
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
