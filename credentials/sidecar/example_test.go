package sidecar_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/credentials/sidecar"
)

// A server that stands alone: it answers for credentials of any source.
func Example() {
	s, err := sidecar.New(&sidecar.Options{
		Project: "my-project",
		Source: func(context.Context, []string) (credentials.Source, error) {
			return credentials.Static("a-token", "me@example.com"), nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = s.Close() }()

	for _, path := range []string{"project/project-id", "instance/service-accounts/default/email", "instance/service-accounts/default/token"} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/computeMetadata/v1/"+path, nil)
		r.Header.Set("Metadata-Flavor", "Google")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		fmt.Println(w.Body)
	}
	// Output:
	// my-project
	// me@example.com
	// {"access_token":"a-token","expires_in":600,"token_type":"Bearer"}
}

// In front of the metadata server of this machine, until the context ends.
func ExampleServer_Serve() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	s, err := sidecar.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = s.Close() }()
	l, err := sidecar.Listen(ctx, "127.0.0.1:0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Programs with GCE_METADATA_HOST set to l.Addr() get their tokens here.
	fmt.Println(s.Serve(ctx, l))
	// Output: <nil>
}
