package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Point 10: a planted token is in no output of anything that holds it, whichever way it is printed.
func TestRedaction(t *testing.T) {
	const planted = "PLANTED"
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		var refuse atomic.Bool
		client := roundTrip(func(*http.Request) (*http.Response, error) {
			if refuse.Load() {
				return respond(403, "application/json", `{"access_token":"PLANTED"}`), nil
			}
			return respond(200, "application/json", `{"access_token":"PLANTED","expires_in":60}`), nil
		}).client()
		user, err := Key([]byte(`{"type":"authorized_user","client_id":"id","client_secret":"PLANTED","refresh_token":"PLANTED"}`), &KeyOptions{Client: client})
		if err != nil {
			t.Fatal(err)
		}
		account, err := Key([]byte(keyJSON(t, nil)), &KeyOptions{Client: client})
		if err != nil {
			t.Fatal(err)
		}
		exponent := account.(*serviceAccount).key.D
		c := New(Metadata(&MetadataOptions{Client: client}), &Options{Logger: logger})
		defer closing(t, c)
		h := newRegistry(1).open(user, &Options{Logger: logger})
		defer closing(t, h)
		token, _ := get(t, c)
		get(t, h)
		c.Invalidate(token)
		get(t, c)
		refuse.Store(true)
		time.Sleep(2 * time.Minute)
		_, refused := c.Get(t.Context())
		if !errors.Is(refused, ErrRefused) {
			t.Fatalf("got %v", refused)
		}
		refuse.Store(false)
		time.Sleep(time.Minute)
		token, _ = get(t, c)
		static := Static(planted, "me")
		embedded := struct {
			token Token
			ptr   *Token
			any   any
			Named Token
		}{*token, token, token, *token}
		for name, v := range map[string]any{
			"token": token, "token value": *token, "embedded": embedded, "list": []*Token{token},
			"map": map[*Token]Token{token: *token}, "cache": c, "cache value": c.Stats(), "handle": h,
			"static": static, "user": user, "account": account, "error": refused,
			"found": &Found{Source: static}, "options": FindOptions{Source: user}, "transport": Transport(c, nil),
			"hidden": struct{ h hidden }{hide(planted)},
		} {
			notShown(t, name, v, planted, exponent.String(), exponent.Text(16))
		}
		if text := fmt.Sprint(token); text != redacted {
			t.Errorf("a token prints as %q", text)
		}
		if text := log.String(); strings.Contains(text, planted) || !strings.Contains(text, "token renewed") {
			t.Errorf("the log: %s", text)
		}
	})
}

// notShown prints v in every way and looks for the secrets.
func notShown(t *testing.T, name string, v any, secrets ...string) {
	t.Helper()
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	if text, err := json.Marshal(v); err == nil {
		out.Write(text)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	for _, secret := range secrets {
		if text := out.String(); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s gives the secret away:\n%s", name, text)
		}
	}
}

// The same of every source, by itself and inside of others: of their configuration, their identity and what
// they hold.
func TestSourcesAreRedacted(t *testing.T) {
	const planted = "PLANTED"
	client := roundTrip(func(*http.Request) (*http.Response, error) {
		return respond(200, "application/json", `{"access_token":"PLANTED","expires_in":60,"refresh_token":"PLANTED2"}`), nil
	}).client()
	key := func(text string) Source {
		src, err := Key([]byte(text), &KeyOptions{Client: client, AllowExecutables: true, SelfSigned: true})
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	must := func(src Source, err error) Source {
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	const federated = `{"type":"external_account","audience":"a","subject_token_type":"t","client_id":"c","client_secret":"PLANTED","credential_source":`
	user := key(`{"type":"authorized_user","client_id":"id","client_secret":"PLANTED","refresh_token":"PLANTED"}`)
	for name, src := range map[string]Source{
		"impersonated": must(Impersonate(user, "robot@example.com", &ImpersonateOptions{Client: client})),
		"downscoped":   must(Downscope(user, "bucket", "prefix/", &DownscopeOptions{Client: client})),
		"self-signed":  key(keyJSON(t, nil)),
		"identity":     must(IDToken(must(Impersonate(user, "robot@example.com", &ImpersonateOptions{Client: client})), "audience")),
		"command":      must(Command([]string{"echo", planted}, &CommandOptions{Allow: true})),
		"file":         File(write(t, t.TempDir()+"/token", planted), nil),
		"workforce":    key(`{"type":"external_account_authorized_user","client_id":"c","client_secret":"PLANTED","refresh_token":"PLANTED","token_url":"https://sts.example.com/"}`),
		"URL":          key(federated + `{"url":"https://example.com/?secret=PLANTED","headers":{"Authorization":"PLANTED"}}}`),
		"executable":   key(federated + `{"executable":{"command":"/bin/echo PLANTED"}}}`),
	} {
		above := must(Impersonate(src, "robot@example.com", &ImpersonateOptions{Client: client}))
		_, err := src.Fetch(t.Context()) // whether it works or not, it may hold something now
		notShown(t, name, src, planted, "PRIVATE")
		notShown(t, name+" as identity", src.Identity(), planted)
		notShown(t, name+" as name", nameOf(src), planted)
		notShown(t, name+" as error", err, planted)
		notShown(t, name+" below", above, planted, "PRIVATE")
		notShown(t, name+" in a cache", New(src, nil), planted)
		notShown(t, name+" found", Found{Source: src}, planted, "PRIVATE")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
