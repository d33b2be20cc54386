package bucketstore_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/bucketstore"
)

// noToken is the transport of a process whose source of tokens refuses it until its caller's time is over.
type noToken struct{ kind string }

func (n noToken) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, noToken{n.kind}
}

func (n noToken) Error() string            { return "metadata server: 8 attempts: HTTP 404" }
func (n noToken) CredentialsError() string { return n.kind }

// Time that was spent waiting for a token must not be reported as a store that does not answer.
func TestDeadlineKeepsTheCredentialsError(t *testing.T) {
	for said, want := range map[string]objstore.Kind{"misconfigured": objstore.KindCredentials, "unavailable": objstore.KindUnavailable} {
		s, err := bucketstore.OpenGCS(t.Context(), &http.Client{Transport: noToken{said}}, "bucket", &bucketstore.Options{Endpoint: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string]func(context.Context) error{
			"get":    func(ctx context.Context) error { _, _, err := s.Get(ctx, "k", 1); return err },
			"put":    func(ctx context.Context) error { _, err := s.Put(ctx, "k", []byte("x"), objstore.Absent); return err },
			"delete": func(ctx context.Context) error { return s.Delete(ctx, "k") },
			"stat":   func(ctx context.Context) error { _, err := s.Stat(ctx, "k"); return err },
			"list": func(ctx context.Context) error {
				for _, err := range s.List(ctx, "p/") {
					return err
				}
				return nil
			},
		}
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			err := call(ctx)
			cancel()
			if objstore.KindOf(err) != want || !strings.Contains(err.Error(), "HTTP 404") {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
