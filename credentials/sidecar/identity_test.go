package sidecar_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

const identityPath = account + "identity"

// jwt is an identity token with these times, signed by nobody.
func jwt(issued, expires time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(fmt.Appendf(nil, `{"iat":%d,"exp":%d}`, issued.Unix(), expires.Unix())) + ".c2ln"
}

func TestIdentityTokensAreCachedByAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		first := value(t, s, identityPath+"?audience=https://a.example")
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(first, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Audience string `json:"aud"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Audience != "https://a.example" {
			t.Errorf("audience %q, %v", claims.Audience, err)
		}
		for _, same := range []string{"&format=standard", "&licenses=TRUE", "&format=standard&other=1"} {
			if got := value(t, s, identityPath+"?audience=https://a.example"+same); got != first {
				t.Errorf("%s made another token", same)
			}
		}
		value(t, s, identityPath+"?audience=https://b.example")
		value(t, s, identityPath+"?audience=https://a.example&format=full&licenses=TRUE")
		if n := up.count(identityPath); n != 3 {
			t.Errorf("%d fetches for two audiences and two formats: %q", n, up.asked)
		}
		if n := up.exactly(identityPath + "?audience=https%3A%2F%2Fa.example&format=full&licenses=TRUE"); n != 1 {
			t.Errorf("the full format was asked for %d times: %q", n, up.asked)
		}
		// It is renewed ahead of its end, unseen.
		time.Sleep(59 * time.Minute)
		if got := value(t, s, identityPath+"?audience=https://a.example"); got == first {
			t.Error("the token was not renewed")
		}
		for _, bad := range []string{"", "?audience=", "?audience=" + strings.Repeat("a", 5000)} {
			if r := ask(t, s, root+identityPath+bad); r.status != http.StatusBadRequest {
				t.Errorf("%.20s: %v", bad, r)
			}
		}
	})
}

// TestIdentityTokenOfAnotherClock: this machine's clock may be off by more than the token lives.
func TestIdentityTokenOfAnotherClock(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			up := newUpstream(nil)
			s := start(t, &sidecar.Options{Transport: up})
			there := time.Now().Add(skew)
			want := jwt(there.Add(-20*time.Minute), there.Add(40*time.Minute))
			up.failing(only("/identity", says(200, want, "Date", there.UTC().Format(http.TimeFormat))))
			if got := value(t, s, identityPath+"?audience=a"); got != want {
				t.Fatalf("got %q", got)
			}
			up.failing(down)
			time.Sleep(39 * time.Minute)
			if got := value(t, s, identityPath+"?audience=a"); got != want {
				t.Errorf("skew %v, a minute before its end: %q", skew, got)
			}
			time.Sleep(time.Minute)
			if r := ask(t, s, root+identityPath+"?audience=a"); r.status != http.StatusServiceUnavailable {
				t.Errorf("skew %v, after its end: %v", skew, r)
			}
		})
	}
}

func TestWhatIsNoIdentityTokenIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for what, body := range map[string]string{
			"a page":            "<html>Sign in</html>",
			"nothing":           "",
			"no times":          "e30.e30.e30",
			"dead":              jwt(now.Add(-2*time.Hour), now.Add(-time.Hour)),
			"of an absurd life": jwt(now, now.Add(1000*time.Hour)),
			"broken":            "a.b!.c",
			"two lines":         jwt(now, now.Add(time.Hour)) + "\r\nSet-Cookie: a=b",
		} {
			up := newUpstream(nil)
			s := start(t, &sidecar.Options{Transport: up})
			up.failing(only("/identity", says(200, body)))
			r := ask(t, s, root+identityPath+"?audience=a")
			if r.status != http.StatusServiceUnavailable || body != "" && strings.Contains(r.body, body) {
				t.Errorf("%s: %v", what, r)
			}
		}
		for status, want := range map[int]int{403: 403, 401: 403, 404: 404, 400: 404, 429: 503, 500: 503} {
			up := newUpstream(nil)
			s := start(t, &sidecar.Options{Transport: up})
			up.failing(only("/identity", says(status, "<html>no</html>")))
			if r := ask(t, s, root+identityPath+"?audience=a"); r.status != want || strings.Contains(r.body, "<html>") {
				t.Errorf("upstream %d: %v, want %d", status, r, want)
			}
		}
	})
}

// TestErrorsThatClientsUnderstand: 403 and 404 are final for every client, 503 is tried again.
func TestErrorsThatClientsUnderstand(t *testing.T) {
	for status, want := range map[int]int{403: 403, 404: 404, 400: 404, 429: 503, 500: 503, 502: 503} {
		synctest.Test(t, func(t *testing.T) {
			up := newUpstream(nil)
			up.failing(only("/token", says(status, "<html>no</html>", "Content-Type", "text/html", "Retry-After", "3")))
			s := start(t, &sidecar.Options{Transport: up})
			within(t, "a refusal", 6*time.Second, func() {
				r := ask(t, s, root+tokenPath)
				if status == 404 {
					if r.status != 503 { // for 15 s it may be a pod that has just started
						t.Errorf("upstream 404: %v", r)
					}
					return
				}
				if r.status != want || strings.Contains(r.body, "<html>") {
					t.Errorf("upstream %d: %v, want %d", status, r, want)
				}
				if want == 503 && r.header.Get("Retry-After") != "3" {
					t.Errorf("upstream %d: Retry-After %q", status, r.header.Get("Retry-After"))
				}
			})
			time.Sleep(15 * time.Second)
			if r := ask(t, s, root+tokenPath); r.status != want {
				t.Errorf("upstream %d, after 15 s: %v, want %d", status, r, want)
			}
		})
	}
}

func TestLiesAboutTokens(t *testing.T) {
	for what, body := range map[string]string{
		"no life":     `{"access_token":"lie","token_type":"Bearer"}`,
		"zero":        `{"access_token":"lie","expires_in":0,"token_type":"Bearer"}`,
		"negative":    `{"access_token":"lie","expires_in":-5,"token_type":"Bearer"}`,
		"a year":      `{"access_token":"lie","expires_in":31536000,"token_type":"Bearer"}`,
		"empty":       `{"access_token":"","expires_in":3600,"token_type":"Bearer"}`,
		"line break":  `{"access_token":"lie\r\nX: y","expires_in":3600,"token_type":"Bearer"}`,
		"other kind":  `{"access_token":"lie","expires_in":3600,"token_type":"mac"}`,
		"a page":      `<html>lie</html>`,
		"half a JSON": `{"access_token":"lie","expires_in":36`,
	} {
		synctest.Test(t, func(t *testing.T) {
			up := newUpstream(&emulator.MetadataOptions{TokenLifetime: 10 * time.Minute})
			s := start(t, &sidecar.Options{Transport: up})
			good := token(t, s, "")
			up.failing(only("/token", says(200, body, "Content-Type", "application/json")))
			if r := ask(t, s, root+tokenPath+"?scopes=x"); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "lie") {
				t.Errorf("%s: %v", what, r)
			}
			time.Sleep(9 * time.Minute)
			if g := token(t, s, ""); g.Token != good.Token {
				t.Errorf("%s: the good token was replaced", what)
			}
		})
	}
}
