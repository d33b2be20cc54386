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
			var out strings.Builder
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			if text, err := json.Marshal(v); err == nil {
				out.Write(text)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
			hex := fmt.Sprintf("%x", planted)
			if text := out.String(); strings.Contains(text, planted) || strings.Contains(text, hex) || strings.Contains(text, exponent.String()) || strings.Contains(text, exponent.Text(16)) {
				t.Errorf("%s gives the secret away:\n%s", name, text)
			}
		}
		if text := fmt.Sprint(token); text != redacted {
			t.Errorf("a token prints as %q", text)
		}
		if text := log.String(); strings.Contains(text, planted) || !strings.Contains(text, "token renewed") {
			t.Errorf("the log: %s", text)
		}
	})
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
