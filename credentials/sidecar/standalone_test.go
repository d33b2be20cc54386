package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

// key is a source that stands for an account.
type key struct {
	scopes  []string
	fetches *atomic.Int64
}

func (k key) Identity() string { return "key " + strings.Join(k.scopes, " ") }

func (key) Account(context.Context) (string, error) { return "robot@p.iam.gserviceaccount.com", nil }

func (k key) Fetch(context.Context) (*credentials.Token, error) {
	n := k.fetches.Add(1)
	return credentials.NewToken(fmt.Sprintf("secret-%d", n), "Bearer", "robot@p.iam.gserviceaccount.com", time.Now(), time.Hour)
}

func standing(fetches *atomic.Int64) func(context.Context, []string) (credentials.Source, error) {
	if fetches == nil {
		fetches = new(atomic.Int64)
	}
	return func(_ context.Context, scopes []string) (credentials.Source, error) { return key{scopes, fetches}, nil }
}

func TestStandingAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		s := start(t, &sidecar.Options{Source: standing(&fetches), Project: "p", Scopes: []string{"s2", "s1"}})
		const email = "robot@p.iam.gserviceaccount.com"
		const accounts = "instance/service-accounts/"
		for path, want := range map[string]string{
			"":                                     "instance/\nproject/\nuniverse/\n",
			"project/project-id":                   "p",
			"project/project-id?alt=json":          `"p"`,
			"project/?recursive=true":              `{"attributes":{},"projectId":"p"}`,
			"universe/universe-domain":             "googleapis.com",
			"instance/":                            "attributes/\nservice-accounts/\n",
			"instance/?alt=json":                   `["attributes/","service-accounts/"]`,
			accounts:                               "default/\n" + email + "/\n",
			account:                                "aliases\nemail\nidentity\nscopes\ntoken\n",
			account + "email":                      email,
			account + "scopes":                     "s1\ns2\n",
			account + "aliases":                    "default\n",
			account + "?recursive=true":            `{"aliases":["default"],"email":"` + email + `","scopes":["s1","s2"]}`,
			account + "?recursive=true&alt=text":   "aliases default\nemail " + email + "\nscopes s1\nscopes s2\n",
			accounts + email + "/email":            email,
			accounts + "?recursive=true&alt=json":  `{"default":{"aliases":["default"],"email":"` + email + `","scopes":["s1","s2"]},"` + email + `":{"aliases":["default"],"email":"` + email + `","scopes":["s1","s2"]}}`,
			"instance/attributes/?recursive=true":  `{}`,
			"instance/attributes/?wait_for_change": "",
		} {
			if got := value(t, s, path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		for path, want := range map[string]int{
			"instance/zone": 404, "project/project-id/": 404, account + "identity?audience=a": 404, accounts + "other@p.iam.gserviceaccount.com/token": 404,
			"instance": 301, account + "email/x": 404, "project/project-id/x/y": 404,
		} {
			if r := ask(t, s, root+path); r.status != want {
				t.Errorf("%s: %v, want %d", path, r, want)
			}
		}
		first := token(t, s, "")
		if again := token(t, s, "?scopes=s1,s2"); again != first || first.ExpiresIn != 3600 {
			t.Errorf("the server's own scopes: %+v, %+v", first, again)
		}
		if other := token(t, s, "?scopes=s3"); other == first {
			t.Error("other scopes got the same token")
		}
		if n := fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestStandingAloneWithoutProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &sidecar.Options{Source: standing(nil)})
		if r := ask(t, s, root+"project/project-id"); r.status != http.StatusNotFound {
			t.Errorf("%v", r)
		}
		if got := value(t, s, account+"scopes"); got != credentials.CloudPlatform+"\n" {
			t.Errorf("scopes %q", got)
		}
	})
}

// TestTokenOfUnknownLife: clients need a number, and one that they do not take for too little.
func TestTokenOfUnknownLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &sidecar.Options{Source: func(context.Context, []string) (credentials.Source, error) {
			return credentials.Static("given", "me@example.com"), nil
		}})
		if g := token(t, s, ""); g.Token != "given" || g.ExpiresIn != 600 {
			t.Errorf("%+v", g)
		}
	})
}

func TestSourceThatFails(t *testing.T) {
	wrong := errors.New("no such file")
	_, err := sidecar.New(&sidecar.Options{Source: func(context.Context, []string) (credentials.Source, error) { return nil, wrong }})
	if !errors.Is(err, wrong) {
		t.Errorf("%v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &sidecar.Options{Source: func(ctx context.Context, scopes []string) (credentials.Source, error) {
			if len(scopes) > 0 {
				return nil, &credentials.Error{Kind: credentials.Misconfigured, Err: wrong}
			}
			return standing(nil)(ctx, scopes)
		}})
		if r := ask(t, s, root+tokenPath+"?scopes=a"); r.status != http.StatusNotFound {
			t.Errorf("%v", r)
		}
		token(t, s, "")
	})
}

// TestKeyForOtherPrograms: a key file serves tokens and identity tokens to programs that only know the metadata server.
func TestKeyForOtherPrograms(t *testing.T) {
	cloud := emulator.Start(t, nil)
	key := cloud.ServiceAccountKey()
	s := start(t, &sidecar.Options{Source: func(_ context.Context, scopes []string) (credentials.Source, error) {
		return credentials.Key(key, &credentials.KeyOptions{Scopes: scopes})
	}})
	if err := cloud.Issuer().Check(token(t, s, "").Token); err != nil {
		t.Errorf("the token is not good: %v", err)
	}
	identity := value(t, s, identityPath+"?audience=https://a.example")
	if again := value(t, s, identityPath+"?audience=https://a.example"); strings.Count(identity, ".") != 2 || again != identity {
		t.Errorf("identity tokens %.20q, %.20q", identity, again)
	}
	if n := cloud.OAuthRequests(); n != 2 {
		t.Errorf("%d requests to the token endpoint", n)
	}
}
