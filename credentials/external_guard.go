package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/oauth2/google/externalaccount"
)

// guard stands between the library of external accounts and the network for one fetch. It classifies every
// answer and keeps the first failure and the token, since the library would count the token's life from the
// answer instead of from the question, take a page for an answer, and quote answers in its errors.
type guard struct {
	*external
	failure *Error
	token   *Token
}

// through is a client whose requests go through the guard.
func (g *guard) through() *http.Client { return &http.Client{Transport: g} }

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.failure != nil {
		closeBody(req)
		return nil, g.failure
	}
	var r *reply
	if r, g.failure = g.send(req); g.failure != nil {
		return nil, g.failure
	}
	return &http.Response{
		Status: http.StatusText(r.status), StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header, Body: io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)), Request: req,
	}, nil
}

func (g *guard) send(req *http.Request) (*reply, *Error) {
	if req.URL.String() == g.url {
		return g.exchange(req)
	}
	where := req.URL.Scheme + "://" + req.URL.Host + req.URL.Path // the query may hold a secret
	r, err := exchange(g.client, req)
	if err != nil {
		return nil, g.fail(Unavailable, fmt.Errorf("%s: %w", where, err), "retry, and check the credential_source if this persists")
	}
	cause := fmt.Errorf("%s: HTTP %d %s", where, r.status, http.StatusText(r.status))
	if r.status != http.StatusOK || bytes.HasPrefix(bytes.TrimSpace(r.body), []byte("<")) {
		return nil, g.refused(r, cause)
	}
	return r, nil
}

// refused classifies an answer of the foreign provider that is no token.
func (g *guard) refused(r *reply, cause error) *Error {
	switch {
	case overloaded(r.status):
		e := g.fail(Unavailable, cause, "retry")
		e.RetryAfter = r.retryAfter()
		return e
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		return g.fail(Refused, cause, "see that this machine or job may have the foreign provider's token")
	case r.status >= 400:
		return g.fail(Misconfigured, cause, "check the address and the headers in the credential_source")
	}
	return g.fail(Unavailable, fmt.Errorf("%w, which is no token: is there a proxy in between", cause), "see what answers at this address")
}

// exchange is the request for Google's token.
func (g *guard) exchange(req *http.Request) (*reply, *Error) {
	subject := subjectOf(req)
	if subject == "" {
		closeBody(req)
		e := g.fail(Misconfigured, errors.New("the credential_source holds no token"), "see who should put it there")
		e.settle = settleDenied
		return nil, e
	}
	r, err := exchange(g.client, req)
	if err != nil {
		return nil, g.unreachable(err)
	}
	if r.status != http.StatusOK {
		unescaped, _ := url.QueryUnescape(subject) // of AWS it is a request that was escaped
		return nil, g.refusal(r, []string{subject, unescaped, g.secret.reveal()})
	}
	if g.token, err = r.token(g.account); err != nil {
		return nil, g.unusable(err)
	}
	return r, nil
}

func subjectOf(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(body)
	if err != nil {
		return ""
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return ""
	}
	return form.Get("subject_token")
}

// SubjectToken implements [externalaccount.SubjectTokenSupplier] where the foreign token is printed by an
// executable: the library would let it run on after its time, and print without a bound.
func (g *guard) SubjectToken(ctx context.Context, _ externalaccount.SupplierOptions) (string, error) {
	token, err := g.run.subjectToken(ctx)
	if err != nil {
		kind, remedy := Unavailable, "run it by hand to see what it says"
		if missing(err) {
			kind, remedy = Misconfigured, "correct the path in credential_source.executable.command"
		}
		g.failure = g.fail(kind, fmt.Errorf("executable %.200q: %w", g.run.argv()[0], err), remedy)
		return "", g.failure
	}
	return token, nil
}
