package emulator

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	grantJWT     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantRefresh = "refresh_token"
	// tokenPath is where the key files of this cloud send their client.
	tokenPath = "/token"
	// maxForm bounds the body of a token request; an assertion is about 1 KiB.
	maxForm = 1 << 20
)

// person is who logs in with the file that AuthorizedUser returns.
const person = "person@example.com"

// googleAudiences are the names of the real endpoint, which some clients (Python's) put into an assertion wherever they
// send it.
var googleAudiences = []string{
	"https://oauth2.googleapis.com/token",
	"https://www.googleapis.com/oauth2/v4/token",
	"https://accounts.google.com/o/oauth2/token",
}

// oauthServer is where tokens are made from other things. In the real cloud these are three hosts, whose paths do not
// overlap: oauth2.googleapis.com (the JWT-bearer grant of service accounts and the refresh-token grant of people),
// sts.googleapis.com (see exchange) and iamcredentials.googleapis.com (see iam).
type oauthServer struct {
	issuer   *Issuer
	account  string
	life     time.Duration
	audience string // the endpoint's own URL, which assertions must name
	user     authorizedUser
	sts      stsServer
	iam      iamServer
	requests atomic.Int64
}

// authorizedUser is what gcloud writes for a person who logged in.
type authorizedUser struct {
	Type         string `json:"type"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	TokenURI     string `json:"token_uri"`
}

func newAuthorizedUser(tokenURI string) authorizedUser {
	return authorizedUser{
		Type:     "authorized_user",
		ClientID: "emulator.apps.googleusercontent.com",
		// Text returns 26 random letters and digits.
		ClientSecret: rand.Text(),
		RefreshToken: "1//" + rand.Text(),
		TokenURI:     tokenURI,
	}
}

type oauthError struct {
	status int
	Code   string `json:"error"`
	Detail string `json:"error_description"`
}

func (s *oauthServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	switch {
	case r.URL.Path == tokenPath:
		s.answer(w, r, s.grant)
	case r.URL.Path == stsPath:
		s.answer(w, r, s.sts.grant)
	case strings.HasPrefix(r.URL.Path, iamPath):
		s.iam.ServeHTTP(w, r)
	default:
		s.requests.Add(-1)
		http.NotFound(w, r)
	}
}

// answer reads a token request (RFC 6749, section 4) and replies with what grant makes of its form.
func (s *oauthServer) answer(w http.ResponseWriter, r *http.Request, grant func(*http.Request) (map[string]any, *oauthError)) {
	var reply map[string]any
	refusal := readForm(w, r)
	if refusal == nil {
		reply, refusal = grant(r)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate")
	if refusal != nil {
		w.WriteHeader(refusal.status)
		_ = json.NewEncoder(w).Encode(refusal)
		return
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func readForm(w http.ResponseWriter, r *http.Request) *oauthError {
	if r.Method != http.MethodPost {
		return &oauthError{http.StatusMethodNotAllowed, "invalid_request", "the token endpoint takes POST only"}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return &oauthError{http.StatusBadRequest, "invalid_request", "the body must be application/x-www-form-urlencoded"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return &oauthError{http.StatusBadRequest, "invalid_request", "the form cannot be read"}
	}
	return nil
}

func (s *oauthServer) grant(r *http.Request) (map[string]any, *oauthError) {
	switch grant := r.PostForm.Get("grant_type"); grant {
	case grantJWT:
		return s.jwtGrant(r.PostForm.Get("assertion"))
	case grantRefresh:
		return s.refreshGrant(r)
	default:
		return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", fmt.Sprintf("invalid grant_type: %q", grant)}
	}
}

func (s *oauthServer) jwtGrant(assertion string) (map[string]any, *oauthError) {
	invalid := func(why string) (map[string]any, *oauthError) {
		return nil, &oauthError{http.StatusBadRequest, "invalid_grant", why}
	}
	c, err := s.issuer.keys.verify(assertion, time.Now())
	switch {
	case err != nil:
		return invalid(err.Error())
	case c.Issuer != s.account:
		return invalid("invalid grant: account not found")
	case c.Audience != s.audience && !slices.Contains(googleAudiences, c.Audience):
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "the audience of the assertion is not this token endpoint"}
	case c.TargetAudience != "":
		id, err := s.issuer.identity(s.account, c.TargetAudience, time.Now())
		if err != nil {
			return nil, &oauthError{http.StatusInternalServerError, "internal_failure", err.Error()}
		}
		return map[string]any{"id_token": id}, nil
	case c.Scope == "":
		return nil, &oauthError{http.StatusBadRequest, "invalid_scope", "the assertion names neither a scope nor a target audience"}
	}
	return s.token(s.account), nil
}

func (s *oauthServer) refreshGrant(r *http.Request) (map[string]any, *oauthError) {
	same := func(field, want string) bool {
		return subtle.ConstantTimeCompare([]byte(r.PostForm.Get(field)), []byte(want)) == 1
	}
	// Clients send their id and secret in the form or, as the specification prefers, by HTTP basic authentication.
	if id, secret, ok := r.BasicAuth(); ok {
		r.PostForm.Set("client_id", id)
		r.PostForm.Set("client_secret", secret)
	}
	switch {
	case !same("client_id", s.user.ClientID), !same("client_secret", s.user.ClientSecret):
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "the OAuth client was not found"}
	case !same("refresh_token", s.user.RefreshToken):
		return nil, &oauthError{http.StatusBadRequest, "invalid_grant", "token has been expired or revoked"}
	}
	reply := s.token(person)
	reply["scope"] = DefaultScope
	return reply, nil
}

func (s *oauthServer) token(account string) map[string]any {
	return map[string]any{
		"access_token": s.issuer.Issue(account, s.life),
		"expires_in":   int64(s.life / time.Second),
		"token_type":   "Bearer",
	}
}
