package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2/google"

	"github.com/tidemark-go/tidemark/emulator"
)

// get asks the metadata server as clients do; header lines are "Name: value".
func get(t *testing.T, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

const flavor = "Metadata-Flavor: Google"

func TestMetadataValues(t *testing.T) {
	cloud := emulator.Start(t, &emulator.Options{Metadata: &emulator.MetadataOptions{
		Account: "job@p.iam.gserviceaccount.com", Project: "p", Attributes: map[string]string{"cluster-name": "blue"},
	}})
	const account = "/computeMetadata/v1/instance/service-accounts/"
	for _, tc := range []struct {
		path, want, kind string
		status           int
	}{
		{"/", "computeMetadata/\n", "application/text", 200},
		{"/computeMetadata/", "v1/\n", "application/text", 200},
		{"/computeMetadata/v1/", "instance/\nproject/\nuniverse/\n", "application/text", 200},
		{"/computeMetadata/v1/project/project-id", "p", "application/text", 200},
		{"/computeMetadata/v1/project/project-id?alt=json", `"p"`, "application/json", 200},
		{"/computeMetadata/v1/project/numeric-project-id?alt=json", `123456789012`, "application/json", 200},
		{"/computeMetadata/v1/instance/attributes/cluster-name", "blue", "application/text", 200},
		{"/computeMetadata/v1/instance/attributes/?recursive=true", `{"cluster-name":"blue"}`, "application/json", 200},
		{"/computeMetadata/v1/instance/tags", "[]", "application/json", 200},
		{"/computeMetadata/v1/instance/network-interfaces/0/ip", "10.128.0.2", "application/text", 200},
		{"/computeMetadata/v1/universe/universe-domain", "googleapis.com", "application/text", 200},
		{account, "default/\njob@p.iam.gserviceaccount.com/\n", "application/text", 200},
		{account + "default/", "aliases\nemail\nidentity\nscopes\ntoken\n", "application/text", 200},
		{account + "default/email", "job@p.iam.gserviceaccount.com", "application/text", 200},
		{account + "default/scopes", emulator.DefaultScope + "\n", "application/text", 200},
		{account + "default/aliases", "default\n", "application/text", 200},
		{account + "job@p.iam.gserviceaccount.com/email", "job@p.iam.gserviceaccount.com", "application/text", 200},
		{account + "default/?recursive=true",
			`{"aliases":["default"],"email":"job@p.iam.gserviceaccount.com","scopes":["` + emulator.DefaultScope + `"]}`,
			"application/json", 200},
		{account + "default/?recursive=true&alt=text",
			"aliases default\nemail job@p.iam.gserviceaccount.com\nscopes " + emulator.DefaultScope + "\n", "application/text", 200},
		{account + "other@p.iam.gserviceaccount.com/token", "", "text/html; charset=UTF-8", 404},
		{account + "default/identity", "", "text/html; charset=UTF-8", 400},
		{"/computeMetadata/v1/instance/platform-security/auto-mtls-configuration", "", "text/html; charset=UTF-8", 404},
		{"/computeMetadata/v1/project/project-id/", "", "text/html; charset=UTF-8", 404},
		{"/elsewhere", "", "text/html; charset=UTF-8", 404},
	} {
		resp, body := get(t, cloud.MetadataURL()+tc.path, flavor)
		if resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != tc.kind || (tc.want != "" && body != tc.want) {
			t.Errorf("%s: got %d %s %q, want %d %s %q",
				tc.path, resp.StatusCode, resp.Header.Get("Content-Type"), body, tc.status, tc.kind, tc.want)
		}
		if resp.Header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("%s: no Metadata-Flavor in the reply", tc.path)
		}
	}

	_, body := get(t, cloud.MetadataURL()+"/computeMetadata/v1/instance/?recursive=true", flavor)
	var instance struct {
		ServiceAccounts   map[string]struct{ Email string }
		MachineType       string
		NetworkInterfaces []struct{ IP string }
	}
	if err := json.Unmarshal([]byte(body), &instance); err != nil {
		t.Fatal(err)
	}
	if instance.ServiceAccounts["default"].Email == "" || instance.MachineType == "" || len(instance.NetworkInterfaces) != 1 {
		t.Errorf("the recursive instance lacks values: %s", body)
	}
	resp, _ := get(t, cloud.MetadataURL()+"/computeMetadata/v1/instance", flavor)
	if resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != "/computeMetadata/v1/instance/" {
		t.Errorf("a directory without its slash: %d, Location %q", resp.StatusCode, resp.Header.Get("Location"))
	}
}

