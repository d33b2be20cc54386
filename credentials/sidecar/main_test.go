package sidecar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is a metadata server in memory, so that it works inside a bubble of fake time. What fails decides instead of
// the emulator, unless it returns nil.
type upstream struct {
	metadata *emulator.Metadata
	issuer   *emulator.Issuer

	mu    sync.Mutex
	asked []string // paths with query, in order
	fails func(req *http.Request) func() (*http.Response, error)
}

func newUpstream(o *emulator.MetadataOptions) *upstream {
	issuer := emulator.NewIssuer()
	return &upstream{metadata: emulator.NewMetadata(o, issuer), issuer: issuer}
}

func (u *upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	u.mu.Lock()
	u.asked = append(u.asked, strings.TrimPrefix(req.URL.RequestURI(), root))
	fails := u.fails
	u.mu.Unlock()
	if fails != nil {
		if answer := fails(req); answer != nil {
			return answer()
		}
	}
	return play(u.metadata, req)
}

// play runs a handler as a server would: one that aborts gives no answer.
func play(h http.Handler, req *http.Request) (resp *http.Response, err error) {
	in := req.Clone(req.Context())
	in.RequestURI, in.RemoteAddr = req.URL.RequestURI(), "192.0.2.1:1"
	w := httptest.NewRecorder()
	defer func() {
		r := recover()
		if aborted, ok := r.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
			resp, err = nil, errors.Join(errors.New("connection reset"), req.Context().Err())
		} else if r != nil {
			panic(r)
		}
	}()
	h.ServeHTTP(w, in)
	return w.Result(), nil
}

// failing makes the upstream fail; nil ends that.
func (u *upstream) failing(how func(req *http.Request) func() (*http.Response, error)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fails = how
}

// count is how often a path was asked for that begins so.
func (u *upstream) count(prefix string) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, path := range u.asked {
		if strings.HasPrefix(path, prefix) {
			n++
		}
	}
	return n
}

// exactly is how often this and nothing else was asked for.
func (u *upstream) exactly(path string) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, asked := range u.asked {
		if asked == path {
			n++
		}
	}
	return n
}

const (
	root      = "/computeMetadata/v1/"
	account   = "instance/service-accounts/default/"
	tokenPath = account + "token"
)

// Ways to fail.
func down(*http.Request) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, fmt.Errorf("connection refused") }
}

func hang(req *http.Request) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
}

// says answers with a body as Google's server would, unless the headers (alternating names and values) say otherwise.
func says(status int, body string, headers ...string) func(*http.Request) func() (*http.Response, error) {
	return func(*http.Request) func() (*http.Response, error) {
		return func() (*http.Response, error) {
			w := httptest.NewRecorder()
			w.Header().Set("Metadata-Flavor", "Google")
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.WriteString(body)
			return w.Result(), nil
		}
	}
}

// only fails for paths that contain part.
func only(part string, how func(*http.Request) func() (*http.Response, error)) func(*http.Request) func() (*http.Response, error) {
	return func(req *http.Request) func() (*http.Response, error) {
		if strings.Contains(req.URL.Path, part) {
			return how(req)
		}
		return nil
	}
}

// start makes a sidecar that is closed when the test ends.
func start(t *testing.T, o *sidecar.Options) *sidecar.Server {
	t.Helper()
	s, err := sidecar.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// reply is what a client gets.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) String() string {
	return fmt.Sprintf("%d %q %.200q", r.status, r.header.Get("Content-Type"), r.body)
}

// ask sends a request straight to the handler, as a good client would; header lines are "Name: value", with Host among them.
func ask(t *testing.T, h http.Handler, path string, headers ...string) reply {
	t.Helper()
	return askWith(t, t.Context(), h, path, headers...)
}

func askWith(t *testing.T, ctx context.Context, h http.Handler, path string, headers ...string) reply {
	t.Helper()
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8174"+path, nil)
	req.Header.Set("Metadata-Flavor", "Google")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Host":
			req.Host = value
		case "Method":
			req.Method = value
		default:
			req.Header[name] = []string{value}
			if value == "" {
				req.Header.Del(name)
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return reply{w.Code, w.Result().Header, w.Body.String()}
}

type grant struct {
	Token     string `json:"access_token"`
	ExpiresIn int64  `json:"expires_in"`
	Kind      string `json:"token_type"`
}

// token asks for one that must be there.
func token(t *testing.T, h http.Handler, query string) grant {
	t.Helper()
	r := ask(t, h, root+tokenPath+query)
	var g grant
	if err := json.Unmarshal([]byte(r.body), &g); err != nil || r.status != http.StatusOK || g.Token == "" || g.Kind != "Bearer" {
		t.Fatalf("no token: %v", r)
	}
	return g
}

// value asks for one that must be there.
func value(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	r := ask(t, h, root+path)
	if r.status != http.StatusOK {
		t.Fatalf("%s: %v", path, r)
	}
	return r.body
}

// within fails a test in which something took longer than it may.
func within(t *testing.T, what string, limit time.Duration, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}
