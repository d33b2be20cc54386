// Package clients_test has Google's libraries for Go as the judge of the metadata servers: of the emulator, and of the sidecar
// in front of it. Those for Node and Python judge in the script run.
package clients_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/compute/metadata"
	"go.uber.org/goleak"
	"golang.org/x/oauth2/google"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

const (
	project  = "emulator-project"
	account  = "tidemark@emulator-project.iam.gserviceaccount.com"
	audience = "https://service.example"
	readOnly = "https://www.googleapis.com/auth/devstorage.read_only"
)

func TestMain(m *testing.M) {
	// The metadata package remembers for the whole process whether it is on Google Cloud. And no test may find the
	// credentials of the machine that it runs on.
	for name, value := range map[string]string{
		"GCE_METADATA_HOST": "127.0.0.1:1", "GOOGLE_APPLICATION_CREDENTIALS": "", "HOME": os.TempDir(), "CLOUDSDK_CONFIG": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		// The metadata package's own client keeps its connections, and nobody can close them.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// servers runs a test against the emulator, and against the sidecar in front of it.
func servers(t *testing.T, judge func(t *testing.T, cloud *emulator.Cloud, host string)) {
	t.Helper()
	t.Run("emulator", func(t *testing.T) {
		cloud := emulator.Start(t, nil)
		t.Setenv("GCE_METADATA_HOST", cloud.MetadataHost())
		judge(t, cloud, cloud.MetadataHost())
	})
	t.Run("sidecar", func(t *testing.T) {
		cloud := emulator.Start(t, nil)
		host := startSidecar(t, cloud)
		t.Setenv("GCE_METADATA_HOST", host)
		judge(t, cloud, host)
	})
}

func startSidecar(t *testing.T, cloud *emulator.Cloud) (host string) {
	t.Helper()
	s, err := sidecar.New(&sidecar.Options{Upstream: cloud.MetadataHost()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := sidecar.Listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestComputeMetadata(t *testing.T) {
	servers(t, func(t *testing.T, cloud *emulator.Cloud, _ string) {
		ctx := t.Context()
		transport := &http.Transport{DisableKeepAlives: true}
		client := metadata.NewClient(&http.Client{Transport: transport})
		if !metadata.OnGCEWithContext(ctx) {
			t.Error("this is not Google Cloud")
		}
		for what, ask := range map[string]struct {
			of   func(context.Context) (string, error)
			want string
		}{
			"project":  {client.ProjectIDWithContext, project},
			"number":   {client.NumericProjectIDWithContext, "123456789012"},
			"zone":     {client.ZoneWithContext, "us-central1-a"},
			"name":     {client.InstanceNameWithContext, "emulator"},
			"internal": {client.InternalIPWithContext, "10.128.0.2"},
			"email":    {func(ctx context.Context) (string, error) { return client.EmailWithContext(ctx, "") }, account},
			"universe": {func(ctx context.Context) (string, error) {
				return client.GetWithContext(ctx, "universe/universe-domain")
			}, "googleapis.com"},
		} {
			if got, err := ask.of(ctx); err != nil || got != ask.want {
				t.Errorf("%s: %q, %v, want %q", what, got, err, ask.want)
			}
		}
		if scopes, err := client.ScopesWithContext(ctx, ""); err != nil || len(scopes) != 1 || scopes[0] != emulator.DefaultScope {
			t.Errorf("scopes %q, %v", scopes, err)
		}
		if _, err := client.InstanceAttributeValueWithContext(ctx, "none"); !errors.As(err, new(metadata.NotDefinedError)) {
			t.Errorf("an attribute that does not exist: %v", err)
		}
		// A subscriber hears the value and its change.
		subscription, cancel := context.WithCancel(ctx)
		defer cancel()
		var heard []string
		err := client.SubscribeWithContext(subscription, "instance/preempted", func(_ context.Context, v string, _ bool) error {
			heard = append(heard, v)
			if v == "TRUE" {
				cancel()
				return nil
			}
			cloud.Metadata().Set("instance/preempted", "TRUE")
			return nil
		})
		if !errors.Is(err, context.Canceled) || strings.Join(heard, " ") != "FALSE TRUE" {
			t.Errorf("the subscriber heard %q, %v", heard, err)
		}
	})
}

func TestAuth(t *testing.T) {
	servers(t, func(t *testing.T, cloud *emulator.Cloud, _ string) {
		ctx := t.Context()
		found, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{readOnly}})
		if err != nil {
			t.Fatal(err)
		}
		token, err := found.Token(ctx)
		if err != nil {
			t.Fatal(err)
		}
		checkToken(t, cloud, token.Value, token.Expiry)
		if got, err := found.ProjectID(ctx); err != nil || got != project {
			t.Errorf("project %q, %v", got, err)
		}
		if got, err := found.UniverseDomain(ctx); err != nil || got != "googleapis.com" {
			t.Errorf("universe %q, %v", got, err)
		}
		identities, err := idtoken.NewCredentials(&idtoken.Options{Audience: audience, ComputeTokenFormat: idtoken.ComputeTokenFormatFullWithLicense})
		if err != nil {
			t.Fatal(err)
		}
		identity, err := identities.Token(ctx)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(identity.Value+"..", ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct{ Aud, Email string }
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Aud != audience || claims.Email != account {
			t.Errorf("identity %+v, %v", claims, err)
		}
	})
}

func TestOAuth2(t *testing.T) {
	servers(t, func(t *testing.T, cloud *emulator.Cloud, _ string) {
		found, err := google.FindDefaultCredentials(t.Context(), readOnly)
		if err != nil {
			t.Fatal(err)
		}
		if found.ProjectID != project {
			t.Errorf("project %q", found.ProjectID)
		}
		token, err := found.TokenSource.Token()
		if err != nil {
			t.Fatal(err)
		}
		checkToken(t, cloud, token.AccessToken, token.Expiry)
		if token, err = google.ComputeTokenSource(account).Token(); err != nil {
			t.Fatalf("the account by its address: %v", err)
		}
		checkToken(t, cloud, token.AccessToken, token.Expiry)
	})
}

func checkToken(t *testing.T, cloud *emulator.Cloud, token string, expiry time.Time) {
	t.Helper()
	if err := cloud.Issuer().Check(token); err != nil {
		t.Errorf("the token is not good: %v", err)
	}
	if left := time.Until(expiry); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the token lives %v, want about an hour", left)
	}
}
