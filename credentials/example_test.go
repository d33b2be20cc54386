package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/emulator"
	"golang.org/x/oauth2"
)

// metadataServer stands for the one of Google Cloud.
func metadataServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"ya29.example","expires_in":3599,"token_type":"Bearer"}`)
	}))
}

func Example() {
	metadata := metadataServer()
	defer metadata.Close()
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprint(w, req.Header.Get("Authorization") == "Bearer ya29.example")
	}))
	defer storage.Close()

	ctx := context.Background()
	found, err := credentials.Find(ctx, &credentials.FindOptions{
		Only: "metadata",
		LookupEnv: func(name string) (string, bool) { // for this example; by default the environment is read
			return metadata.Listener.Addr().String(), name == "GCE_METADATA_HOST"
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens := credentials.Shared(found.Source, nil)
	defer func() { _ = tokens.Close() }()
	client := &http.Client{Transport: credentials.Transport(tokens, nil)}

	resp, err := client.Get(storage.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("authorised: %s, %v, %d fetch\n", body, err, tokens.Stats().Fetches)
	// Output: authorised: true, <nil>, 1 fetch
}

// A cache can be given to any library that takes an oauth2.TokenSource, such as storage.NewClient by
// option.WithTokenSource.
func ExampleCache_Token() {
	cache := credentials.New(credentials.Static("ya29.example", "robot@example.com"), nil)
	defer func() { _ = cache.Close() }()
	var source oauth2.TokenSource = cache
	token, err := source.Token()
	fmt.Println(token.Type(), token.Valid(), err)
	// Output: Bearer true <nil>
}

// Sources go over one another: this job's tokens are those of a service account that the machine may act as, and
// reach nothing but the objects of one bucket below one prefix.
func ExampleDownscope() {
	ctx := context.Background()
	cloud, err := emulator.Listen(ctx, nil) // stands for Google Cloud; by default its own endpoints are used
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = cloud.Close() }()
	cloud.LetImpersonate("tidemark@emulator-project.iam.gserviceaccount.com", "job@example.com")

	machine := credentials.Metadata(&credentials.MetadataOptions{Host: cloud.MetadataHost()})
	job, err := credentials.Impersonate(machine, "job@example.com", &credentials.ImpersonateOptions{Endpoint: cloud.IAMURL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	narrow, err := credentials.Downscope(job, "checkpoints", "jobs/orders/", &credentials.DownscopeOptions{Endpoint: cloud.STSURL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens := credentials.Shared(narrow, nil)
	defer func() { _ = tokens.Close() }()
	token, err := tokens.Get(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a token of", token.Account())
	// Output: a token of job@example.com
}

// An error says what to do about it.
func ExampleError() {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer broken.Close()
	cache := credentials.New(credentials.Metadata(&credentials.MetadataOptions{Host: broken.Listener.Addr().String()}), nil)
	defer func() { _ = cache.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := cache.Get(ctx)
	switch {
	case errors.Is(err, credentials.ErrUnavailable):
		fmt.Println("retry later")
	case errors.Is(err, credentials.ErrRefused):
		fmt.Println("fix the permission")
	case errors.Is(err, credentials.ErrMisconfigured):
		fmt.Println("fix the set-up")
	}
	// Output: retry later
}

// Whatever a token is printed by, it does not show.
func ExampleToken() {
	token, err := credentials.NewToken("ya29.example", "Bearer", "robot@example.com", time.Now(), time.Hour)
	fmt.Printf("%v %+v %v\n", token, *token, err)
	// Output: [redacted] [redacted] <nil>
}
