package bench

import (
	"context"
	"net/http"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// subject is the contender that the goals are for.
const subject = "tidemark"

func tidemarkCache() Contender {
	return Contender{
		Name:  subject,
		About: "credentials.Shared over credentials.Metadata, no options",
		Open: func(e Endpoint) (Client, error) {
			src := credentials.Metadata(&credentials.MetadataOptions{Host: e.Host, Scopes: []string{e.Scope}})
			return &tidemarkClient{credentials.Shared(src, nil)}, nil
		},
	}
}

type tidemarkClient struct{ handle *credentials.Handle }

func (c *tidemarkClient) Token(ctx context.Context) (string, error) {
	t, err := c.handle.Get(ctx)
	if err != nil {
		return "", err
	}
	return t.Value(), nil
}

func (c *tidemarkClient) Loop(n int) error {
	ctx := context.Background()
	for range n {
		if _, err := c.handle.Get(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *tidemarkClient) LoopAuthorize(req *http.Request, n int) error {
	for range n {
		t, err := c.handle.Get(req.Context())
		if err != nil {
			return err
		}
		t.Authorize(req.Header)
	}
	return nil
}

func (c *tidemarkClient) Transport(base http.RoundTripper) http.RoundTripper {
	return credentials.Transport(c.handle, base)
}

func (c *tidemarkClient) Close() error { return c.handle.Close() }

func oauth2Compute() Contender {
	return Contender{
		Name:   "oauth2",
		About:  "golang.org/x/oauth2/google.ComputeTokenSource: ReuseTokenSource that renews 225 s before expiry, over Google's metadata client",
		Window: 225 * time.Second,
		Open: func(e Endpoint) (Client, error) {
			return NewOAuth2Client(google.ComputeTokenSource("", e.Scope)), nil
		},
	}
}

func oauth2Reuse() Contender {
	return Contender{
		Name:   "oauth2-reuse",
		About:  "golang.org/x/oauth2.ReuseTokenSource, which renews 10 s before expiry, over a plain GET",
		Window: 10 * time.Second,
		Open: func(e Endpoint) (Client, error) {
			return NewOAuth2Client(oauth2.ReuseTokenSource(nil, plainSource{NewFetcher(e)})), nil
		},
	}
}

type plainSource struct{ fetcher *Fetcher }

func (s plainSource) Token() (*oauth2.Token, error) {
	value, expiry, err := s.fetcher.Fetch(context.Background())
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: value, TokenType: "Bearer", Expiry: expiry}, nil
}

type oauth2Client struct{ src oauth2.TokenSource }

// NewOAuth2Client is a client that takes its tokens from an oauth2.TokenSource.
func NewOAuth2Client(src oauth2.TokenSource) Client { return &oauth2Client{src} }

func (c *oauth2Client) Token(context.Context) (string, error) {
	t, err := c.src.Token()
	if err != nil {
		return "", err
	}
	return t.AccessToken, nil
}

func (c *oauth2Client) Loop(n int) error {
	for range n {
		if _, err := c.src.Token(); err != nil {
			return err
		}
	}
	return nil
}

func (c *oauth2Client) LoopAuthorize(req *http.Request, n int) error {
	for range n {
		t, err := c.src.Token()
		if err != nil {
			return err
		}
		t.SetAuthHeader(req)
	}
	return nil
}

func (c *oauth2Client) Transport(base http.RoundTripper) http.RoundTripper {
	return &oauth2.Transport{Source: c.src, Base: base}
}

func (c *oauth2Client) Close() error { return nil }