func TestMetadataRefuses(t *testing.T) {
	cloud := emulator.Start(t, nil)
	token := cloud.MetadataURL() + "/computeMetadata/v1/instance/service-accounts/default/token"
	for _, headers := range [][]string{nil, {"Metadata-Flavor: Other"}, {flavor, "X-Forwarded-For: 10.0.0.1"}} {
		if resp, body := get(t, token, headers...); resp.StatusCode != http.StatusForbidden || strings.Contains(body, "ya29") {
			t.Errorf("headers %q: got %d", headers, resp.StatusCode)
		}
	}
	if s := cloud.Metadata().Stats(); s.Refused != 3 || s.TokenRequests != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestGoMetadataClient(t *testing.T) {
	cloud := emulator.Start(t, nil)
	t.Setenv("GCE_METADATA_HOST", cloud.MetadataHost())
	ctx := t.Context()
	client := metadata.NewClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	email, err := client.EmailWithContext(ctx, "")
	if err != nil || !strings.Contains(email, "@") {
		t.Errorf("email %q, %v", email, err)
	}
	scopes, err := client.ScopesWithContext(ctx, "default")
	if err != nil || len(scopes) != 1 || scopes[0] != emulator.DefaultScope {
		t.Errorf("scopes %q, %v", scopes, err)
	}
	if zone, err := client.ZoneWithContext(ctx); err != nil || zone != "us-central1-a" {
		t.Errorf("zone %q, %v", zone, err)
	}
	if tags, err := client.InstanceTagsWithContext(ctx); err != nil || len(tags) != 0 {
		t.Errorf("tags %q, %v", tags, err)
	}
	var notDefined metadata.NotDefinedError
	if _, err := client.InstanceAttributeValueWithContext(ctx, "none"); !errors.As(err, &notDefined) {
		t.Errorf("an attribute that does not exist: %v", err)
	}

	// wait_for_change: the subscriber hears the value and its change.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var heard []string
	err = client.SubscribeWithContext(ctx, "instance/preempted", func(_ context.Context, v string, _ bool) error {
		heard = append(heard, v)
		if v == "TRUE" {
			cancel()
			return nil
		}
		cloud.Metadata().Set("instance/preempted", "TRUE")
		return nil
	})
	if !errors.Is(err, context.Canceled) || strings.Join(heard, " ") != "FALSE TRUE" {
		t.Errorf("subscribe heard %q, %v", heard, err)
	}
}

func TestComputeTokenSource(t *testing.T) {
	cloud := emulator.Start(t, nil)
	t.Setenv("GCE_METADATA_HOST", cloud.MetadataHost())
	token, err := google.ComputeTokenSource("", "https://www.googleapis.com/auth/devstorage.read_write").Token()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Issuer().Check(token.AccessToken); err != nil {
		t.Errorf("the token that the metadata server handed out: %v", err)
	}
	if left := time.Until(token.Expiry); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the token lives %v, want about an hour", left)
	}
	if token.TokenType != "Bearer" {
		t.Errorf("token type %q", token.TokenType)
	}
}

// ask calls a handler without a network, inside a bubble of fake time.
func ask(h http.Handler, remote, path string) *reply {
	req, _ := http.NewRequest(http.MethodGet, "http://metadata"+path, nil)
	req.Header.Set("Metadata-Flavor", "Google")
	req.RemoteAddr = remote
	w := &reply{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(w, req)
	return w
}

type reply struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *reply) Header() http.Header         { return r.header }
func (r *reply) WriteHeader(status int)      { r.status = status }
func (r *reply) Write(p []byte) (int, error) { return r.body.Write(p) }

const tokenURL = "/computeMetadata/v1/instance/service-accounts/default/token"

