package credentials

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// authorizedUser is the login of a person, as "gcloud auth application-default login" leaves it: a refresh
// token, good for an access token at any time. Its scopes were fixed at the login.
type authorizedUser struct {
	endpoint
	clientID string
	refresh  hidden
}

func newAuthorizedUser(f *keyFile, name string, client *http.Client) (Source, error) {
	if f.ClientID == "" || f.RefreshToken == "" {
		return nil, errors.New("it lacks client_id or refresh_token")
	}
	if f.TokenURI == "" {
		f.TokenURI = googleTokenURL
	}
	end, err := newEndpoint(client, f.TokenURI, name, f.Account)
	if err != nil {
		return nil, err
	}
	end.secret = hide(f.ClientSecret)
	return &authorizedUser{end, f.ClientID, hide(f.RefreshToken)}, nil
}

func (u *authorizedUser) Identity() string {
	return identity("authorized-user", []string{u.url, u.clientID, fingerprint(u.refresh.reveal())}, nil)
}

func (u *authorizedUser) Name() string { return u.name }

func (u *authorizedUser) Account(context.Context) (string, error) { return u.account, nil }

func (u *authorizedUser) Fetch(ctx context.Context) (*Token, error) {
	return u.request(ctx, url.Values{
		"grant_type":    {"refresh_token"},
		"client_id":     {u.clientID},
		"client_secret": {u.secret.reveal()},
		"refresh_token": {u.refresh.reveal()},
	}, u.refresh.reveal(), u.secret.reveal())
}
