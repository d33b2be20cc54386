package credentials

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
)

// externalUser is the login of a person of a workforce pool (type external_account_authorized_user). With each
// token may come another refresh token, which takes the place of the one in the file for as long as this
// source lives; the file is left alone.
type externalUser struct {
	endpoint
	audience, clientID, first string // first is the fingerprint of the file's refresh token

	mu      sync.Mutex
	refresh hidden
}

func newExternalUser(f *keyFile, name string, client *http.Client) (Source, error) {
	if f.ClientID == "" || f.ClientSecret == "" || f.RefreshToken == "" || f.TokenURL == "" {
		return nil, errors.New("it lacks client_id, client_secret, refresh_token or token_url")
	}
	end, err := newEndpoint(client, f.TokenURL, name, "")
	if err != nil {
		return nil, err
	}
	id, secret := f.ClientID, hide(f.ClientSecret)
	end.secret = secret
	end.sign = func(req *http.Request) { req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret.reveal())) }
	end.grantRemedy = "log in again: gcloud auth application-default login --login-config=FILE"
	return &externalUser{
		endpoint: end, audience: f.Audience, clientID: id, first: fingerprint(f.RefreshToken), refresh: hide(f.RefreshToken),
	}, nil
}

func (u *externalUser) Identity() string {
	return identity("external-user", []string{u.url, u.audience, u.clientID, u.first}, nil)
}

func (u *externalUser) Name() string { return u.name }

func (u *externalUser) Fetch(ctx context.Context) (*Token, error) {
	u.mu.Lock()
	refresh := u.refresh.reveal()
	u.mu.Unlock()
	r, err := u.post(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, refresh, u.secret.reveal())
	if err != nil {
		return nil, err
	}
	t, err := r.token(u.account)
	if err != nil {
		return nil, u.unusable(err)
	}
	var next struct {
		Value string `json:"refresh_token"`
	}
	if r.json(&next) == nil && next.Value != "" {
		u.mu.Lock()
		u.refresh = hide(next.Value)
		u.mu.Unlock()
	}
	return t, nil
}
