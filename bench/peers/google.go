package main

import (
	"context"
	"net/http"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"github.com/tidemark-go/tidemark/bench"
)

func goAuth(blocking bool) bench.Contender {
	c := bench.Contender{
		Name:   "goauth",
		About:  "cloud.google.com/go/auth, credentials.DetectDefault: renews in the background from 225 s before expiry, over Google's metadata client",
		Window: 225 * time.Second,
		Open: func(e bench.Endpoint) (bench.Client, error) {
			creds, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{e.Scope}, DisableAsyncRefresh: blocking})
			if err != nil {
				return nil, err
			}
			return &goAuthClient{creds}, nil
		},
	}
	if blocking {
		c.Name = "goauth-blocking"
		c.About = "the same with DisableAsyncRefresh: renews in the caller's time"
	}
	return c
}

type goAuthClient struct{ creds *auth.Credentials }

func (c *goAuthClient) Token(ctx context.Context) (string, error) {
	t, err := c.creds.Token(ctx)
	if err != nil {
		return "", err
	}
	return t.Value, nil
}

func (c *goAuthClient) Loop(n int) error {
	ctx := context.Background()
	for range n {
		if _, err := c.creds.Token(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *goAuthClient) LoopAuthorize(req *http.Request, n int) error {
	for range n {
		t, err := c.creds.Token(req.Context())
		if err != nil {
			return err
		}
		httptransport.SetAuthHeader(t, req)
	}
	return nil
}

func (c *goAuthClient) Close() error { return nil }
