package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// iamPath is below which the IAM Service Account Credentials API has service accounts. The project is always "-".
	iamPath = "/v1/projects/-/serviceAccounts/"

	delegatePrefix = "projects/-/serviceAccounts/"

	// Google's limits: an hour, unless the organisation allows the account up to twelve.
	maxImpersonation     = time.Hour
	maxLongImpersonation = 12 * time.Hour
)

// iamServer is iamcredentials.googleapis.com of the real cloud: tokens of a service account for those who may act as it.
type iamServer struct {
	issuer *Issuer

	mu       sync.Mutex
	creators map[string][]string // by account: who may make its tokens
	long     map[string]bool     // accounts whose tokens may live longer than an hour
}

// LetImpersonate lets member, a service account or another principal, make tokens of account: it gives it
// roles/iam.serviceAccountTokenCreator. Without it the IAM API refuses everybody. A chain of delegates needs one such
// step for each link.
func (c *Cloud) LetImpersonate(member, account string) {
	s := &c.oauth.iam
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.creators == nil {
		s.creators = make(map[string][]string)
	}
	s.creators[account] = append(s.creators[account], member)
}

// AllowLongTokens lets tokens of account be asked for with a life of up to 12 h instead of one, as an organisation's
// constraint iam.allowServiceAccountCredentialLifetimeExtension does.
func (c *Cloud) AllowLongTokens(account string) {
	s := &c.oauth.iam
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.long == nil {
		s.long = make(map[string]bool)
	}
	s.long[account] = true
}

// IAMURL is the base URL of the IAM Service Account Credentials API.
func (c *Cloud) IAMURL() string { return c.OAuthURL() }

// ImpersonationURL is the service_account_impersonation_url for account.
func (c *Cloud) ImpersonationURL(account string) string {
	return c.IAMURL() + iamPath + url.PathEscape(account) + ":generateAccessToken"
}

// iamRequest is the body of both calls.
type iamRequest struct {
	Delegates    []string `json:"delegates"`
	Scope        []string `json:"scope"`
	Lifetime     string   `json:"lifetime"`
	Audience     string   `json:"audience"`
	IncludeEmail bool     `json:"includeEmail"`
}

// iamError is an error of Google's APIs.
type iamError struct {
	status  int
	code    string
	message string
}

func (s *iamServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, refusal := s.serve(w, r)
	if refusal != nil {
		if refusal.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/"`)
		}
		out = map[string]any{"error": map[string]any{
			"code": refusal.status, "message": refusal.message, "status": refusal.code,
		}}
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if refusal != nil {
		w.WriteHeader(refusal.status)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *iamServer) serve(w http.ResponseWriter, r *http.Request) (map[string]any, *iamError) {
	account, verb, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, iamPath), ":")
	if r.Method != http.MethodPost || verb != "generateAccessToken" && verb != "generateIdToken" {
		return nil, &iamError{http.StatusNotFound, "NOT_FOUND", "Requested entity was not found."}
	}
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller, err := s.issuer.lookup(bearer)
	if err != nil {
		return nil, &iamError{http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials."}
	}
	var in iamRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm)).Decode(&in); err != nil {
		return nil, badRequest("the body is not a JSON object")
	}
	permission := map[string]string{
		"generateAccessToken": "iam.serviceAccounts.getAccessToken", "generateIdToken": "iam.serviceAccounts.getOpenIdToken",
	}[verb]
	if refusal := s.chain(caller, account, in.Delegates, permission); refusal != nil {
		return nil, refusal
	}
	if verb == "generateIdToken" {
		return s.idToken(account, in)
	}
	return s.accessToken(account, in)
}

func badRequest(message string) *iamError {
	return &iamError{http.StatusBadRequest, "INVALID_ARGUMENT", message}
}

// chain checks that the caller may act as the first delegate, that one as the next, and the last one as account.
func (s *iamServer) chain(caller grant, account string, delegates []string, permission string) *iamError {
	deny := &iamError{http.StatusForbidden, "PERMISSION_DENIED",
		fmt.Sprintf("Permission '%s' denied on resource (or it may not exist).", permission)}
	if caller.bounds != nil {
		return deny // a downscoped token is good for Cloud Storage alone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who := caller.account
	for _, d := range append(slices.Clone(delegates), delegatePrefix+account) {
		next, ok := strings.CutPrefix(d, delegatePrefix)
		if !ok {
			return badRequest("a delegate is named " + delegatePrefix + "ACCOUNT")
		}
		if !slices.Contains(s.creators[next], who) {
			return deny
		}
		who = next
	}
	return nil
}

func (s *iamServer) accessToken(account string, in iamRequest) (map[string]any, *iamError) {
	life := maxImpersonation
	if in.Lifetime != "" {
		wanted, err := time.ParseDuration(in.Lifetime)
		if err != nil || wanted <= 0 || !strings.HasSuffix(in.Lifetime, "s") {
			return nil, badRequest("the lifetime is no duration in seconds such as 3600s")
		}
		life = wanted
	}
	s.mu.Lock()
	limit := maxImpersonation
	if s.long[account] {
		limit = maxLongImpersonation
	}
	s.mu.Unlock()
	switch {
	case life > limit:
		return nil, badRequest(fmt.Sprintf("The access token lifetime cannot exceed %d seconds.", int(limit/time.Second)))
	case len(in.Scope) == 0:
		return nil, badRequest("Scope is required.")
	}
	expiry := time.Now().Add(life)
	return map[string]any{
		"accessToken": s.issuer.issue(grant{account: account, scopes: in.Scope, expiry: expiry}),
		"expireTime":  expiry.UTC().Truncate(time.Second).Format(time.RFC3339),
	}, nil
}

func (s *iamServer) idToken(account string, in iamRequest) (map[string]any, *iamError) {
	if in.Audience == "" {
		return nil, badRequest("Audience is required.")
	}
	id, err := s.issuer.identity(account, in.Audience, time.Now())
	if err != nil {
		return nil, &iamError{http.StatusInternalServerError, "INTERNAL", err.Error()}
	}
	return map[string]any{"token": id}, nil
}
