package credentials

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is a network in memory.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f(req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func (f roundTrip) client() *http.Client { return &http.Client{Transport: f} }

func respond(status int, kind, body string) *http.Response {
	h := make(http.Header)
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

const good = `{"access_token":"ya29.good","expires_in":3599,"token_type":"Bearer"}`

func TestMetadataRequest(t *testing.T) {
	src := Metadata(&MetadataOptions{
		Host: "http://127.0.0.1:8080/", Account: "robot@example.com", Scopes: []string{"a", "b"},
		Client: roundTrip(func(req *http.Request) (*http.Response, error) {
			if got := req.URL.String(); got != "http://127.0.0.1:8080/computeMetadata/v1/instance/service-accounts/robot@example.com/token?scopes=a%2Cb" {
				t.Errorf("asked %s", got)
			}
			if req.Header.Get("Metadata-Flavor") != "Google" {
				t.Error("the request lacks Metadata-Flavor: Google")
			}
			return respond(200, "application/json", good), nil
		}).client(),
	})
	token, err := src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if token.Authorization() != "Bearer ya29.good" || token.Value() != "ya29.good" || token.Account() != "robot@example.com" {
		t.Error("the token is not the one that was sent")
	}
	if life := token.deadline.Sub(token.sent); life != 3599*time.Second {
		t.Errorf("life %v", life)
	}
}

// Points 6 and 8: what a server may answer, and what that means.
func TestMetadataAnswers(t *testing.T) {
	js := "application/json"
	for name, c := range map[string]struct {
		status     int
		kind, body string
		want       error
	}{
		"good":             {200, js, good, nil},
		"charset":          {200, "application/json; charset=UTF-8", good, nil},
		"no type":          {200, "", good, nil},
		"life as text":     {200, js, `{"access_token":"x","expires_in":"60"}`, nil},
		"page":             {200, "text/html", "<html>sign in</html>", ErrUnavailable},
		"token in a page":  {200, "text/html", good, ErrUnavailable},
		"page as text":     {200, "text/plain", "<html>", ErrUnavailable},
		"bytes":            {200, "application/octet-stream", good, ErrUnavailable},
		"empty":            {200, js, "", ErrUnavailable},
		"cut":              {200, js, good[:40], ErrUnavailable},
		"too long":         {200, js, good + strings.Repeat(" ", maxBody), ErrUnavailable},
		"no token":         {200, js, `{"expires_in":60}`, ErrUnavailable},
		"no life":          {200, js, `{"access_token":"x"}`, ErrUnavailable},
		"no life left":     {200, js, `{"access_token":"x","expires_in":0}`, ErrUnavailable},
		"negative life":    {200, js, `{"access_token":"x","expires_in":-3600}`, ErrUnavailable},
		"life of a year":   {200, js, `{"access_token":"x","expires_in":31536000}`, ErrUnavailable},
		"life overflows":   {200, js, `{"access_token":"x","expires_in":9223372036854775807}`, ErrUnavailable},
		"life wraps":       {200, js, `{"access_token":"x","expires_in":18446744077}`, ErrUnavailable},
		"life is no count": {200, js, `{"access_token":"x","expires_in":1e3}`, ErrUnavailable},
		"life is null":     {200, js, `{"access_token":"x","expires_in":null}`, ErrUnavailable},
		"header injection": {200, js, `{"access_token":"x\r\nHost: evil","expires_in":60}`, ErrUnavailable},
		"other type":       {200, js, `{"access_token":"x","expires_in":60,"token_type":"MAC"}`, ErrUnavailable},
		"redirect":         {302, "", "", ErrUnavailable},
		"bad request":      {400, "", "", ErrMisconfigured},
		"unauthorized":     {401, "", "", ErrRefused},
		"forbidden":        {403, "text/plain", "no iam.serviceAccounts.getAccessToken", ErrRefused},
		"not found":        {404, "", "", ErrMisconfigured},
		"throttled":        {429, "", "", ErrUnavailable},
		"broken":           {500, js, good, ErrUnavailable},
		"proxy":            {502, "text/html", "<html>", ErrUnavailable},
		"overloaded":       {503, "", "", ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			src := Metadata(&MetadataOptions{Client: roundTrip(func(*http.Request) (*http.Response, error) {
				return respond(c.status, c.kind, c.body), nil
			}).client()})
			token, err := src.Fetch(t.Context())
			switch {
			case c.want == nil && err != nil:
				t.Fatalf("refused: %v", err)
			case c.want != nil && token != nil:
				t.Fatal("taken for a token")
			case !errors.Is(err, c.want):
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "ya29") || strings.Contains(err.Error(), "<html>")) {
				t.Errorf("the error repeats the answer: %v", err)
			}
		})
	}
}

// Trap 10, as the cache sees it: a new pod's server refuses, then knows nobody, then answers.
func TestMetadataOfNewPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		src := Metadata(&MetadataOptions{Client: roundTrip(func(*http.Request) (*http.Response, error) {
			switch at := time.Since(start); {
			case at < 3*time.Second:
				return nil, errors.New("connect: connection refused")
			case at < 5*time.Second:
				return respond(404, "", ""), nil
			case at < 6*time.Second:
				return respond(503, "text/html", "<html>"), nil
			}
			return respond(200, "application/json", good), nil
		}).client()})
		c := New(src, nil)
		defer closing(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := c.Get(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("noticed only after %v", took)
		}
	})
}

// A permission that is really missing is told long before a caller's minute is over.
func TestMetadataForbids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := Metadata(&MetadataOptions{Client: roundTrip(func(*http.Request) (*http.Response, error) {
			return respond(403, "text/plain", "permission denied on robot@example.com"), nil
		}).client()})
		c := New(src, nil)
		defer closing(t, c)
		began := time.Now()
		_, err := c.Get(t.Context())
		if took := time.Since(began); !errors.Is(err, ErrRefused) || took > 4*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		var detected interface{ CredentialsError() string }
		if !errors.As(err, &detected) || detected.CredentialsError() != "refused" {
			t.Error("other packages cannot tell what this is")
		}
		if !strings.Contains(err.Error(), "permission denied on robot@example.com") {
			t.Errorf("the server's reason is lost: %v", err)
		}
	})
}

func TestMetadataAccount(t *testing.T) {
	src := Metadata(&MetadataOptions{Client: roundTrip(func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.URL.Path, "/default/email") {
			t.Errorf("asked %s", req.URL)
		}
		return respond(200, "application/text", "robot@example.com\n"), nil
	}).client()})
	if got := AccountOf(t.Context(), src); got != "robot@example.com" {
		t.Errorf("account %q", got)
	}
}

// A captive portal redirects to whatever it likes.
func TestMetadataRedirect(t *testing.T) {
	src := Metadata(&MetadataOptions{Client: roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host != MetadataHost {
			t.Errorf("followed to %s", req.URL)
		}
		resp := respond(302, "application/json", good)
		resp.Header.Set("Location", "https://portal.example.com/")
		return resp, nil
	}).client()})
	if _, err := src.Fetch(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// The default client over real sockets.
func TestMetadataOverSockets(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !req.Close {
			t.Error("the client wants to keep the connection")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, good)
	}))
	defer up.Close()
	h := Shared(Metadata(&MetadataOptions{Host: up.Listener.Addr().String()}), nil)
	defer closing(t, h)
	token, _ := get(t, h)
	if token.Value() != "ya29.good" {
		t.Error("another token")
	}
}
