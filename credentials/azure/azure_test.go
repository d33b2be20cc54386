package azure

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/credentials"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func clear(t *testing.T) {
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME",
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT"} {
		t.Setenv(name, "") // which puts back what was there
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "prod") // no program of this machine
}

var jwt = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"appid":"flow-app"}`)) + ".PLANTED"

// machine is the endpoint at which App Service has the tokens of a managed identity.
func machine(t *testing.T, answer http.HandlerFunc) *atomic.Int32 {
	clear(t)
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("X-Identity-Header") != "header-PLANTED" || !strings.HasPrefix(r.URL.Query().Get("resource"), "https://") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	t.Setenv("IDENTITY_ENDPOINT", srv.URL)
	t.Setenv("IDENTITY_HEADER", "header-PLANTED")
	return &asked
}

func TestManagedIdentity(t *testing.T) {
	asked := machine(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_on":"%d","resource":"https://storage.azure.com","token_type":"Bearer"}`, jwt, time.Now().Add(25*time.Hour).Unix())
	})
	src, err := Source(nil)
	if err != nil {
		t.Fatal(err)
	}
	tokens := credentials.Shared(src, nil)
	defer func() { _ = tokens.Close() }()
	again, err := Source(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := credentials.Shared(again, nil)
	defer func() { _ = other.Close() }()
	for _, h := range []*credentials.Handle{tokens, other} {
		token, err := h.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.Expiry()); token.Value() != jwt || token.Account() != "flow-app" || left > 24*time.Hour || left < 23*time.Hour {
			t.Errorf("token for %q with %v left", token.Account(), left)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("%d requests for two stores of one identity", asked.Load())
	}
	for _, text := range []string{src.Identity(), fmt.Sprintf("%+v", src), fmt.Sprintf("%#v", tokens)} {
		if strings.Contains(text, "PLANTED") {
			t.Errorf("it prints %s", text)
		}
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
		after  time.Duration
	}{
		"throttled":   {429, `{"error":"too many"}`, credentials.ErrUnavailable, 7 * time.Second},
		"down":        {503, "", credentials.ErrUnavailable, 7 * time.Second},
		"unknown":     {400, `{"error":"invalid_request","error_description":"Identity not found\nTrace PLANTED"}`, credentials.ErrMisconfigured, 0},
		"no identity": {404, "", credentials.ErrMisconfigured, 0},
		"refused":     {401, `{"error":"unauthorized_client","error_description":"no"}`, credentials.ErrRefused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked := machine(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			// Microsoft's library keeps tokens of managed identities for the whole process, by what they are for.
			src, err := Source(&Options{Scope: "https://" + strings.ReplaceAll(name, " ", "-") + ".example/.default"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = src.Fetch(t.Context())
			e, ok := errors.AsType[*credentials.Error](err)
			if !ok || !errors.Is(err, c.kind) || e.RetryAfter != c.after || strings.Contains(err.Error(), "PLANTED") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %v", err, c.kind)
			}
			if asked.Load() != 1 {
				t.Errorf("%d requests in one attempt", asked.Load())
			}
		})
	}
}

// A machine without any identity says so, with what was tried.
func TestNothingFound(t *testing.T) {
	clear(t)
	src, err := Source(&Options{Client: &http.Client{Transport: nobody{}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.Fetch(t.Context())
	if !errors.Is(err, credentials.ErrMisconfigured) || !strings.Contains(err.Error(), "ManagedIdentityCredential") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route to host")
}

// entra is Microsoft's token endpoint in memory.
type entra struct{ status int }

func (e entra) RoundTrip(r *http.Request) (*http.Response, error) {
	const host = "https://login.microsoftonline.com/tenant"
	status, body := http.StatusOK, `{"tenant_discovery_endpoint":"`+host+`/v2.0/.well-known/openid-configuration","metadata":[]}`
	switch {
	case strings.HasSuffix(r.URL.Path, "openid-configuration"):
		body = `{"issuer":"` + host + `/v2.0","token_endpoint":"` + host + `/oauth2/v2.0/token","authorization_endpoint":"` + host + `/oauth2/v2.0/authorize"}`
	case strings.HasSuffix(r.URL.Path, "/token"):
		if status, body = e.status, `{"token_type":"Bearer","expires_in":3599,"access_token":"`+jwt+`"}`; status != http.StatusOK {
			body = `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\nTrace ID: PLANTED"}`
		}
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestClientSecret(t *testing.T) {
	for status, want := range map[int]error{200: nil, 401: credentials.ErrRefused, 503: credentials.ErrUnavailable} {
		clear(t)
		t.Setenv("AZURE_TENANT_ID", "tenant")
		t.Setenv("AZURE_CLIENT_ID", "client")
		t.Setenv("AZURE_CLIENT_SECRET", "secret-PLANTED")
		src, err := Source(&Options{Client: &http.Client{Transport: entra{status}}})
		if err != nil {
			t.Fatal(err)
		}
		token, err := src.Fetch(t.Context())
		if !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), "PLANTED") {
			t.Errorf("%d: %v", status, err)
		}
		if err == nil && time.Until(token.Expiry()) < 50*time.Minute {
			t.Errorf("%v left", time.Until(token.Expiry()))
		}
	}
}

// slow is a managed identity that answers once and then hangs.
type slow struct{ asked atomic.Int32 }

func (s *slow) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if s.asked.Add(1) == 1 {
		return azcore.AccessToken{Token: "first", ExpiresOn: time.Now().Add(time.Hour)}, nil
	}
	<-ctx.Done()
	return azcore.AccessToken{}, ctx.Err()
}

// While its token is valid, an outage of the managed identity holds up no client of the SDK.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		identity := &slow{}
		src, err := Source(&Options{Credential: identity, Identity: "test"})
		if err != nil {
			t.Fatal(err)
		}
		cache := credentials.New(src, nil)
		defer func() { _ = cache.Close() }()
		lent := TokenCredential(cache)
		for began := time.Now(); time.Since(began) < 59*time.Minute; time.Sleep(time.Second) {
			before := time.Now()
			token, err := lent.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{StorageScope}})
			if err != nil || token.Token != "first" || time.Since(before) != 0 {
				t.Fatalf("after %v: %v, took %v", time.Since(began), err, time.Since(before))
			}
		}
		if identity.asked.Load() < 3 {
			t.Error("the outage was not met")
		}
		if _, err := lent.GetToken(t.Context(), policy.TokenRequestOptions{Claims: "x"}); err == nil {
			t.Error("claims are ignored")
		}
	})
}
