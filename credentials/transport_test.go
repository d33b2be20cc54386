package credentials

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// api accepts one token.
type api struct {
	t        *testing.T
	accepts  string
	requests int
	bodies   []string
}

func (a *api) RoundTrip(req *http.Request) (*http.Response, error) {
	a.requests++
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			a.t.Error(err)
		}
		a.bodies = append(a.bodies, string(body))
	}
	if req.Header.Get("Authorization") == "Bearer "+a.accepts {
		return respond(200, "", "ok"), nil
	}
	return respond(401, "", "no"), nil
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{name: "a", life: time.Hour}
		c := New(s, nil)
		defer closing(t, c)
		a := &api{t: t, accepts: "a-token-1"}
		rt := Transport(c, a)
		send := func(req *http.Request) int {
			t.Helper()
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		req := request(t, "GET", "https://storage.example.com/o", nil)
		req.Header.Set("X-Other", "kept")
		if got := send(req); got != 200 || s.fetches() != 1 {
			t.Fatalf("status %d, %d fetches", got, s.fetches())
		}
		if req.Header.Get("Authorization") != "" || len(req.Header) != 1 {
			t.Error("the caller's request was changed")
		}

		// Point 7: the token is revoked; the body is sent again with the next one.
		s.revoke()
		a.accepts = "a-token-2"
		if got := send(request(t, "PUT", "https://storage.example.com/o", strings.NewReader("body"))); got != 200 || s.fetches() != 2 {
			t.Errorf("status %d, %d fetches", got, s.fetches())
		}
		if len(a.bodies) != 2 || a.bodies[1] != "body" {
			t.Errorf("bodies %q", a.bodies)
		}

		// A body that cannot be sent again: the answer is the caller's, the token is dropped all the same.
		s.revoke()
		a.accepts = "a-token-3"
		once := request(t, "PUT", "https://storage.example.com/o", io.MultiReader(strings.NewReader("once")))
		if got := send(once); got != 401 {
			t.Errorf("status %d", got)
		}
		if got := send(request(t, "GET", "https://storage.example.com/o", nil)); got != 200 || s.fetches() != 3 {
			t.Errorf("status %d, %d fetches", got, s.fetches())
		}
	})
}

func TestTransportSecond401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{name: "a", life: time.Hour}
		c := New(s, nil)
		defer closing(t, c)
		a := &api{t: t, accepts: "nothing"}
		for range 1000 {
			_, err := Transport(c, a).RoundTrip(request(t, "GET", "https://storage.example.com/o?secret=1", nil))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != Refused || e.Account != "robot@example.com" || !strings.Contains(err.Error(), "storage.example.com") {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "token-") || strings.Contains(err.Error(), "secret") {
				t.Fatalf("the error tells too much: %v", err)
			}
		}
		if a.requests > 1004 {
			t.Errorf("%d requests, with no new token to send", a.requests)
		}
		if n := s.fetches(); n > 4 {
			t.Errorf("%d fetches for a service that refuses every token", n)
		}
	})
}

func TestTransportKeepsTheTokenHome(t *testing.T) {
	s := &server{name: "a", life: time.Hour}
	c := New(s, nil)
	defer closing(t, c)
	var sent bool
	rt := Transport(c, roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req.Header.Get("Authorization") != ""
		return respond(200, "", ""), nil
	}))
	for address, want := range map[string]bool{
		"https://storage.example.com/": true,
		"http://localhost:9000/":       true,
		"http://127.0.0.1:9000/":       true,
		"http://127.8.7.6/":            true,
		"http://[::1]:9000/":           true,
		"http://storage.example.com/":  false,
		"http://localhost.evil.com/":   false,
		"http://127.0.0.1.evil.com/":   false,
		"http://10.0.0.1/":             false,
		"http://[::]/":                 false,
		"http://0.0.0.0/":              false,
		"ftp://storage.example.com/":   false,
	} {
		sent = false
		resp, err := rt.RoundTrip(request(t, "GET", address, nil))
		if err == nil {
			_ = resp.Body.Close()
		} else if !errors.Is(err, ErrMisconfigured) {
			t.Errorf("%s: %v", address, err)
		}
		if sent != want {
			t.Errorf("%s: token sent: %v, want %v", address, sent, want)
		}
	}
}

func TestTransportRedirects(t *testing.T) {
	c := New(&server{name: "a", life: time.Hour}, nil)
	defer closing(t, c)
	sent := make(map[string]bool)
	client := &http.Client{Transport: Transport(c, roundTrip(func(req *http.Request) (*http.Response, error) {
		sent[req.URL.String()] = req.Header.Get("Authorization") != ""
		next := map[string]string{
			"https://a.example.com/1":    "https://a.example.com/2",
			"https://a.example.com/2":    "https://evil.example.com/3",
			"https://evil.example.com/3": "https://evil.example.com/4",
		}[req.URL.String()]
		if next == "" {
			return respond(200, "", ""), nil
		}
		resp := respond(307, "", "")
		resp.Header.Set("Location", next)
		return resp, nil
	}))}
	resp, err := client.Do(request(t, "GET", "https://a.example.com/1", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for address, want := range map[string]bool{
		"https://a.example.com/1": true, "https://a.example.com/2": true,
		"https://evil.example.com/3": false, "https://evil.example.com/4": false,
	} {
		if got, asked := sent[address]; !asked || got != want {
			t.Errorf("%s: token sent: %v, want %v", address, got, want)
		}
	}
}

type noTokens struct{ err error }

func (n noTokens) Get(context.Context) (*Token, error) { return nil, n.err }
func (n noTokens) Invalidate(*Token)                   {}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestTransportClosesBodies(t *testing.T) {
	rt := Transport(noTokens{ErrClosed}, nil)
	for _, address := range []string{"https://storage.example.com/", "http://storage.example.com/"} {
		body := &closeCounter{Reader: strings.NewReader("x")}
		if _, err := rt.RoundTrip(request(t, "PUT", address, body)); err == nil {
			t.Errorf("%s: no error", address)
		}
		if body.closed != 1 {
			t.Errorf("%s: the body was closed %d times", address, body.closed)
		}
	}
}