type tokenReply struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
}

func (r *reply) token(t *testing.T) (v tokenReply) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body.String()), &v); err != nil || r.status != http.StatusOK {
		t.Fatalf("no token: %d %s", r.status, r.body.String())
	}
	return v
}

func TestTokenReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := emulator.NewIssuer()
		m := emulator.NewMetadata(&emulator.MetadataOptions{ReuseUntil: 5 * time.Minute}, issuer)
		first := ask(m, "a", tokenURL).token(t)
		if first.ExpiresIn != 3600 {
			t.Errorf("expires_in %d, want 3600", first.ExpiresIn)
		}
		time.Sleep(54 * time.Minute)
		second := ask(m, "a", tokenURL).token(t)
		if second.AccessToken != first.AccessToken || second.ExpiresIn != 360 {
			t.Errorf("with 6 minutes left: another token, or expires_in %d", second.ExpiresIn)
		}
		scoped := ask(m, "a", tokenURL+"?scopes=x,y").token(t)
		if scoped.AccessToken == first.AccessToken {
			t.Error("other scopes got the same token")
		}
		if again := ask(m, "b", tokenURL+"?scopes=y,x&transport=alts&audience=z").token(t); again.AccessToken != scoped.AccessToken {
			t.Error("the same scopes in another order got another token")
		}
		time.Sleep(time.Minute)
		third := ask(m, "b", tokenURL).token(t)
		if third.AccessToken == first.AccessToken || third.ExpiresIn != 3600 {
			t.Errorf("with 5 minutes left: the old token, or expires_in %d", third.ExpiresIn)
		}
		if err := issuer.Check(first.AccessToken); err != nil {
			t.Errorf("the old token is alive for 5 minutes more: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if err := issuer.Check(first.AccessToken); !errors.Is(err, emulator.ErrTokenExpired) {
			t.Errorf("the old token after its hour: %v", err)
		}
		if s := m.Stats(); s.TokenRequests != 5 || s.TokensIssued != 3 || s.Connections != 2 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestRevokedTokenIsReplaced(t *testing.T) {
	issuer := emulator.NewIssuer()
	m := emulator.NewMetadata(nil, issuer)
	first := ask(m, "a", tokenURL).token(t)
	issuer.RevokeAll()
	if second := ask(m, "a", tokenURL).token(t); second.AccessToken == first.AccessToken || issuer.Check(second.AccessToken) != nil {
		t.Error("after a revocation the server hands out a dead token")
	}
}

func TestTokenReuseNever(t *testing.T) {
	m := emulator.NewMetadata(&emulator.MetadataOptions{ReuseUntil: -1}, emulator.NewIssuer())
	first := ask(m, "a", tokenURL).token(t)
	if second := ask(m, "a", tokenURL).token(t); second == first {
		t.Error("the same token twice")
	}
}

func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := emulator.NewIssuer()
		m := emulator.NewMetadata(&emulator.MetadataOptions{ClockSkew: time.Minute}, issuer)
		r := ask(m, "a", tokenURL)
		token := r.token(t)
		if token.ExpiresIn != 3660 {
			t.Errorf("expires_in %d, want a minute more than the token lives", token.ExpiresIn)
		}
		if date, err := http.ParseTime(r.header.Get("Date")); err != nil || !date.Equal(time.Now().Add(-time.Minute).Truncate(time.Second)) {
			t.Errorf("Date %v, %v", date, err)
		}
		time.Sleep(time.Hour)
		if issuer.Check(token.AccessToken) == nil {
			t.Error("the API honours the token for longer than its life")
		}
	})
}

func TestMetadataLatencyAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := emulator.NewMetadata(&emulator.MetadataOptions{
			Latency: time.Second, LatencySpread: time.Second, MaxConnections: 2, MaxPerSecond: 3,
		}, emulator.NewIssuer())
		start := time.Now()
		ask(m, "a", tokenURL).token(t)
		if took := time.Since(start); took < time.Second || took >= 2*time.Second {
			t.Errorf("the reply took %v, want between 1s and 2s", took)
		}
		ask(m, "b", tokenURL).token(t)
		if r := ask(m, "c", tokenURL); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("the third connection: %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
		}
		m.ConnState(conn("a"), http.StateClosed)
		ask(m, "c", tokenURL).token(t)

		time.Sleep(time.Second)
		var mu sync.Mutex
		var wg sync.WaitGroup
		byStatus := map[int]int{}
		for range 10 {
			wg.Go(func() {
				r := ask(m, "b", tokenURL)
				mu.Lock()
				defer mu.Unlock()
				byStatus[r.status]++
			})
		}
		wg.Wait()
		if byStatus[200] != 3 || byStatus[429] != 7 {
			t.Errorf("10 requests in one second, 3 allowed: %v", byStatus)
		}
		if s := m.Stats(); s.Throttled != 8 || s.Open != 2 || s.Connections != 4 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// conn is a connection of which only the remote address matters.
type conn string

func (c conn) RemoteAddr() net.Addr           { return addr(c) }
func (conn) LocalAddr() net.Addr              { return addr("") }
func (conn) Read([]byte) (int, error)         { return 0, io.EOF }
func (conn) Write([]byte) (int, error)        { return 0, io.EOF }
func (conn) Close() error                     { return nil }
func (conn) SetDeadline(time.Time) error      { return nil }
func (conn) SetReadDeadline(time.Time) error  { return nil }
func (conn) SetWriteDeadline(time.Time) error { return nil }

type addr string

func (addr) Network() string  { return "test" }
func (a addr) String() string { return string(a) }

func TestWaitForChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := emulator.NewMetadata(nil, emulator.NewIssuer())
		start := time.Now()
		var preempted *reply
		var waiting sync.WaitGroup
		waiting.Go(func() { preempted = ask(m, "a", "/computeMetadata/v1/instance/?recursive=true&wait_for_change=true") })
		synctest.Wait()
		time.Sleep(time.Second)
		m.Set("project/attributes/other", "value") // a change elsewhere wakes nobody
		time.Sleep(time.Second)
		m.Set("instance/preempted", "TRUE")
		waiting.Wait()
		if took := time.Since(start); took != 2*time.Second || !strings.Contains(preempted.body.String(), `"preempted":"TRUE"`) {
			t.Errorf("after %v: %s", took, preempted.body.String())
		}
	})
}

func TestWaitForChangeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := emulator.NewMetadata(nil, emulator.NewIssuer())
		const path = "/computeMetadata/v1/instance/preempted?wait_for_change=true"
		start := time.Now()
		if r := ask(m, "a", path+"&timeout_sec=7"); r.body.String() != "FALSE" || time.Since(start) != 7*time.Second {
			t.Errorf("got %q after %v, want FALSE after 7s", r.body.String(), time.Since(start))
		}
		start = time.Now()
		if r := ask(m, "a", path+"&last_etag=0"); r.body.String() != "FALSE" || time.Since(start) != 0 {
			t.Errorf("another etag: got %q after %v, want FALSE at once", r.body.String(), time.Since(start))
		}
		start = time.Now()
		if ask(m, "a", path); time.Since(start) > 10*time.Minute {
			t.Errorf("without a timeout it waited %v", time.Since(start))
		}
	})
}

func TestNotReady(t *testing.T) {
	cloud := emulator.Start(t, &emulator.Options{Metadata: &emulator.MetadataOptions{NotReadyFor: time.Hour}})
	if conn, err := net.Dial("tcp", cloud.MetadataHost()); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			_ = conn.Close()
		}
		t.Errorf("at first: %v, want connection refused", err)
	}

	synctest.Test(t, func(t *testing.T) {
		m := emulator.NewMetadata(&emulator.MetadataOptions{NotReadyFor: 10 * time.Second}, emulator.NewIssuer())
		time.Sleep(5 * time.Second)
		if r := ask(m, "a", tokenURL); r.status != http.StatusServiceUnavailable {
			t.Errorf("in the second half: %d, want 503", r.status)
		}
		time.Sleep(5 * time.Second)
		ask(m, "a", tokenURL).token(t)
		if s := m.Stats(); s.NotReady != 1 || s.TokenRequests != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}
