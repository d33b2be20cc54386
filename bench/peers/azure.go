package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/tidemark-go/tidemark/bench"
)

// azure reaches azcore's cache by the one public way: a pipeline with its policy for bearer tokens. So each call also
// carries what a pipeline costs.
func azure() bench.Contender {
	return bench.Contender{
		Name: "azcore",
		About: "azcore runtime.BearerTokenPolicy, renews from 5 min before expiry and at most every 30 s, over a plain GET; a call is a request " +
			"through a pipeline of this policy, so hot figures include the pipeline",
		Window: 5 * time.Minute,
		Open: func(e bench.Endpoint) (bench.Client, error) {
			p := runtime.NewBearerTokenPolicy(&azureCredential{bench.NewFetcher(e)}, []string{e.Scope}, nil)
			pipeline := runtime.NewPipeline("bench", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{p}}, &policy.ClientOptions{
				Retry:     policy.RetryOptions{MaxRetries: -1}, // as the other caches: what failed is the caller's to repeat
				Telemetry: policy.TelemetryOptions{Disabled: true},
				Transport: echo{},
			})
			return &azureClient{pipeline}, nil
		},
	}
}

type azureCredential struct{ fetcher *bench.Fetcher }

func (c *azureCredential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	value, expiry, err := c.fetcher.Fetch(ctx)
	return azcore.AccessToken{Token: value, ExpiresOn: expiry}, err
}

// echo answers with the request's authorisation instead of sending it.
type echo struct{}

func (echo) Do(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: req.Header, Body: http.NoBody, Request: req}, nil
}

type azureClient struct{ pipeline runtime.Pipeline }

func (c *azureClient) Token(ctx context.Context) (string, error) {
	req, err := runtime.NewRequest(ctx, http.MethodGet, "https://account.blob.core.windows.net/container/name")
	if err != nil {
		return "", err
	}
	resp, err := c.pipeline.Do(req)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(resp.Header.Get("Authorization"), "Bearer "), resp.Body.Close()
}

func (c *azureClient) Loop(n int) error {
	ctx := context.Background()
	for range n {
		if _, err := c.Token(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *azureClient) Close() error { return nil }
