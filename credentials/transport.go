package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Tokens is what [Transport] needs of a [Cache] or [Handle].
type Tokens interface {
	Get(ctx context.Context) (*Token, error)
	Invalidate(*Token)
}

// Transport authorises requests and sends them by base; nil is [http.DefaultTransport].
//
// An answer of 401 drops the token that was refused and, if the body can be sent again, sends the request
// once more with a new one; a second 401 is an [*Error] of kind [Refused] that names the account. A token is
// sent only over TLS or to this machine itself, and not to another host that a redirect names. Where an answer that is no success
// repeats the token, it is overwritten.
func Transport(tokens Tokens, base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{tokens, base}
}

type transport struct {
	tokens Tokens
	base   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Response != nil && !sameOrigin(req) {
		return t.base.RoundTrip(authorized(req, nil))
	}
	if err := mayCarryToken(req.URL); err != nil {
		closeBody(req)
		return nil, &Error{Kind: Misconfigured, Source: "request to " + req.URL.Host, Err: err, Remedy: "use https"}
	}
	token, err := t.tokens.Get(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.send(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.again(req, token, resp)
}

func (t *transport) send(req *http.Request, token *Token) (*http.Response, error) {
	resp, err := t.base.RoundTrip(authorized(req, token))
	if err != nil {
		return nil, err
	}
	return withoutEcho(resp, token), nil
}

// again deals with a 401. The request is sent once more if its body can be.
func (t *transport) again(req *http.Request, refused *Token, resp *http.Response) (*http.Response, error) {
	began := time.Now()
	t.tokens.Invalidate(refused)
	second := req
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return resp, nil
		}
		body, err := req.GetBody()
		if err != nil {
			return resp, nil
		}
		second = new(http.Request)
		*second = *req
		second.Body = body
	}
	discard(resp)
	token, err := t.tokens.Get(req.Context())
	if err != nil {
		closeBody(second)
		return nil, err
	}
	if token == refused {
		closeBody(second)
		return nil, t.refused(req, token, 1, began, "HTTP 401 Unauthorized, as for the tokens before")
	}
	resp, err = t.send(second, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	discard(resp)
	t.tokens.Invalidate(token)
	return nil, t.refused(req, token, 2, began, "HTTP 401 Unauthorized, with a new token too")
}

func (t *transport) refused(req *http.Request, token *Token, attempts int, began time.Time, answer string) error {
	account := token.account
	if namer, ok := t.tokens.(AccountNamer); ok && account == "" {
		account, _ = namer.Account(req.Context()) // the refusal is the news, not that the name is unknown
	}
	return &Error{
		Kind: Refused, Source: "request to " + req.URL.Host, Account: account,
		Attempts: attempts, Elapsed: time.Since(began), Err: errors.New(answer),
		Remedy: "see that the account is enabled, belongs here and may use this service",
	}
}

// authorized is a copy of the request that carries the token, or none. A RoundTripper must leave the
// request as it is, but the values of its headers can be shared, which spares most of what Clone copies.
func authorized(req *http.Request, token *Token) *http.Request {
	out := new(http.Request)
	*out = *req
	if out.Header = maps.Clone(req.Header); out.Header == nil {
		out.Header = make(http.Header, 1)
	}
	if token != nil {
		token.Authorize(out.Header)
	} else {
		delete(out.Header, "Authorization")
	}
	return out
}

// Format names the transport under every verb, and reaches into nothing that changes meanwhile.
func (t *transport) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "transport by %v", t.tokens) }

// mayCarryToken refuses to send a token where somebody else could read it.
func mayCarryToken(u *url.URL) error {
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		host := u.Hostname()
		if host == "localhost" {
			return nil
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
			return nil
		}
		return fmt.Errorf("a token is never sent over plain http to %s, which is not this machine", u.Host)
	}
	return fmt.Errorf("a token is never sent by scheme %.20q", u.Scheme)
}

// sameOrigin reports whether a request that follows redirects still goes where the first one went. The
// client has removed the caller's credentials from a request that leaves, and ours must not be put there.
func sameOrigin(req *http.Request) bool {
	first := req
	for first.Response != nil {
		if first = first.Response.Request; first == nil {
			return false
		}
	}
	return first.URL.Scheme == req.URL.Scheme && first.URL.Host == req.URL.Host
}

// discard lets the connection be used again, if the rest of the answer is short.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	_ = resp.Body.Close()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
