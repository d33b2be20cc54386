package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// call sends JSON to a method of the endpoint's resource on behalf of who holds the token.
func (e endpoint) call(ctx context.Context, method string, token *Token, in any) (*reply, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, e.fail(Misconfigured, err, "correct the options")
	}
	req, err := newRequest(ctx, http.MethodPost, e.url+":"+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	token.Authorize(req.Header)
	r, err := exchange(e.client, req)
	if err != nil {
		return nil, e.unreachable(err)
	}
	if r.status != http.StatusOK {
		return nil, e.denial(r, token.Value())
	}
	return r, nil
}

// denial reads an error of Google's APIs (google.rpc.Status).
func (e endpoint) denial(r *reply, secret string) *Error {
	var said struct {
		Error struct {
			Message string `json:"message"`
			Status  string `json:"status"`
		} `json:"error"`
	}
	text := r.says()
	if r.json(&said) == nil && said.Error.Message != "" {
		text = fmt.Sprintf("HTTP %d %s: %s", r.status, said.Error.Status, said.Error.Message)
	}
	cause := fmt.Errorf("%s: %s", e.url, printable(scrub(text, []string{secret}), 300))
	switch {
	case overloaded(r.status):
		f := e.fail(Unavailable, cause, "retry")
		f.RetryAfter = r.retryAfter()
		return f
	case r.status >= 300 && r.status < 400:
		return e.fail(Unavailable, cause, "see what answers at this address")
	case r.status == http.StatusUnauthorized:
		return e.fail(Refused, cause, "see that the source's own account is enabled and its tokens have the scope cloud-platform")
	case r.status == http.StatusForbidden:
		return e.fail(Refused, cause, "grant the source's account roles/iam.serviceAccountTokenCreator on this account "+
			"(with delegates: each on the next), and enable the IAM Service Account Credentials API")
	case r.status == http.StatusNotFound:
		return e.fail(Misconfigured, cause, "correct the account's e-mail address")
	}
	return e.fail(Misconfigured, cause, "correct scopes, lifetime and delegates; more than 1 h needs the constraint "+
		"iam.allowServiceAccountCredentialLifetimeExtension")
}

// until is the life of something of which a reply states the moment of expiry, by the clock of who sent it:
// ours may be wrong by more than a token lives.
func (r *reply) until(expiry time.Time) time.Duration {
	now := r.sent.Round(0)
	if date, err := http.ParseTime(r.header.Get("Date")); err == nil {
		now = date.Add(time.Second) // the header is cut to the second
	}
	return expiry.Sub(now)
}

// stated is the life of an identity token that came with the reply, by what it says itself.
func (r *reply) stated(token string) (time.Duration, error) {
	payload, ok := jwtPayload(token)
	var claims struct {
		IssuedAt int64 `json:"iat"`
		Expires  int64 `json:"exp"`
	}
	if !ok || json.Unmarshal(payload, &claims) != nil || claims.IssuedAt < 0 || claims.Expires <= claims.IssuedAt { // of what is before 1970 the difference may overflow
		return 0, errors.New("the answer is no identity token that states its life")
	}
	life := time.Duration(min(claims.Expires-claims.IssuedAt, int64(maxLife/time.Second))) * time.Second
	return min(r.until(time.Unix(claims.Expires, 0)), life), nil
}
