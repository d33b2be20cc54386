package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/api/impersonate"
	"google.golang.org/api/option"

	"github.com/tidemark-go/tidemark/emulator"
)

// asked is a client of Google's library that speaks to a cloud, with robot's token.
func asked(t *testing.T, cloud *emulator.Cloud) option.ClientOption {
	t.Helper()
	token := cloud.Issuer().Issue("robot", time.Hour)
	ctx := redirected(t.Context(), cloud)
	return option.WithHTTPClient(oauth2.NewClient(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})))
}

func TestImpersonation(t *testing.T) {
	cloud := emulator.Start(t, nil)
	get := func(life time.Duration, delegates ...string) (*oauth2.Token, error) {
		source, err := impersonate.CredentialsTokenSource(t.Context(), impersonate.CredentialsConfig{
			TargetPrincipal: target, Scopes: []string{"scope-a"}, Delegates: delegates, Lifetime: life,
		}, asked(t, cloud))
		if err != nil { // some of the library's ways ask at once
			return nil, err
		}
		return source.Token()
	}
	if _, err := get(0); err == nil || !strings.Contains(err.Error(), "iam.serviceAccounts.getAccessToken") {
		t.Errorf("without leave: %v", err)
	}
	cloud.LetImpersonate("robot", target)
	token, err := get(10 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	info, err := cloud.Issuer().Info(token.AccessToken)
	if err != nil || info.Account != target || fmt.Sprint(info.Scopes) != "[scope-a]" {
		t.Errorf("%+v, %v", info, err)
	}
	if d := info.Expiry.Sub(token.Expiry); d < 0 || d > time.Second || time.Until(token.Expiry) > 10*time.Minute {
		t.Errorf("the stated expiry differs by %v", d)
	}

	if _, err := get(0, "first", "second"); err == nil {
		t.Error("a chain of delegates of which no link exists")
	}
	cloud.LetImpersonate("robot", "first")
	cloud.LetImpersonate("first", "second")
	if _, err := get(0, "first", "second"); err == nil {
		t.Error("a chain of delegates of which the last link is missing")
	}
	cloud.LetImpersonate("second", target)
	if _, err := get(0, "first", "second"); err != nil {
		t.Errorf("a chain of delegates: %v", err)
	}

	if _, err := get(2 * time.Hour); err == nil || !strings.Contains(err.Error(), "3600 seconds") {
		t.Errorf("two hours: %v", err)
	}
	cloud.AllowLongTokens(target)
	if token, err = get(12 * time.Hour); err != nil || time.Until(token.Expiry) < 11*time.Hour {
		t.Errorf("twelve hours, where they are allowed: %v", err)
	}
}

func TestImpersonatedIdentity(t *testing.T) {
	cloud := emulator.Start(t, nil)
	get := func() (*oauth2.Token, error) {
		source, err := impersonate.IDTokenSource(t.Context(), impersonate.IDTokenConfig{
			TargetPrincipal: target, Audience: "https://example.com", IncludeEmail: true,
		}, asked(t, cloud))
		if err != nil { // some of the library's ways ask at once
			return nil, err
		}
		return source.Token()
	}
	if _, err := get(); err == nil || !strings.Contains(err.Error(), "iam.serviceAccounts.getOpenIdToken") {
		t.Errorf("without leave: %v", err)
	}
	cloud.LetImpersonate("robot", target)
	token, err := get()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token.AccessToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Aud, Email string }
	if err := json.Unmarshal(payload, &said); err != nil || said.Aud != "https://example.com" || said.Email != target {
		t.Errorf("%+v, %v", said, err)
	}
}

// What Google's API refuses, and how; faults take effect here too.
func TestIAMChecks(t *testing.T) {
	cloud := emulator.Start(t, nil)
	cloud.LetImpersonate("robot", target)
	bearer := cloud.Issuer().Issue("robot", time.Hour)
	for name, c := range map[string]struct {
		method, path, bearer, body string
		want                       int
	}{
		"good":            {"POST", ":generateAccessToken", bearer, `{"scope":["s"],"lifetime":"60s"}`, 200},
		"no token":        {"POST", ":generateAccessToken", "", `{"scope":["s"]}`, 401},
		"no scope":        {"POST", ":generateAccessToken", bearer, `{}`, 400},
		"no JSON":         {"POST", ":generateAccessToken", bearer, `scope=s`, 400},
		"life in minutes": {"POST", ":generateAccessToken", bearer, `{"scope":["s"],"lifetime":"1m"}`, 400},
		"no life":         {"POST", ":generateAccessToken", bearer, `{"scope":["s"],"lifetime":"-1s"}`, 400},
		"bare delegate":   {"POST", ":generateAccessToken", bearer, `{"scope":["s"],"delegates":["a@b"]}`, 400},
		"no audience":     {"POST", ":generateIdToken", bearer, `{}`, 400},
		"other method":    {"GET", ":generateAccessToken", bearer, "", 404},
		"other verb":      {"POST", ":signBlob", bearer, `{}`, 404},
	} {
		address := strings.TrimSuffix(cloud.ImpersonationURL(target), ":generateAccessToken") + c.path
		req, err := http.NewRequestWithContext(t.Context(), c.method, address, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, c.want)
		}
	}
	if err := cloud.SetFaults(emulator.Fault{
		Match: emulator.Match{Server: "oauth", Path: "/v1/projects/**"}, Then: emulator.Then{Effect: emulator.EffectStatus, Status: 503},
	}); err != nil {
		t.Fatal(err)
	}
	if got := status(t, "POST", cloud.ImpersonationURL(target), bearer); got != http.StatusServiceUnavailable {
		t.Errorf("with a fault: %d", got)
	}
}
