package sidecar_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

func TestTokenIsCountedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{TokenLifetime: time.Hour})
		s := start(t, &sidecar.Options{Transport: up})
		first := token(t, s, "")
		if first.ExpiresIn != 3600 {
			t.Errorf("expires_in %d of a new token", first.ExpiresIn)
		}
		time.Sleep(10*time.Minute + 400*time.Millisecond)
		again := token(t, s, "")
		if again.Token != first.Token || again.ExpiresIn != 3599-600 {
			t.Errorf("after 10 min 0.4 s: expires_in %d, same token %t", again.ExpiresIn, again.Token == first.Token)
		}
		if n := up.count(tokenPath); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestTokenStorm is the failure that the server is there to cure: everybody at once, and a slow server that repeats itself.
func TestTokenStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{Latency: 750 * time.Millisecond, ReuseUntil: 2 * time.Minute})
		s := start(t, &sidecar.Options{Transport: up, MaxWaiting: 2000})
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { token(t, s, "") })
		}
		within(t, "the cold start of 1,000 clients", time.Second, wg.Wait)
		if n := up.count(tokenPath); n != 1 {
			t.Errorf("%d fetches for 1,000 clients", n)
		}
		// The whole of a token's end, with clients that think it too old and ask each time.
		end := time.Now().Add(time.Hour)
		time.Sleep(55 * time.Minute)
		for time.Now().Before(end) {
			within(t, "a token", 0, func() { token(t, s, "") })
			time.Sleep(100 * time.Millisecond)
		}
		if n := up.count(tokenPath); n > 7 {
			t.Errorf("%d fetches in a life and its end", n)
		}
	})
}

func TestNoTokenIsServedThatIsAboutToDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{TokenLifetime: time.Minute, ReuseUntil: time.Second})
		s := start(t, &sidecar.Options{Transport: up})
		first := token(t, s, "")
		up.failing(down)
		time.Sleep(57900 * time.Millisecond)
		if g := token(t, s, ""); g.Token != first.Token || g.ExpiresIn != 2 {
			t.Errorf("with 2.1 s left: expires_in %d", g.ExpiresIn)
		}
		time.Sleep(200 * time.Millisecond) // 1.9 s left: the cache still has it, but it is not worth sending
		began := time.Now()
		r := ask(t, s, root+tokenPath)
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || time.Since(began) > 6*time.Second {
			t.Errorf("with 1.9 s left and the upstream down: %v after %v", r, time.Since(began))
		}
		up.failing(nil)
		if g := token(t, s, ""); g.Token == first.Token || g.ExpiresIn < 50 {
			t.Errorf("after recovery: expires_in %d", g.ExpiresIn)
		}
	})
}

func TestTokenQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		plain := token(t, s, "")
		if g := token(t, s, "?audience=https://www.googleapis.com/oauth2/v4/token"); g != plain {
			t.Error("an audience, which some clients send for access tokens too, made another token")
		}
		scoped := token(t, s, "?scopes=b,a")
		if scoped.Token == plain.Token {
			t.Error("scopes made no difference")
		}
		for _, same := range []string{"?scopes=a,b", "?scopes=a&scopes=b", "?scopes=a%20b", "?scopes=a,b,a"} {
			if g := token(t, s, same); g != scoped {
				t.Errorf("%s made another token", same)
			}
		}
		if n := up.count(tokenPath); n != 2 {
			t.Errorf("%d fetches for one account and one set of scopes: %q", n, up.asked)
		}
		token(t, s, "?transport=ALTS")
		if n := up.count(tokenPath + "?transport=alts"); n != 1 {
			t.Errorf("a token bound to a transport was asked for %d times as such", n)
		}
		token(t, s, "?transport=mtls&binding-enforcement=iam-policy&scopes=a")
		if n := up.count(tokenPath + "?scopes=a&binding-enforcement=iam-policy&transport=mtls"); n != 1 {
			t.Errorf("a bound token with scopes was asked for %d times as such: %q", n, up.asked)
		}
		r := ask(t, s, root+tokenPath+"?alt=text")
		if want := "access_token " + plain.Token + "\nexpires_in 3600\ntoken_type Bearer\n"; r.body != want {
			t.Errorf("as text: %v", r)
		}
		fetches := up.count("")
		for _, bad := range []string{
			"?scopes=%00", "?scopes=caf%C3%A9", "?transport=a%26b=c", "?scopes=" + strings.Repeat("a,", 65), "?scopes=" + strings.Repeat("a", 5000),
		} {
			if r := ask(t, s, root+tokenPath+bad); r.status != http.StatusBadRequest {
				t.Errorf("%.40s: %v", bad, r)
			}
		}
		if n := up.count(""); n != fetches {
			t.Errorf("bad queries caused %d requests upstream", n-fetches)
		}
		if r := ask(t, s, root+tokenPath, "Method: HEAD"); r.status != http.StatusOK {
			t.Errorf("HEAD: %v", r)
		}
	})
}

func TestScopesOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up, Scopes: []string{"a,b"}})
		if token(t, s, "") != token(t, s, "?scopes=b,a") {
			t.Error("a request without scopes did not get those of the server")
		}
		if n := up.count(tokenPath + "?scopes=a%2Cb"); n != 1 {
			t.Errorf("asked %q", up.asked)
		}
	})
}

func TestAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{Account: "job@p.iam.gserviceaccount.com"})
		s := start(t, &sidecar.Options{Transport: up, Accounts: []string{"default", "job@p.iam.gserviceaccount.com"}})
		path := func(account string) string { return root + "instance/service-accounts/" + account + "/token" }
		if r := ask(t, s, path("job@p.iam.gserviceaccount.com")); r.status != http.StatusOK {
			t.Errorf("the account by its address: %v", r)
		}
		synctest.Wait() // until the tokens that are kept ready are there
		// One that does not exist is told so at once, and costs one question in 5 s, not a cache that insists.
		within(t, "no such account", 0, func() {
			for range 3 {
				if r := ask(t, s, path("other@p.iam.gserviceaccount.com")); r.status != http.StatusNotFound {
					t.Errorf("an account that does not exist: %v", r)
				}
			}
		})
		if n := up.count("instance/service-accounts/other@"); n != 1 {
			t.Errorf("%d requests about an account that does not exist", n)
		}
		before := up.count("")
		for _, bad := range []string{"a%2Fb", "%3Cscript%3E", strings.Repeat("a", 300), "a%20b"} {
			if r := ask(t, s, path(bad)); r.status != http.StatusNotFound {
				t.Errorf("%.20s: %v", bad, r)
			}
		}
		if n := up.count("") - before; n > 1 { // a/b is a path below the account a
			t.Errorf("%d requests upstream for what cannot be an account: %q", n, up.asked[before:])
		}
	})
}
