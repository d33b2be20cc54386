package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"
)

// identifier is a [Source] that can also get identity tokens.
type identifier interface {
	identityToken(ctx context.Context, audience string) (*Token, error)
}

// IDToken is the source of OpenID Connect identity tokens for an audience, such as the URL of a Cloud Run
// service, on behalf of the same account as src. The sources that have them are the metadata server, a
// service-account key, and an impersonated service account.
func IDToken(src Source, audience string) (Source, error) {
	fail := func(why, remedy string) (Source, error) {
		return nil, &Error{Kind: Misconfigured, Source: nameOf(src), Err: errors.New(why), Remedy: remedy}
	}
	by, ok := src.(identifier)
	switch {
	case !ok:
		return fail("it has no identity tokens", "use the metadata server, a service-account key, or an impersonated service account")
	case audience == "":
		return fail("an identity token needs an audience", "name the service that shall accept it, usually by its URL")
	}
	return &idToken{src, by, audience}, nil
}

type idToken struct {
	src      Source
	by       identifier
	audience string
}

func (d *idToken) Identity() string {
	return identity("id-token", []string{d.audience, d.src.Identity()}, nil)
}

func (d *idToken) Name() string { return "identity tokens of " + nameOf(d.src) }

func (d *idToken) Account(ctx context.Context) (string, error) { return accountOf(ctx, d.src), nil }

// patience implements patient.
func (d *idToken) patience() time.Duration { return patienceOf(d.src) }

func (d *idToken) Fetch(ctx context.Context) (*Token, error) {
	return d.by.identityToken(ctx, d.audience)
}

// identityToken asks the metadata server. The format full is what Google's libraries ask for: it has the
// e-mail address.
func (m *metadata) identityToken(ctx context.Context, audience string) (*Token, error) {
	r, err := m.get(ctx, "identity?format=full&audience="+url.QueryEscape(audience))
	if err != nil {
		return nil, err
	}
	t, err := r.identityToken(string(r.body), m.known())
	if err != nil {
		return nil, m.fail(Unavailable, err, "see what answers at this address; GCE_METADATA_HOST chooses another")
	}
	return t, nil
}

// identityToken presents an assertion that names the audience instead of scopes.
func (s *serviceAccount) identityToken(ctx context.Context, audience string) (*Token, error) {
	assertion, err := s.assertion(map[string]any{"aud": s.url, "target_audience": audience})
	if err != nil {
		return nil, err
	}
	r, err := s.post(ctx, url.Values{"grant_type": {grantJWT}, "assertion": {assertion}}, assertion)
	if err != nil {
		return nil, err
	}
	var granted struct {
		Value string `json:"id_token"`
	}
	if err := r.json(&granted); err != nil {
		return nil, s.unusable(err)
	}
	t, err := r.identityToken(granted.Value, s.account)
	if err != nil {
		return nil, s.unusable(err)
	}
	return t, nil
}

// identityToken asks the IAM API.
func (i *impersonated) identityToken(ctx context.Context, audience string) (*Token, error) {
	return i.use(ctx, func(base *Token) (*Token, error) {
		r, err := i.call(ctx, "generateIdToken", base, map[string]any{
			"delegates": i.delegates, "audience": audience, "includeEmail": true,
		})
		if err != nil {
			return nil, err
		}
		var granted struct {
			Value string `json:"token"`
		}
		if err := r.json(&granted); err != nil {
			return nil, i.unusable(err)
		}
		t, err := r.identityToken(granted.Value, i.account)
		if err != nil {
			return nil, i.unusable(err)
		}
		return t, nil
	})
}

func (r *reply) identityToken(value, account string) (*Token, error) {
	value = strings.TrimSpace(value)
	life, err := r.stated(value)
	if err != nil {
		return nil, err
	}
	return NewToken(value, "", account, r.sent, life)
}

// jwtPayload is the claims' JSON of a signed token. Whether the signature is right is its audience's business.
func jwtPayload(token string) ([]byte, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	return payload, err == nil
}
