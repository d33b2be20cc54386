package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// s3Call is one request of a Store method.
type s3Call struct {
	op, key string // as the caller knows them
	class   objstore.Class
	method  string
	object  string // full name; empty for the bucket
	query   url.Values
	header  http.Header
	body    []byte

	payload *transport.Payload // body as it was sent last
	attempt *attempt           // which sent it
}

// release returns when body is the caller's alone again. An answer has to be closed before.
func (c *s3Call) release() {
	if c.payload != nil {
		c.payload.Release()
	}
}

// send makes one attempt, and returns a success or an *objstore.Error. The one exception to "one" is a temporary key that the server
// no longer accepts: it is dropped, and the request repeated under a new one.
func (s *S3) send(ctx context.Context, c *s3Call) (*http.Response, error) {
	for renewed := false; ; renewed = true {
		creds, err := s.creds.Retrieve(ctx)
		if err != nil {
			return nil, s.fail(ctx, c, errNoKeys{err})
		}
		resp, err := s.exchange(ctx, c, creds)
		if err == nil {
			return resp, nil
		}
		c.release()
		if renewed || objstore.KindOf(err) != objstore.KindCredentials || !s.renew(ctx, creds) {
			return nil, err
		}
	}
}

// renew drops creds from the cache, if they are what it still holds, so that one refused key costs one fetch however many requests had it.
func (s *S3) renew(ctx context.Context, creds aws.Credentials) bool {
	cache, ok := s.creds.(*aws.CredentialsCache)
	if !ok || !creds.CanExpire {
		return false
	}
	if held, err := cache.Retrieve(ctx); err == nil && held.AccessKeyID == creds.AccessKeyID {
		cache.Invalidate()
	}
	return true
}

func (s *S3) exchange(ctx context.Context, c *s3Call, creds aws.Credentials) (*http.Response, error) {
	c.attempt = &attempt{}
	r := s.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: c.attempt.got}), c, creds)
	objstore.Count(ctx, c.class)
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, s.fail(ctx, c, err)
	}
	if strange(resp) {
		c.attempt.condemn()
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	return nil, s.refused(ctx, c, resp)
}

func (s *S3) request(ctx context.Context, c *s3Call, creds aws.Credentials) *http.Request {
	u := s.base
	if c.object != "" {
		u.Path += "/" + c.object
	} else if u.Path == "" {
		u.Path = "/"
	}
	u.RawPath, u.RawQuery = canonicalPath(u.Path), canonicalQuery(c.query)
	r := (&http.Request{Method: c.method, URL: &u, Header: http.Header{}}).WithContext(ctx)
	if c.header != nil {
		r.Header = c.header.Clone()
	}
	c.payload = transport.NewPayload(c.body)
	c.payload.Attach(r)
	payload := unsignedPayload
	if u.Scheme != "https" { // without TLS the signature is all that protects the body
		payload = hexSHA256(c.body)
	}
	s.d.scheme().sign(r, creds, payload, s.region, time.Now())
	// After signing: Google's front end appends to the first before the signature is checked. Left out, net/http would ask for gzip, and
	// who grants it costs the length and the checksum.
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "tidemark")
	return r
}

// errNoKeys keeps the SDK's account of what it tried.
type errNoKeys struct{ err error }

func (e errNoKeys) Error() string {
	return "no keys to sign with (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role): " + e.err.Error()
}
func (e errNoKeys) Unwrap() error { return e.err }

// CredentialsError tells a source of keys that may answer later from one that needs somebody.
func (e errNoKeys) CredentialsError() string {
	var answer *awshttp.ResponseError
	if errors.As(e.err, &answer) && (answer.HTTPStatusCode() >= 500 || answer.HTTPStatusCode() == http.StatusTooManyRequests) {
		return "unavailable"
	}
	return "misconfigured"
}

// fail gives a failure without an answer its kind.
func (s *S3) fail(ctx context.Context, c *s3Call, err error) error {
	var (
		ours *objstore.Error
		cred credentialsError
	)
	if isForeign(err) && c.attempt != nil {
		c.attempt.condemn()
	}
	e := &objstore.Error{Err: err}
	switch {
	case errors.As(err, &ours):
		*e = *ours
	case ctx.Err() != nil:
		_ = errors.As(objstore.ContextError(ctx, c.op, c.key), &ours)
		*e = *ours
		if errors.As(err, &cred) {
			e.Err = fmt.Errorf("%w while waiting for keys to sign with", e.Err)
		}
	case errors.As(err, &cred):
		e.Kind = objstore.KindCredentials
		if cred.CredentialsError() == "unavailable" {
			e.Kind = objstore.KindUnavailable
		}
	default:
		e.Kind = kindOf(err)
	}
	e.Op, e.Key = c.op, c.key
	return e
}

// isXML tells an answer of the service from a page.
func isXML(h http.Header) bool {
	t := strings.ToLower(h.Get("Content-Type"))
	return strings.HasPrefix(t, "application/xml") || strings.HasPrefix(t, "text/xml")
}
