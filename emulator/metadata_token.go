package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// tokenShop hands out the instance's tokens with the habit that ReuseUntil describes.
type tokenShop struct {
	opts   MetadataOptions
	issuer *Issuer

	mu       sync.Mutex
	held     map[string]heldToken // by scopes: another set of scopes is another token
	requests int64
	issued   int64
}

type heldToken struct {
	token  string
	expiry time.Time
}

func newTokenShop(o MetadataOptions, issuer *Issuer) *tokenShop {
	return &tokenShop{opts: o, issuer: issuer, held: make(map[string]heldToken)}
}

func (s *tokenShop) stats() (requests, issued int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.issued
}

func (s *tokenShop) serve(w http.ResponseWriter, r *http.Request, account, what string) {
	if account != "default" && account != s.opts.Account {
		htmlError(w, http.StatusNotFound, "")
		return
	}
	if what == "identity" {
		s.serveIdentity(w, r)
		return
	}
	var scopes []string
	for _, list := range r.URL.Query()["scopes"] {
		scopes = append(scopes, strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })...)
	}
	token, left := s.get(scopes, time.Now())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": token,
		"expires_in":   int64((left + s.opts.ClockSkew) / time.Second),
		"token_type":   "Bearer",
	})
}

func (s *tokenShop) get(scopes []string, now time.Time) (token string, left time.Duration) {
	slices.Sort(scopes)
	key := strings.Join(slices.Compact(scopes), " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	t, ok := s.held[key]
	left = t.expiry.Sub(now)
	// A token that was revoked is not handed out again: a client that drops it after a 401 must get a good one.
	if !ok || s.opts.ReuseUntil < 0 || left <= s.opts.ReuseUntil || s.issuer.Check(t.token) != nil {
		left = s.opts.TokenLifetime
		t = heldToken{token: s.issuer.Issue(s.opts.Account, left), expiry: now.Add(left)}
		s.held[key] = t
		s.issued++
	}
	return t.token, left
}

func (s *tokenShop) serveIdentity(w http.ResponseWriter, r *http.Request) {
	audience := r.URL.Query().Get("audience")
	if audience == "" {
		htmlError(w, http.StatusBadRequest, "non-empty audience parameter required")
		return
	}
	id, err := s.issuer.identity(s.opts.Account, audience, time.Now())
	if err != nil {
		htmlError(w, http.StatusInternalServerError, "")
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = fmt.Fprint(w, id)
}

// identity is an OpenID Connect token that proves account to audience. It is no access token: Check refuses it.
func (i *Issuer) identity(account, audience string, now time.Time) (string, error) {
	return i.keys.sign(map[string]any{
		"iss": "https://accounts.google.com", "aud": audience, "azp": account, "sub": "109876543210987654321",
		"email": account, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(defaultLifetime).Unix(),
	})
}
