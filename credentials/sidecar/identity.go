package sidecar

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

// serveIdentity answers …/identity: an OpenID Connect token that proves the account to an audience.
func (s *Server) serveIdentity(w http.ResponseWriter, r *http.Request, account string) {
	asked := r.URL.Query()
	query := url.Values{"audience": {asked.Get("audience")}}
	if audience := asked.Get("audience"); audience == "" || len(audience) > maxQuery {
		s.text(w, http.StatusBadRequest, "non-empty audience parameter required")
		return
	}
	// These shape the token; whatever else was asked changes nothing.
	if strings.EqualFold(asked.Get("format"), "full") {
		query.Set("format", "full")
		if strings.EqualFold(asked.Get("licenses"), "true") {
			query.Set("licenses", "TRUE")
		}
	}
	key := "identity " + account + " " + query.Encode()
	t, _, err := s.find(r.Context(), account, key, func(context.Context) (credentials.Source, error) {
		if s.alone != nil {
			return credentials.IDToken(s.alone.source, asked.Get("audience"))
		}
		return &identitySource{up: s.up, account: account, query: query.Encode()}, nil
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.count.identities.Add(1)
	w.Header().Set("Content-Type", "text/html")
	w.Header()["Cache-Control"] = noStore
	_, _ = w.Write([]byte(t.Value()))
}

// identitySource gets identity tokens from the upstream.
type identitySource struct {
	up      *upstream
	account string
	query   string
}

func (i *identitySource) Identity() string {
	return "identity " + i.up.host + " " + i.account + " " + i.query
}

func (i *identitySource) Name() string { return "metadata server " + i.up.host }

func (i *identitySource) Fetch(ctx context.Context) (*credentials.Token, error) {
	sent := time.Now()
	a, err := i.up.ask(ctx, "instance/service-accounts/"+i.account+"/identity", i.query)
	if err != nil {
		e := i.fail(credentials.Unavailable, err, "retry")
		if gone, ok := errors.AsType[*unavailable](err); ok {
			e.RetryAfter = gone.retryAfter
		}
		return nil, e
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, i.fail(credentials.Refused, a.says(), "let the machine or pod make identity tokens for this account")
	case http.StatusNotFound, http.StatusBadRequest:
		return nil, i.fail(credentials.Misconfigured, a.says(), "check the account and the audience")
	default:
		return nil, i.fail(credentials.Unavailable, a.says(), "retry")
	}
	text := string(bytes.TrimSpace(a.body))
	life, err := lifeOf(text, sent, a.date)
	if err != nil {
		return nil, i.fail(credentials.Unavailable, err, "see what answers at this address")
	}
	t, err := credentials.NewToken(text, "", "", sent, life)
	if err != nil {
		return nil, i.fail(credentials.Unavailable, err, "see what answers at this address")
	}
	return t, nil
}

func (i *identitySource) fail(kind credentials.Kind, err error, remedy string) *credentials.Error {
	return &credentials.Error{Kind: kind, Source: i.Name(), Account: i.account, Err: err, Remedy: remedy}
}

// says is a refusal in words, without those of the body, which may be a page.
func (a *answer) says() error {
	return fmt.Errorf("HTTP %d %s", a.status, http.StatusText(a.status))
}

// lifeOf reads how long a token in the compact form of JWS (RFC 7515) lives, counted from when it was asked for. Whether
// it is genuine is for its audience to check. Its times are those of its issuer's clock, which the upstream's Date
// tells; this machine's may be off by more than the token lives.
func lifeOf(text string, sent, date time.Time) (time.Duration, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return 0, errors.New("the answer is not an identity token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, errors.New("the answer is not an identity token")
	}
	var claims struct {
		Issued  int64 `json:"iat"`
		Expires int64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Expires <= 0 {
		return 0, errors.New("the identity token does not say when it expires")
	}
	now := sent
	if !date.IsZero() {
		now = date
	}
	life := time.Unix(claims.Expires, 0).Sub(now)
	if claims.Issued > 0 {
		life = min(life, time.Duration(claims.Expires-claims.Issued)*time.Second)
	}
	return life, nil
}
