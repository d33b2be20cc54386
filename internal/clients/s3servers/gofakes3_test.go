package s3servers

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

// fake serves a gofakes3 with an empty bucket, behind what wrap makes of it. It believes every signature.
func fake(t *testing.T, wrap func(http.Handler) http.Handler) place {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	h := gofakes3.New(backend).Server()
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return place{srv.URL, "acme", keyID, secret}
}

func TestGofakes3Conformance(t *testing.T) {
	var at place
	storetest.Run(t, func(t *testing.T) objstore.Store {
		at = fake(t, nil)
		return at.opened(t)
	}, &storetest.Options{Address: func(objstore.Store) string { return at.address() }})
}
