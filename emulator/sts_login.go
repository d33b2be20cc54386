package emulator

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"
)

// workforceLogin is what "gcloud auth application-default login --login-config" writes for a person of a workforce
// pool.
type workforceLogin struct {
	Type         string `json:"type"`
	Audience     string `json:"audience"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	TokenURL     string `json:"token_url"`
}

// WorkforceLogin is the credentials file (type external_account_authorized_user) of a person who logged in by workforce
// identity federation, with a token_url that points at this cloud. With every access token its refresh token is
// replaced by another, as RFC 6749 allows, and ends.
func (c *Cloud) WorkforceLogin() []byte {
	l := workforceLogin{
		Type:         "external_account_authorized_user",
		Audience:     "//iam.googleapis.com/locations/global/workforcePools/emulator/providers/login",
		ClientID:     "emulator.apps.googleusercontent.com",
		ClientSecret: rand.Text(),
		RefreshToken: "1//" + rand.Text(),
		TokenURL:     c.STSURL(),
	}
	c.oauth.sts.remember(l)
	// A struct of strings always encodes.
	file, _ := json.MarshalIndent(l, "", "  ")
	return file
}

func (s *stsServer) remember(l workforceLogin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logins == nil {
		s.logins = make(map[string]workforceLogin)
	}
	s.logins[l.RefreshToken] = l
}

func (s *stsServer) refresh(r *http.Request) (map[string]any, *oauthError) {
	used := r.PostForm.Get("refresh_token")
	s.mu.Lock()
	l, known := s.logins[used]
	s.mu.Unlock()
	id, secret, ok := r.BasicAuth()
	if !ok {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "the OAuth client did not authenticate"}
	}
	if !known {
		return nil, invalidGrant("the refresh token is expired or revoked")
	}
	if id != l.ClientID || secret != l.ClientSecret {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "the OAuth client was not found"}
	}
	reply := s.reply(grant{account: "principal:" + l.Audience, expiry: time.Now().Add(s.life)})
	l.RefreshToken = "1//" + rand.Text()
	s.mu.Lock()
	delete(s.logins, used)
	s.mu.Unlock()
	s.remember(l)
	reply["refresh_token"] = l.RefreshToken
	return reply, nil
}
