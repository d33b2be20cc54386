package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// stsPath is where Google's Security Token Service takes exchanges.
	stsPath = "/v1/token"

	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// stsServer is the Security Token Service, sts.googleapis.com in the real cloud: the token exchange (RFC 8693) of
// workload identity federation, the refresh-token grant of people who logged in by workforce identity federation, and
// the exchange that puts a credential access boundary around an access token.
type stsServer struct {
	issuer *Issuer
	life   time.Duration

	mu        sync.Mutex
	providers map[string]SubjectCheck // by audience
	logins    map[string]workforceLogin
}

// SubjectCheck is a provider of workload identity: it decides on a foreign token and names whom it stands for, such as
// principal://iam.googleapis.com/…/subject/robot. Its error is told to the client.
type SubjectCheck func(subjectTokenType, subjectToken string) (principal string, err error)

// Federate makes the token exchange at STSURL trust what check accepts, for clients that name audience. Of an external
// account this is the audience in its configuration, //iam.googleapis.com/projects/…/providers/….
func (c *Cloud) Federate(audience string, check SubjectCheck) {
	s := &c.oauth.sts
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.providers == nil {
		s.providers = make(map[string]SubjectCheck)
	}
	s.providers[audience] = check
}

// STSURL is the address of the token exchange, the token_url of an external account.
func (c *Cloud) STSURL() string { return c.OAuthURL() + stsPath }

func (s *stsServer) grant(r *http.Request) (map[string]any, *oauthError) {
	form := r.PostForm
	switch grant := form.Get("grant_type"); grant {
	case grantRefresh:
		return s.refresh(r)
	case grantExchange:
	default:
		return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", fmt.Sprintf("invalid grant_type: %q", grant)}
	}
	if want := form.Get("requested_token_type"); want != typeAccessToken {
		return nil, invalidRequest("only access tokens can be requested here")
	}
	var options struct {
		AccessBoundary *accessBoundary `json:"accessBoundary"`
		UserProject    string          `json:"userProject"`
	}
	if text := form.Get("options"); text != "" {
		if err := json.Unmarshal([]byte(text), &options); err != nil {
			return nil, invalidRequest("the options are not a JSON object")
		}
	}
	if form.Get("subject_token") == "" {
		return nil, invalidRequest("the subject token is missing")
	}
	if options.AccessBoundary != nil {
		return s.downscope(form.Get("subject_token_type"), form.Get("subject_token"), options.AccessBoundary)
	}
	return s.federate(form.Get("audience"), form.Get("subject_token_type"), form.Get("subject_token"), form.Get("scope"))
}

func invalidRequest(why string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_request", why}
}

func invalidGrant(why string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_grant", why}
}

func (s *stsServer) federate(audience, kind, subject, scope string) (map[string]any, *oauthError) {
	s.mu.Lock()
	check := s.providers[audience]
	s.mu.Unlock()
	if check == nil {
		return nil, &oauthError{http.StatusBadRequest, "invalid_target", `the target service indicated by the "audience" ` +
			"parameters is invalid: the pool or provider is disabled or deleted or does not exist"}
	}
	if scope == "" {
		return nil, &oauthError{http.StatusBadRequest, "invalid_scope", "the exchange names no scope"}
	}
	principal, err := check(kind, subject)
	if err != nil {
		return nil, invalidGrant(err.Error())
	}
	return s.reply(grant{account: principal, scopes: strings.Fields(scope), expiry: time.Now().Add(s.life)}), nil
}

func (s *stsServer) reply(g grant) map[string]any {
	return map[string]any{
		"access_token":      s.issuer.issue(g),
		"issued_token_type": typeAccessToken,
		"token_type":        "Bearer",
		"expires_in":        int64(time.Until(g.expiry).Round(time.Second) / time.Second),
	}
}
