package bucketstore

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// attempt is one call of a Store method.
type attempt struct {
	caller context.Context // of the call; its end explains any error
	class  objstore.Class

	mu     sync.Mutex
	broken error            // why a body ended early
	cred   credentialsError // why no request could be authorised: clients report only that the time is over
	conn   net.Conn         // that carried the last request
}

type attemptKey struct{}

func withAttempt(ctx context.Context, class objstore.Class) context.Context {
	a := &attempt{caller: ctx, class: class}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.got})
	return context.WithValue(ctx, attemptKey{}, a)
}

func (a *attempt) got(i httptrace.GotConnInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = i.Conn
}

// condemn keeps the connection from being used again: behind it is something that is not the store, such as a proxy in trouble, or its
// bytes are not what its headers say.
func (a *attempt) condemn() {
	a.mu.Lock()
	c := a.conn
	a.mu.Unlock()
	if c != nil {
		transport.Condemn(c)
	}
}

// strange tells from the headers that an answer is a page, while its body is still to come: net/http takes a connection back with the last byte.
// Below 500 it cannot be told: GCS itself words the refusal of a download as text/html.
func strange(resp *http.Response) bool {
	return resp.StatusCode >= 500 && strings.Contains(strings.ToLower(resp.Header.Get("Content-Type")), "html")
}

// attemptOf returns the call that ctx belongs to, or one that knows no more than ctx.
func attemptOf(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{caller: ctx}
}

// oneAttempt counts requests as they leave, and stops the storage client from resuming a broken download: whatever its
// retry policy, it asks for the rest at once and again and again, without a pause.
type oneAttempt struct{ base http.RoundTripper }

func (t oneAttempt) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	a, ok := r.Context().Value(attemptKey{}).(*attempt)
	if !ok {
		return base.RoundTrip(r)
	}
	if err := a.failure(); err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	if r.Method == http.MethodGet {
		// Otherwise net/http asks for gzip, and a proxy that grants it costs the length and the checksum.
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", "identity")
	}
	objstore.Count(r.Context(), a.class)
	resp, err := base.RoundTrip(r)
	if err != nil {
		a.unauthorised(err)
		return nil, err
	}
	if strange(resp) {
		a.condemn()
	}
	resp.Body = &watchedBody{resp.Body, a}
	return resp, nil
}

func (a *attempt) unauthorised(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = errors.As(err, &a.cred)
}

// ended is why the call is over: its context, or, where that was spent waiting for a token, what the source of tokens said last.
func (a *attempt) ended(op, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cred != nil && errors.Is(a.caller.Err(), context.DeadlineExceeded) {
		return a.cred
	}
	return objstore.ContextError(a.caller, op, key)
}

func (a *attempt) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

type watchedBody struct {
	io.ReadCloser
	a *attempt
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.a.mu.Lock()
		b.a.broken = err
		b.a.mu.Unlock()
	}
	return n, err
}
