package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// endpoint is an OAuth 2 token endpoint (RFC 6749, section 3.2) to which a source presents what it has.
// golang.org/x/oauth2 speaks to such endpoints too, but counts the life of a token from the reply's
// arrival, parses whatever page comes, and prints replies in its errors.
type endpoint struct {
	client  *http.Client
	url     string
	name    string
	account string

	secret      hidden              // of the client, where there is one
	sign        func(*http.Request) // authenticates the client by it; nil where the form does
	grantRemedy string              // what to do about invalid_grant, where that is not about a key or login
	setupRemedy string              // the same for other refusals
}

func newEndpoint(client *http.Client, address, name, account string) (endpoint, error) {
	e := endpoint{client: client, url: address, name: name, account: account, secret: hide("")}
	if client == nil {
		e.client = tokenClient
	}
	u, err := url.Parse(address)
	if err != nil {
		return e, errors.New("its token endpoint is not a URL")
	}
	if u.User != nil {
		return e, errors.New("its token endpoint holds a password")
	}
	if err := mayCarryToken(u); err != nil {
		return e, fmt.Errorf("its token endpoint cannot be trusted: %w", err)
	}
	return e, nil
}

// request presents a form and reads the token. Each of the form's secrets is kept out of the errors, in
// case the server repeats what it was told.
func (e endpoint) request(ctx context.Context, form url.Values, secrets ...string) (*Token, error) {
	r, err := e.post(ctx, form, secrets...)
	if err != nil {
		return nil, err
	}
	t, err := r.token(e.account)
	if err != nil {
		return nil, e.unusable(err)
	}
	return t, nil
}

// post presents a form and returns the answer if it is a success.
func (e endpoint) post(ctx context.Context, form url.Values, secrets ...string) (*reply, error) {
	req, err := newRequest(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if e.sign != nil {
		e.sign(req)
	}
	r, err := exchange(e.client, req)
	if err != nil {
		return nil, e.unreachable(err)
	}
	if r.status != http.StatusOK {
		return nil, e.refusal(r, secrets)
	}
	return r, nil
}

// refusal reads an error reply (RFC 6749, section 5.2).
func (e endpoint) refusal(r *reply, secrets []string) *Error {
	var said struct {
		Code   string `json:"error"`
		Detail string `json:"error_description"`
	}
	var text string
	if r.json(&said) == nil && said.Code != "" {
		text = printable(scrub(said.Code+" "+said.Detail, secrets), 200)
	} else {
		said.Code, text = "", scrub(r.says(), secrets)
	}
	cause := fmt.Errorf("%s: %s", e.url, text)
	switch {
	case overloaded(r.status) || said.Code == "temporarily_unavailable" || said.Code == "server_error":
		f := e.fail(Unavailable, cause, "retry")
		f.RetryAfter = r.retryAfter()
		return f
	case said.Code == "invalid_grant":
		return e.fail(Refused, cause, cmp.Or(e.grantRemedy,
			"check that the key or login is not revoked or expired, that the account exists, and this machine's clock"))
	case said.Code == "access_denied", said.Code == "" && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden):
		return e.fail(Refused, cause, "grant the account what it asks for")
	case r.status >= 300 && r.status < 400:
		return e.fail(Unavailable, cause, "see what answers at this address")
	}
	return e.fail(Misconfigured, cause, cmp.Or(e.setupRemedy, "check the key or login, the scopes and the token endpoint"))
}

// scrub takes out of a server's words what it was told in confidence.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	return text
}

// unreachable is the error of a request that got no answer.
func (e endpoint) unreachable(err error) *Error {
	return e.fail(Unavailable, fmt.Errorf("%s: %w", e.url, err), "retry, and check the way to the internet if this persists")
}

// unusable is the error of an answer that is a success and holds no token.
func (e endpoint) unusable(err error) *Error {
	return e.fail(Unavailable, fmt.Errorf("%s: %w", e.url, err), "see what answers at this address")
}

func (e endpoint) fail(kind Kind, err error, remedy string) *Error {
	return &Error{Kind: kind, Source: e.name, Account: e.account, Err: err, Remedy: remedy}
}
