package emulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"

	"github.com/tidemark-go/tidemark/emulator"
)

func TestIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := emulator.NewIssuer()
		one, two := issuer.Issue("a", time.Minute), issuer.Issue("a", time.Hour)
		if one == two || issuer.Issued() != 2 {
			t.Errorf("two tokens are equal, or %d were issued", issuer.Issued())
		}
		if err := issuer.Check(one); err != nil {
			t.Error(err)
		}
		for _, foreign := range []string{"", "ya29.x", "a.b.c"} {
			if err := issuer.Check(foreign); !errors.Is(err, emulator.ErrTokenUnknown) {
				t.Errorf("%q: %v", foreign, err)
			}
		}
		time.Sleep(time.Minute)
		if err := issuer.Check(one); !errors.Is(err, emulator.ErrTokenExpired) {
			t.Errorf("after its life: %v", err)
		}
		if issuer.Revoke(one) || !issuer.Revoke(two) || issuer.Revoke(two) {
			t.Error("Revoke must report whether the token was alive")
		}
		if err := issuer.Check(two); !errors.Is(err, emulator.ErrTokenRevoked) || strings.Contains(err.Error(), two) {
			t.Errorf("after Revoke: %v", err)
		}
		three := issuer.Issue("a", time.Hour)
		if n := issuer.RevokeAll(); n != 1 {
			t.Errorf("RevokeAll found %d live tokens, want 1", n)
		}
		if err := issuer.Check(three); !errors.Is(err, emulator.ErrTokenRevoked) {
			t.Errorf("after RevokeAll: %v", err)
		}
	})
}

func TestIssuerStaysSmallAndSilent(t *testing.T) {
	issuer := emulator.NewIssuer()
	live := issuer.Issue("a", time.Hour)
	for range 1 << 17 {
		issuer.Issue("a", -1)
	}
	if err := issuer.Check(live); err != nil {
		t.Errorf("the live token was forgotten: %v", err)
	}
	if s := fmt.Sprintf("%+v", issuer); strings.Contains(s, live) || len(s) > 100<<20 {
		t.Error("printing the issuer shows a token")
	}
}

func TestServiceAccountKey(t *testing.T) {
	cloud := emulator.Start(t, nil)
	config, err := google.JWTConfigFromJSON(cloud.ServiceAccountKey(), emulator.DefaultScope)
	if err != nil {
		t.Fatal(err)
	}
	token, err := config.TokenSource(t.Context()).Token()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Issuer().Check(token.AccessToken); err != nil {
		t.Errorf("the token of the JWT grant: %v", err)
	}
	if left := time.Until(token.Expiry); left < 59*time.Minute {
		t.Errorf("the token lives %v", left)
	}

	config.Audience = "https://oauth2.googleapis.com/token" // as Python's client does
	if _, err := config.TokenSource(t.Context()).Token(); err != nil {
		t.Errorf("with the audience of the real endpoint: %v", err)
	}

	config.UseIDToken = true
	config.Scopes, config.PrivateClaims = nil, map[string]any{"target_audience": "https://example.com"}
	id, err := config.TokenSource(t.Context()).Token()
	if err != nil || strings.Count(id.AccessToken, ".") != 2 {
		t.Errorf("identity token: %v", err)
	} else if cloud.Issuer().Check(id.AccessToken) == nil {
		t.Error("an identity token passes for an access token")
	}

	// Another cloud's key has another signature.
	other, err := google.JWTConfigFromJSON(emulator.Start(t, nil).ServiceAccountKey(), emulator.DefaultScope)
	if err != nil {
		t.Fatal(err)
	}
	other.TokenURL = config.TokenURL
	var refused *oauth2.RetrieveError
	if _, err := other.TokenSource(t.Context()).Token(); !errors.As(err, &refused) || refused.Response.StatusCode != http.StatusBadRequest {
		t.Errorf("a foreign key: %v", err)
	}
	if n := cloud.OAuthRequests(); n != 4 {
		t.Errorf("%d requests at the token endpoint, want 4", n)
	}
}

func TestJWTGrantChecks(t *testing.T) {
	cloud := emulator.Start(t, nil)
	for name, change := range map[string]func(c *jwt.Config){
		"no scope":      func(c *jwt.Config) { c.Scopes = nil },
		"wrong account": func(c *jwt.Config) { c.Email = "someone@example.com" },
		"wrong aud":     func(c *jwt.Config) { c.Audience = "https://example.com/token" },
		"wrong key id":  func(c *jwt.Config) { c.PrivateKeyID = "0123" },
		"too long":      func(c *jwt.Config) { c.Expires = 3 * time.Hour },
	} {
		config, err := google.JWTConfigFromJSON(cloud.ServiceAccountKey(), emulator.DefaultScope)
		if err != nil {
			t.Fatal(err)
		}
		change(config)
		var refused *oauth2.RetrieveError
		if _, err := config.TokenSource(t.Context()).Token(); !errors.As(err, &refused) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	resp, err := http.PostForm(cloud.OAuthURL()+"/token", url.Values{"grant_type": {"password"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct{ Error string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != 400 || body.Error != "unsupported_grant_type" {
		t.Errorf("an unknown grant: %d %+v %v", resp.StatusCode, body, err)
	}
}

func TestSelfSignedJWT(t *testing.T) {
	cloud := emulator.Start(t, nil)
	source, err := google.JWTAccessTokenSourceFromJSON(cloud.ServiceAccountKey(), "https://storage.googleapis.com/")
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Issuer().Check(token.AccessToken); err != nil {
		t.Errorf("a self-signed JWT: %v", err)
	}
	broken := token.AccessToken[:len(token.AccessToken)-4] + "AAAA"
	if err := cloud.Issuer().Check(broken); !errors.Is(err, emulator.ErrTokenUnknown) {
		t.Errorf("with a broken signature: %v", err)
	}
}

func TestAuthorizedUser(t *testing.T) {
	cloud := emulator.Start(t, nil)
	credentials, err := google.CredentialsFromJSONWithType(t.Context(), cloud.AuthorizedUser(), google.AuthorizedUser, emulator.DefaultScope)
	if err != nil {
		t.Fatal(err)
	}
	token, err := credentials.TokenSource.Token()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Issuer().Check(token.AccessToken); err != nil {
		t.Errorf("the token of the refresh grant: %v", err)
	}
	file := map[string]string{}
	if err := json.Unmarshal(cloud.AuthorizedUser(), &file); err != nil {
		t.Fatal(err)
	}
	for field, status := range map[string]int{"refresh_token": 400, "client_secret": 401} {
		form := url.Values{"grant_type": {"refresh_token"}}
		for _, name := range []string{"client_id", "client_secret", "refresh_token"} {
			form.Set(name, file[name])
		}
		form.Set(field, "wrong")
		resp, err := http.PostForm(cloud.OAuthURL()+"/token", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("wrong %s: %d, want %d", field, resp.StatusCode, status)
		}
	}
}
