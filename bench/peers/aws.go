package main

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/auth/bearer"
	"github.com/tidemark-go/tidemark/bench"
)

// awsWindow is what config.LoadDefaultConfig sets for the credentials of an EC2 instance, and what the SDK gives its
// own cache of bearer tokens.
const awsWindow = 5 * time.Minute

func awsCache() bench.Contender {
	return bench.Contender{
		Name:   "aws",
		About:  "aws-sdk-go-v2 aws.CredentialsCache with the ExpiryWindow of 5 min that the SDK sets for instances, over a plain GET",
		Window: awsWindow,
		Open: func(e bench.Endpoint) (bench.Client, error) {
			fetcher := bench.NewFetcher(e)
			provider := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				value, expiry, err := fetcher.Fetch(ctx)
				if err != nil {
					return aws.Credentials{}, err
				}
				return aws.Credentials{
					AccessKeyID: "bench", SecretAccessKey: "bench", SessionToken: value, CanExpire: true, Expires: expiry,
				}, nil
			})
			return &awsClient{aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = awsWindow })}, nil
		},
	}
}

type awsClient struct{ cache *aws.CredentialsCache }

func (c *awsClient) Token(ctx context.Context) (string, error) {
	creds, err := c.cache.Retrieve(ctx)
	return creds.SessionToken, err
}

func (c *awsClient) Loop(n int) error {
	ctx := context.Background()
	for range n {
		if _, err := c.cache.Retrieve(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *awsClient) Close() error { return nil }

func smithyCache() bench.Contender {
	return bench.Contender{
		Name:   "smithy",
		About:  "smithy-go auth/bearer.TokenCache, RefreshBeforeExpires 5 min and AsyncRefreshMinimumDelay 30 s as the SDK sets them, over a plain GET",
		Window: awsWindow,
		Open: func(e bench.Endpoint) (bench.Client, error) {
			fetcher := bench.NewFetcher(e)
			provider := bearer.TokenProviderFunc(func(ctx context.Context) (bearer.Token, error) {
				value, expiry, err := fetcher.Fetch(ctx)
				if err != nil {
					return bearer.Token{}, err
				}
				return bearer.Token{Value: value, CanExpire: true, Expires: expiry}, nil
			})
			return &smithyClient{bearer.NewTokenCache(provider, func(o *bearer.TokenCacheOptions) {
				o.RefreshBeforeExpires = awsWindow
				o.RetrieveBearerTokenTimeout = 30 * time.Second
				o.AsyncRefreshMinimumDelay = 30 * time.Second
			})}, nil
		},
	}
}

type smithyClient struct{ cache *bearer.TokenCache }

func (c *smithyClient) Token(ctx context.Context) (string, error) {
	t, err := c.cache.RetrieveBearerToken(ctx)
	return t.Value, err
}

func (c *smithyClient) Loop(n int) error {
	ctx := context.Background()
	for range n {
		if _, err := c.cache.RetrieveBearerToken(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *smithyClient) LoopAuthorize(req *http.Request, n int) error {
	for range n {
		t, err := c.cache.RetrieveBearerToken(req.Context())
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+t.Value) // as bearer.SignHTTPSMessage does
	}
	return nil
}

func (c *smithyClient) Close() error { return nil }
