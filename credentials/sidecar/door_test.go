package sidecar_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
)

func TestDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up, Hosts: []string{"Tokens.Example"}})
		token(t, s, "")
		for _, tc := range []struct {
			what    string
			path    string
			headers []string
			want    int
		}{
			{"a good request", root + tokenPath, nil, 200},
			{"no flavor", root + tokenPath, []string{"Metadata-Flavor: "}, 403},
			{"another flavor", root + tokenPath, []string{"Metadata-Flavor: Other"}, 403},
			{"forwarded", root + tokenPath, []string{"X-Forwarded-For: 10.0.0.1"}, 403},
			{"a forwarded probe", "/", []string{"X-Forwarded-For: 10.0.0.1"}, 403},
			{"a probe without flavor", "/", []string{"Metadata-Flavor: "}, 200},
			{"values without flavor", root + "project/project-id", []string{"Metadata-Flavor: "}, 403},
			{"an identity without flavor", root + account + "identity?audience=a", []string{"Metadata-Flavor: "}, 403},
			{"a rebound name", root + tokenPath, []string{"Host: attacker.example"}, 403},
			{"a rebound name with port", root + tokenPath, []string{"Host: attacker.example:8174"}, 403},
			{"a rebound status page", "/stats", []string{"Host: attacker.example"}, 403},
			{"a name that starts well", root + tokenPath, []string{"Host: localhost.attacker.example"}, 403},
			{"a foreign address", root + tokenPath, []string{"Host: 192.0.2.7"}, 403},
			{"localhost", root + tokenPath, []string{"Host: localhost:8174"}, 200},
			{"LOCALHOST", root + tokenPath, []string{"Host: LOCALHOST"}, 200},
			{"IPv6 loopback", root + tokenPath, []string{"Host: [::1]:8174"}, 200},
			{"IPv6 loopback without port", root + tokenPath, []string{"Host: [::1]"}, 200},
			{"the real address", root + tokenPath, []string{"Host: 169.254.169.254"}, 200},
			{"the real name", root + tokenPath, []string{"Host: metadata.google.internal"}, 200},
			{"the real name, complete", root + tokenPath, []string{"Host: metadata.google.internal."}, 200},
			{"the short name", root + tokenPath, []string{"Host: metadata"}, 200},
			{"a configured name", root + tokenPath, []string{"Host: tokens.example:80"}, 200},
			{"POST", root + tokenPath, []string{"Method: POST"}, 405},
			{"OPTIONS, a browser's question", root + tokenPath, []string{"Method: OPTIONS"}, 405},
			{"another tree", "/latest/meta-data/", nil, 404},
			{"steps up", root + "instance/../instance/service-accounts/default/token", nil, 404},
			{"doubled slashes", root + "instance//service-accounts/default/token", nil, 404},
			{"a backslash", root + `instance%5Cservice-accounts`, nil, 404},
		} {
			r := ask(t, s, tc.path, tc.headers...)
			if r.status != tc.want {
				t.Errorf("%s: %v, want %d", tc.what, r, tc.want)
			}
			if tc.want != 200 && strings.Contains(r.body, "ya29") {
				t.Errorf("%s: there is a token in it: %v", tc.what, r)
			}
			if r.header.Get("Metadata-Flavor") != "Google" || r.header.Get("Server") == "" {
				t.Errorf("%s: answered without the server's marks: %v", tc.what, r.header)
			}
		}
		got := s.Stats().RefusedBy
		if want := (sidecar.RefusedBy{Flavor: 4, Forwarded: 2, Host: 5, Method: 2}); got != want {
			t.Errorf("refused %+v, want %+v", got, want)
		}
	})
}

// TestAddressOfTheConnection is for a server that other machines may reach: they call it by the address they reach.
func TestAddressOfTheConnection(t *testing.T) {
	s := start(t, &sidecar.Options{Transport: newUpstream(nil)})
	ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 80})
	if r := askWith(t, ctx, s, root+tokenPath, "Host: 192.0.2.7:80"); r.status != http.StatusOK {
		t.Errorf("by the address of the connection: %v", r)
	}
	if r := askWith(t, ctx, s, root+tokenPath, "Host: 192.0.2.8:80"); r.status != http.StatusForbidden {
		t.Errorf("by another address: %v", r)
	}
}

// TestOwnUpstream is the mistake of a GCE_METADATA_HOST that the server sees too.
func TestOwnUpstream(t *testing.T) {
	l, err := sidecar.Listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, &sidecar.Options{Upstream: l.Addr().String(), Patience: 1500 * time.Millisecond})
	serve(t, s, l)
	resp, body := request(t, l.Addr().String(), root+"project/project-id", nil)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "Loop Detected") {
		t.Errorf("asking itself: %d %s", resp.StatusCode, body)
	}
	if n := s.Stats().RefusedBy.Loop; n == 0 || n > 30 {
		t.Errorf("%d loops", n)
	}
}

func TestBodiesAreNotReadForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &sidecar.Options{Transport: newUpstream(nil)})
		l := newPipeListener()
		serve(t, s, l)
		c := l.dial(t)
		defer func() { _ = c.Close() }()
		go func() {
			_, _ = io.WriteString(c, "GET "+root+tokenPath+" HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\nContent-Length: 100\r\n\r\n")
		}()
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a request with a body: %d", resp.StatusCode)
		}
		within(t, "the end of a connection whose body never comes", 2*time.Second, func() {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestStatusAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &sidecar.Options{Transport: newUpstream(nil)})
		token(t, s, "")
		for path, want := range map[string]int{
			"/healthz": 200, "/readyz": 200, "/stats": 200, "/metrics": 200, "/": 404, root + tokenPath: 404, root + "project/project-id": 404,
		} {
			w := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil)
			req.Header.Set("Metadata-Flavor", "Google")
			s.Status().ServeHTTP(w, req)
			if w.Code != want || strings.Contains(w.Body.String(), "ya29") {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
		}
	})
}

// TestPathsThatMeanAnother: what the server behind might read as the path of a token must not reach it as a value.
func TestPathsThatMeanAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		token(t, s, "")
		up.failing(says(200, "a token"))
		before := up.count("")
		for _, path := range []string{
			"instance/x/../service-accounts/default/token", "instance//service-accounts/default/token", "instance/./service-accounts/default/token",
			"instance%2F%2Fservice-accounts/default/token", `instance%5Cservice-accounts/default/token`, "instance/service-accounts/default/token%00",
		} {
			if r := ask(t, s, root+path); r.status != http.StatusNotFound {
				t.Errorf("%s: %v", path, r)
			}
		}
		if n := up.count("") - before; n != 0 {
			t.Errorf("%d of them went upstream: %q", n, up.asked[before:])
		}
	})
}
