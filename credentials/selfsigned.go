package credentials

import (
	"context"
	"strings"
	"time"
)

// selfSigned is a service-account key whose holder signs its own tokens, which Google's APIs accept in the
// place of access tokens. No request is made; the cache renews them ahead of time like any others.
type selfSigned struct {
	*serviceAccount
	audience string // names a service, in place of scopes
}

func (s *selfSigned) Identity() string {
	return identity("self-signed", []string{s.audience, s.serviceAccount.Identity()}, nil)
}

func (s *selfSigned) Fetch(context.Context) (*Token, error) {
	claims := map[string]any{"sub": s.account}
	if s.audience != "" {
		claims["aud"] = s.audience
	} else {
		claims["scope"] = strings.Join(s.scopes, " ")
	}
	now := time.Now()
	text, err := s.assertion(claims)
	if err != nil {
		return nil, err
	}
	// Its times are whole seconds: cut, it may die up to one earlier.
	t, err := NewToken(text, "", s.account, now, assertionLife-clockLead-time.Second)
	if err != nil {
		return nil, s.fail(Misconfigured, err, "issue a new key")
	}
	return t, nil
}
