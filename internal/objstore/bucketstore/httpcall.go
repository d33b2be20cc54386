package bucketstore

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// call is one request of a Store method.
type call struct {
	op, key string // as the caller knows them
	class   objstore.Class
	method  string
	object  string // full name; empty for the bucket or container
	query   url.Values
	header  http.Header
	body    []byte

	payload *transport.Payload // body as it was sent last
	attempt *attempt           // which sent it
}

// release returns when body is the caller's alone again. An answer has to be closed before.
func (c *call) release() {
	if c.payload != nil {
		c.payload.Release()
	}
}

// exchange sends a request once, with what authorize adds to it, and returns a success or an *objstore.Error.
func (s *httpStore) exchange(ctx context.Context, c *call, authorize func(*http.Request)) (*http.Response, error) {
	c.attempt = &attempt{}
	r := s.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: c.attempt.got}), c, authorize)
	objstore.Count(ctx, c.class)
	resp, err := s.client.Do(r)
	if err != nil {
		err = s.fail(ctx, c, err)
		c.release()
		return nil, err
	}
	if strange(resp) {
		c.attempt.condemn()
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	err = s.refused(ctx, c, resp)
	_ = resp.Body.Close() // only frees the connection
	c.release()
	return nil, err
}

func (s *httpStore) request(ctx context.Context, c *call, authorize func(*http.Request)) *http.Request {
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
	authorize(r)
	// After signing: Google's front end appends to the first before the signature is checked. Left out, net/http would ask for gzip, and
	// who grants it costs the length and the checksum.
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "tidemark")
	return r
}

// fail gives a failure without an answer its kind.
func (s *httpStore) fail(ctx context.Context, c *call, err error) error {
	var (
		ours *objstore.Error
		cred credentialsError
		sent *url.Error
	)
	if isForeign(err) && c.attempt != nil {
		c.attempt.condemn()
	}
	e := &objstore.Error{Err: err}
	switch {
	case errors.As(err, &ours):
		*e = *ours
	case errors.As(err, &cred):
		e.Kind = objstore.KindCredentials
		if cred.CredentialsError() == "unavailable" {
			e.Kind = objstore.KindUnavailable
		}
		e.Err = cred
	case ctx.Err() != nil:
		_ = errors.As(objstore.ContextError(ctx, c.op, c.key), &ours)
		*e = *ours
	default:
		e.Kind = kindOf(err)
		if errors.As(err, &sent) {
			sent.URL, _, _ = strings.Cut(sent.URL, "?") // the query may hold a signature
		}
	}
	e.Op, e.Key = c.op, c.key
	return e
}
