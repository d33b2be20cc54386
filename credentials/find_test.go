package credentials

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// machine is a computer on which nothing is set up; a test adds what it is about.
func machine(t *testing.T, env map[string]string, network roundTrip) *FindOptions {
	t.Helper()
	home := t.TempDir()
	if network == nil {
		network = func(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH }
	}
	return &FindOptions{
		Home:      home,
		LookupEnv: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
		Client:    network.client(),
		board:     filepath.Join(home, "board"),
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindOrder(t *testing.T) {
	key := keyJSON(t, nil)
	file := write(t, filepath.Join(t.TempDir(), "key.json"), key)
	env := map[string]string{
		"GOOGLE_SERVICE_ACCOUNT_KEY":     key,
		"GOOGLE_SERVICE_ACCOUNT":         file,
		"GOOGLE_APPLICATION_CREDENTIALS": file,
		"GCE_METADATA_HOST":              "127.0.0.1:1",
	}
	o := machine(t, env, nil)
	o.Source = Static("secret", "me")
	login := write(t, filepath.Join(o.Home, ".config/gcloud/application_default_credentials.json"),
		`{"type":"authorized_user","client_id":"id","refresh_token":"r","account":"person@example.com"}`)
	remove := []func(){
		func() { o.Source = nil },
		func() { delete(env, "GOOGLE_SERVICE_ACCOUNT_KEY") },
		func() { env["GOOGLE_SERVICE_ACCOUNT"] = "" }, // set to nothing is not set
		func() { delete(env, "GOOGLE_APPLICATION_CREDENTIALS") },
		func() { write(t, login, "{") }, // a login nobody named may be useless
	}
	accounts := []string{"me", "robot@example.iam.gserviceaccount.com", "robot@example.iam.gserviceaccount.com",
		"robot@example.iam.gserviceaccount.com", "person@example.com", ""}
	for i, p := range places() {
		found, err := Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if found.Name != p.name || found.Account != accounts[i] || len(found.Tried) != i {
			t.Errorf("found %q for %q after %v, want %q for %q", found.Name, found.Account, found.Tried, p.name, accounts[i])
		}
		for _, a := range found.Tried {
			if a.Reason == "" {
				t.Errorf("%s was passed over without a reason", a.Source)
			}
		}
		if i < len(remove) {
			remove[i]()
		}
	}
}

// Looking makes no request, whatever the source goes over.
func TestFindAsksNobody(t *testing.T) {
	o := machine(t, nil, func(req *http.Request) (*http.Response, error) {
		t.Errorf("asked %s", req.URL)
		return nil, syscall.EHOSTUNREACH
	})
	machine := Metadata(&MetadataOptions{Client: o.Client})
	narrow, err := Downscope(machine, "bucket", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := IDToken(machine, "audience")
	if err != nil {
		t.Fatal(err)
	}
	for _, o.Source = range []Source{machine, narrow, id} {
		if found, err := Find(t.Context(), o); err != nil || found.Account != "" {
			t.Errorf("%+v, %v", found, err)
		}
	}
	o.Source = Metadata(&MetadataOptions{Client: o.Client, Account: "robot@example.com"})
	if found, err := Find(t.Context(), o); err != nil || found.Account != "robot@example.com" {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestFindNothing(t *testing.T) {
	began := time.Now()
	_, err := Find(t.Context(), machine(t, nil, nil))
	if !errors.Is(err, ErrMisconfigured) {
		t.Fatalf("got %v", err)
	}
	for _, p := range places() {
		if !strings.Contains(err.Error(), p.name+": ") {
			t.Errorf("%q does not tell about %s", err, p.name)
		}
	}
	if listed, ok := errors.AsType[*FindError](err); !ok || len(listed.Tried) != len(places()) {
		t.Error("the places tried are not all listed")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v where nothing needs to be waited for", took)
	}
}

// Credentials that somebody named and that do not work are an error: others must not take their place.
func TestFindBroken(t *testing.T) {
	key := keyJSON(t, nil)
	garbage := write(t, filepath.Join(t.TempDir(), "garbage"), "BEGIN garbage")
	for name, env := range map[string]map[string]string{
		"path instead of key": {"GOOGLE_SERVICE_ACCOUNT_KEY": "/etc/key.json"},
		"key instead of path": {"GOOGLE_SERVICE_ACCOUNT": key},
		"PEM instead of path": {"GOOGLE_SERVICE_ACCOUNT": testPEM(t)},
		"no such file":        {"GOOGLE_APPLICATION_CREDENTIALS": "/does/not/exist"},
		"garbage":             {"GOOGLE_APPLICATION_CREDENTIALS": garbage},
		"cut key":             {"GOOGLE_SERVICE_ACCOUNT_KEY": key[:len(key)-3]},
	} {
		t.Run(name, func(t *testing.T) {
			env["GCE_METADATA_HOST"] = "127.0.0.1:1"
			_, err := Find(t.Context(), machine(t, env, nil))
			if !errors.Is(err, ErrMisconfigured) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), "MII") || len(err.Error()) > 600 {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func testPEM(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(keyJSON(t, nil), `"private_key":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return strings.ReplaceAll(text, `\n`, "\n")
}

func TestFindOnly(t *testing.T) {
	o := machine(t, map[string]string{"GOOGLE_SERVICE_ACCOUNT_KEY": keyJSON(t, nil), "GCE_METADATA_HOST": "127.0.0.1:1"}, nil)
	o.Only = "metadata"
	found, err := Find(t.Context(), o)
	if err != nil || found.Name != "metadata" {
		t.Errorf("found %+v, %v", found, err)
	}
	o.Only = "nonsense"
	if _, err := Find(t.Context(), o); !errors.Is(err, ErrMisconfigured) {
		t.Errorf("got %v", err)
	}
}

// Whether there is a metadata server: quickly no elsewhere, and never wrongly no in a pod that just started.
func TestFindMetadata(t *testing.T) {
	flavor := func(status int) roundTrip {
		return func(*http.Request) (*http.Response, error) {
			resp := respond(status, "text/plain", "")
			resp.Header.Set("Metadata-Flavor", "Google")
			return resp, nil
		}
	}
	fails := func(err error) roundTrip {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	foreign := func(status int) roundTrip {
		return func(*http.Request) (*http.Response, error) { return respond(status, "text/plain", "other cloud"), nil }
	}
	kube := map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
	for name, c := range map[string]struct {
		env     map[string]string
		board   string
		network roundTrip
		want    bool
	}{
		"Google Cloud":          {nil, "", flavor(200), true},
		"Google Cloud, broken":  {nil, "", flavor(503), true},
		"another cloud":         {nil, "", foreign(401), false},
		"refused":               {nil, "", fails(syscall.ECONNREFUSED), false},
		"pod, refused":          {kube, "", fails(syscall.ECONNREFUSED), true},
		"pod, 5xx":              {kube, "", foreign(503), true},
		"pod of another cloud":  {kube, "", foreign(401), false},
		"Google's board":        {nil, "Google Compute Engine\n", fails(syscall.EHOSTUNREACH), true},
		"other board":           {nil, "Standard PC\n", fails(syscall.EHOSTUNREACH), false},
		"named":                 {map[string]string{"GCE_METADATA_HOST": "m:80"}, "", fails(syscall.EHOSTUNREACH), true},
		"named by nothing":      {map[string]string{"GCE_METADATA_HOST": ""}, "", fails(syscall.EHOSTUNREACH), false},
		"silence":               {nil, "", silence, false},
		"pod, nothing but home": {kube, "", silence, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := machine(t, c.env, c.network)
				write(t, o.board, c.board)
				began := time.Now()
				found, err := Find(t.Context(), o)
				if (err == nil) != c.want {
					t.Errorf("found %v, %v", found, err)
				}
				if took := time.Since(began); took > probeTime {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func silence(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}
