package bucketstore

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// azureVersion of the protocol is the least that has all of what is asked for here, among what servers of others know too.
const azureVersion = "2021-12-02"

// azureCall is one request of a Store method.
type azureCall struct {
	op, key string // as the caller knows them
	class   objstore.Class
	method  string
	blob    string // full name; empty for the container
	query   url.Values
	header  http.Header
	body    []byte

	payload *transport.Payload
	attempt attempt
}

// release returns when body is the caller's alone again. An answer has to be closed before.
func (c *azureCall) release() {
	if c.payload != nil {
		c.payload.Release()
	}
}

// send makes one attempt, and returns a success or an *objstore.Error. A token that is refused is the client's to replace.
func (s *Azure) send(ctx context.Context, c *azureCall) (*http.Response, error) {
	r := s.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: c.attempt.got}), c)
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

func (s *Azure) request(ctx context.Context, c *azureCall) *http.Request {
	u := s.base
	if c.blob != "" {
		u.Path += "/" + c.blob
	}
	u.RawPath, u.RawQuery = canonicalPath(u.Path), c.query.Encode()
	r := (&http.Request{Method: c.method, URL: &u, Header: http.Header{}}).WithContext(ctx)
	if c.header != nil {
		r.Header = c.header.Clone()
	}
	c.payload = transport.NewPayload(c.body)
	c.payload.Attach(r)
	r.Header.Set("x-ms-version", azureVersion)
	r.Header.Set("x-ms-date", time.Now().UTC().Format(http.TimeFormat))
	s.authority.authorize(r)
	r.Header.Set("Accept-Encoding", "identity") // else net/http asks for gzip, and who grants it costs the length
	r.Header.Set("User-Agent", "tidemark")
	return r
}

// fail gives a failure without an answer its kind.
func (s *Azure) fail(ctx context.Context, c *azureCall, err error) error {
	var (
		ours *objstore.Error
		cred credentialsError
		sent *url.Error
	)
	if isForeign(err) {
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
			e.Err = sent.Err // the address around it may hold a signature
		}
	}
	e.Op, e.Key = c.op, c.key
	return e
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
