package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/google/downscope"

	"github.com/tidemark-go/tidemark/emulator"
)

const (
	provider  = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
	principal = "principal://iam.googleapis.com/projects/1/subject/robot"
	target    = "target@emulator-project.iam.gserviceaccount.com"
	tokenJWT  = "urn:ietf:params:oauth:token-type:jwt"
)

func trust(subject string) emulator.SubjectCheck {
	return func(kind, token string) (string, error) {
		if kind != tokenJWT || token != subject {
			return "", errors.New("the issuer is unknown")
		}
		return principal, nil
	}
}

// redirected sends what Google's clients mean for their fixed addresses to a cloud.
func redirected(ctx context.Context, cloud *emulator.Cloud) context.Context {
	base := strings.TrimPrefix(cloud.OAuthURL(), "http://")
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		to := req.Clone(req.Context())
		to.URL.Scheme, to.URL.Host = "http", base
		return http.DefaultTransport.RoundTrip(to)
	})})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Google's library makes the exchange, and the impersonation after it.
func TestFederation(t *testing.T) {
	cloud := emulator.Start(t, nil)
	cloud.Federate(provider, trust("good"))
	path := filepath.Join(t.TempDir(), "token")
	file := map[string]any{
		"type": "external_account", "audience": provider, "subject_token_type": tokenJWT, "token_url": cloud.STSURL(),
		"credential_source": map[string]string{"file": path},
	}
	get := func(subject string) (*oauth2.Token, error) {
		if err := os.WriteFile(path, []byte(subject), 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		found, err := google.CredentialsFromJSON(t.Context(), text, "scope-a", "scope-b") //nolint:staticcheck // whichever type the file has is the point
		if err != nil {
			t.Fatal(err)
		}
		return found.TokenSource.Token()
	}
	token, err := get("good")
	if err != nil {
		t.Fatal(err)
	}
	info, err := cloud.Issuer().Info(token.AccessToken)
	if err != nil || info.Account != principal || fmt.Sprint(info.Scopes) != "[scope-a scope-b]" || info.Bounded {
		t.Errorf("%+v, %v", info, err)
	}
	if d := time.Until(info.Expiry) - time.Until(token.Expiry); d.Abs() > 2*time.Second {
		t.Errorf("the stated life differs by %v", d)
	}
	if _, err := get("bad"); err == nil || !strings.Contains(err.Error(), "the issuer is unknown") {
		t.Errorf("a token that the provider refuses: %v", err)
	}

	file["service_account_impersonation_url"] = cloud.ImpersonationURL(target)
	if _, err := get("good"); err == nil || !strings.Contains(err.Error(), "iam.serviceAccounts.getAccessToken") {
		t.Errorf("without leave to impersonate: %v", err)
	}
	cloud.LetImpersonate(principal, target)
	if token, err = get("good"); err != nil {
		t.Fatal(err)
	}
	if info, err := cloud.Issuer().Info(token.AccessToken); err != nil || info.Account != target {
		t.Errorf("%+v, %v", info, err)
	}

	file["audience"] = provider + "-else"
	if _, err := get("good"); err == nil || !strings.Contains(err.Error(), "invalid_target") {
		t.Errorf("a provider that does not exist: %v", err)
	}
}

func TestWorkforceLogin(t *testing.T) {
	cloud := emulator.Start(t, nil)
	text := cloud.WorkforceLogin()
	found, err := google.CredentialsFromJSON(t.Context(), text) //nolint:staticcheck // whichever type the file has is the point
	if err != nil {
		t.Fatal(err)
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Issuer().Check(token.AccessToken); err != nil {
		t.Error(err)
	}
	stolen := strings.Replace(string(text), `"client_secret": "`, `"client_secret": "x`, 1)
	if found, err = google.CredentialsFromJSON(t.Context(), []byte(stolen)); err != nil { //nolint:staticcheck // as above
		t.Fatal(err)
	}
	if _, err := found.TokenSource.Token(); err == nil {
		t.Error("the client's secret is not checked")
	}
}

// Google's library puts the boundary around a token, and the storage server keeps to it.
func TestDownscope(t *testing.T) {
	cloud := emulator.Start(t, nil)
	for _, bucket := range []string{"ours", "theirs"} {
		if err := cloud.CreateBucket(bucket); err != nil {
			t.Fatal(err)
		}
	}
	rule := downscope.AccessBoundaryRule{
		AvailableResource:    "//storage.googleapis.com/projects/_/buckets/ours",
		AvailablePermissions: []string{"inRole:roles/storage.objectCreator", "inRole:roles/storage.objectViewer"},
		Condition: &downscope.AvailabilityCondition{Expression: `resource.name.startsWith("projects/_/buckets/ours/objects/a/") || ` +
			`api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("a/")`},
	}
	narrow := func(root string, rules ...downscope.AccessBoundaryRule) (*oauth2.Token, error) {
		source, err := downscope.NewTokenSource(redirected(t.Context(), cloud), downscope.DownscopingConfig{
			RootSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: root}), Rules: rules,
		})
		if err != nil {
			t.Fatal(err)
		}
		return source.Token()
	}
	root := cloud.Issuer().Issue("robot", time.Minute)
	token, err := narrow(root, rule)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); left > time.Minute+time.Second || left < 50*time.Second {
		t.Errorf("the token lives %v, not as long as the one that it was made of", left)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/upload/storage/v1/b/ours/o?uploadType=media&name=a/1", 200},
		{"GET", "/storage/v1/b/ours/o/a%2F1", 200},
		{"GET", "/storage/v1/b/ours/o?prefix=a/", 200},
		{"GET", "/storage/v1/b/ours/o?prefix=b/", 403},
		{"DELETE", "/storage/v1/b/ours/o/a%2F1", 403}, // in none of the roles
		{"POST", "/upload/storage/v1/b/ours/o?uploadType=media&name=b/1", 403},
		{"GET", "/ours/b/1", 403},
		{"GET", "/storage/v1/b/theirs/o", 403},
		{"GET", "/storage/v1/b", 403},
	} {
		for bearer, want := range map[string]int{token.AccessToken: c.want, root: 0} {
			if got := status(t, c.method, cloud.StorageURL()+c.path, bearer); want != 0 && got != want || want == 0 && got == 403 {
				t.Errorf("%s %s: %d, want %d", c.method, c.path, got, want)
			}
		}
	}

	bad := rule
	bad.Condition = &downscope.AvailabilityCondition{Expression: "resource.type == 'bucket'"}
	outside := rule
	outside.Condition = &downscope.AvailabilityCondition{Expression: "resource.name.startsWith('projects/_/buckets/theirs/objects/')"}
	project := rule
	project.AvailableResource = "//cloudresourcemanager.googleapis.com/projects/1"
	permission := rule
	permission.AvailablePermissions = []string{"storage.objects.get"}
	for name, rules := range map[string][]downscope.AccessBoundaryRule{
		"a condition nobody knows": {bad}, "another bucket": {outside}, "no bucket": {project}, "no role": {permission},
	} {
		if _, err := narrow(root, rules...); err == nil || !strings.Contains(err.Error(), "invalid_request") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, subject := range map[string]string{"downscoped": token.AccessToken, "unknown": "ya29.x"} {
		if _, err := narrow(subject, rule); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("a token that is %s: %v", name, err)
		}
	}
	cloud.LetImpersonate("robot", target)
	if got := status(t, "POST", cloud.ImpersonationURL(target), token.AccessToken); got != http.StatusForbidden {
		t.Errorf("a downscoped token at the IAM API: %d", got)
	}
}

func status(t *testing.T, method, address, bearer string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestExchangeChecks(t *testing.T) {
	cloud := emulator.Start(t, nil)
	cloud.Federate(provider, trust("good"))
	good := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {provider}, "scope": {"s"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"subject_token_type":   {tokenJWT}, "subject_token": {"good"},
	}
	for field, want := range map[string]string{
		"": "", "grant_type": "unsupported_grant_type", "audience": "invalid_target", "scope": "invalid_scope",
		"requested_token_type": "invalid_request", "subject_token_type": "invalid_grant", "subject_token": "invalid_request",
	} {
		form := url.Values{}
		for k, v := range good {
			if k != field {
				form[k] = v
			}
		}
		resp, err := http.PostForm(cloud.STSURL(), form)
		if err != nil {
			t.Fatal(err)
		}
		var said struct{ Error string }
		if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if said.Error != want {
			t.Errorf("without %q: %q, want %q", field, said.Error, want)
		}
	}
	if n := cloud.OAuthRequests(); n != 7 {
		t.Errorf("%d requests counted", n)
	}
}
