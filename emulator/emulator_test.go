package emulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// stub is a storage server that keeps nothing: it checks the token, reads the body and answers with a fixed object.
type stub struct {
	authorize func(string) error
	applied   atomic.Int64 // requests whose body arrived whole
	broken    atomic.Int64 // requests whose body broke off
	buckets   []string
	closed    bool
}

const stubObject = "0123456789abcdefghijklmnopqrstuvwxyz"

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := s.authorize(bearer); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		s.broken.Add(1)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.applied.Add(1)
	w.Header().Set("X-Goog-Hash", "crc32c=AAAAAA==,md5=AAAA")
	w.Header().Set("Content-Length", fmt.Sprint(len(stubObject)))
	_, _ = io.WriteString(w, stubObject)
}

func (s *stub) CreateBucket(name string) error { s.buckets = append(s.buckets, name); return nil }
func (s *stub) Close() error                   { s.closed = true; return nil }

// startStub runs a cloud around a stub and returns both with a client that sends a live token on each request, each on
// its own connection.
func startStub(t *testing.T, opts *emulator.Options) (*emulator.Cloud, *stub, *http.Client) {
	t.Helper()
	if opts == nil {
		opts = &emulator.Options{}
	}
	s := &stub{}
	opts.StorageHandler = func(authorize func(string) error) http.Handler {
		s.authorize = authorize
		return s
	}
	cloud := emulator.Start(t, opts)
	transport := &bearer{token: cloud.Issuer().Issue("test", time.Hour), next: &http.Transport{DisableKeepAlives: true}}
	return cloud, s, &http.Client{Transport: transport}
}

type bearer struct {
	token string
	next  *http.Transport
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// send makes one request and reads the reply to its end.
func send(ctx context.Context, c *http.Client, method, url, body string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	return resp, string(got), err
}

func TestCloud(t *testing.T) {
	cloud, s, client := startStub(t, nil)
	store, err := url.Parse(cloud.StoreURL("bucket", "jobs/a"))
	if err != nil {
		t.Fatal(err)
	}
	if store.Scheme != "gs" || store.Host != "bucket" || store.Path != "/jobs/a" || store.Query().Get("endpoint") != cloud.StorageURL() {
		t.Errorf("store URL %s", store)
	}
	if want := "endpoint=http%3A%2F%2F127.0.0.1%3A"; !strings.HasPrefix(store.RawQuery, want) {
		t.Errorf("query %s, want %s…", store.RawQuery, want)
	}
	if len(s.buckets) != 1 || s.buckets[0] != "bucket" {
		t.Errorf("buckets created: %q", s.buckets)
	}
	if env := cloud.Env(); env[0] != "GCE_METADATA_HOST="+cloud.MetadataHost() || strings.Contains(strings.Join(env, " "), "STORAGE_EMULATOR_HOST") {
		t.Errorf("environment %q", env)
	}

	object := cloud.StorageURL() + "/bucket/object"
	if resp, _, err := send(t.Context(), http.DefaultClient, "GET", object, ""); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %v %v", resp, err)
	}
	if _, body, err := send(t.Context(), client, "GET", object, ""); err != nil || body != stubObject {
		t.Errorf("with a token: %q %v", body, err)
	}
	cloud.Issuer().RevokeAll()
	if resp, _, err := send(t.Context(), client, "GET", object, ""); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a revoked token: %v %v", resp, err)
	}
	if err := cloud.Close(); err != nil || !s.closed {
		t.Errorf("Close: %v, the handler was closed: %v", err, s.closed)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(cloud.StorageURL(), "http://")); err == nil {
		t.Error("a closed cloud still listens")
	}
}

// TestCloseWaits shows that a handler which does not listen to its context is waited for.
func TestCloseWaits(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var left atomic.Bool
	cloud := emulator.Start(t, &emulator.Options{StorageHandler: func(func(string) error) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
			left.Store(true)
		})
	}})
	var client sync.WaitGroup
	client.Go(func() {
		if _, _, err := send(context.Background(), http.DefaultClient, "GET", cloud.StorageURL(), ""); err == nil {
			t.Error("the client got a reply from a server that closed")
		}
	})
	<-entered
	go func() {
		client.Wait() // Close has cut the connection
		close(release)
	}()
	if err := cloud.Close(); err != nil || !left.Load() {
		t.Errorf("Close returned %v before the handler", err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0"} {
		cloud, err := emulator.Listen(t.Context(), &emulator.Options{MetadataAddr: addr})
		if err == nil {
			_ = cloud.Close()
			t.Errorf("%s: the cloud listens on it", addr)
		} else if !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	cloud := emulator.Start(t, &emulator.Options{MetadataAddr: "0.0.0.0:0", AllowNonLoopback: true})
	if resp, _ := get(t, cloud.MetadataURL()+"/"); resp.StatusCode != http.StatusOK {
		t.Errorf("through %s: %d", cloud.MetadataURL(), resp.StatusCode)
	}
}

func TestFixedAddress(t *testing.T) {
	first := emulator.Start(t, nil)
	if cloud, err := emulator.Listen(t.Context(), &emulator.Options{OAuthAddr: first.MetadataHost()}); err == nil {
		_ = cloud.Close()
		t.Error("two clouds listen on one address")
	}
	addr := first.MetadataHost()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := emulator.Start(t, &emulator.Options{MetadataAddr: addr})
	if second.MetadataHost() != addr {
		t.Errorf("got %s, want %s", second.MetadataHost(), addr)
	}
}

func TestCloseFreesFiles(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			if runtime.GOOS == "linux" {
				t.Fatal(err)
			}
			t.Skipf("counting open files needs Linux's /proc: %v", err)
		}
		return len(files)
	}
	before := open()
	for range 20 {
		cloud, err := emulator.Listen(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := cloud.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := open(); after >= before+20 {
		t.Errorf("%d open files before 20 clouds, %d after", before, after)
	}
}

func TestRequestCounts(t *testing.T) {
	cloud, _, client := startStub(t, nil)
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/upload/storage/v1/b/b/o?uploadType=media&name=x", "12345"},
		{"POST", "/upload/storage/v1/b/b/o?uploadType=resumable&name=x", ""},
		{"PUT", "/upload/storage/v1/b/b/o?uploadType=resumable&upload_id=1", "1234567"},
		{"GET", "/storage/v1/b/b/o?prefix=x", ""},
		{"GET", "/storage/v1/b/b/o/a%2Fb", ""},
		{"GET", "/storage/v1/b/b/o/a%2Fb?alt=media", ""},
		{"GET", "/b/a/b", ""},
		{"HEAD", "/b/a/b", ""},
		{"GET", "/storage/v1/b/b", ""},
		{"POST", "/storage/v1/b/b/o/x/compose", ""},
		{"POST", "/storage/v1/b/b/o/x/rewriteTo/b/b/o/y", ""},
		{"PATCH", "/storage/v1/b/b/o/x", ""},
		{"DELETE", "/storage/v1/b/b/o/x", ""},
		{"POST", "/storage/v1/b?project=p", ""},
	} {
		if _, _, err := send(t.Context(), client, r.method, cloud.StorageURL()+r.path, r.body); err != nil {
			t.Fatalf("%s %s: %v", r.method, r.path, err)
		}
	}
	if err := cloud.SetFaults(emulator.Fault{Then: emulator.Then{Effect: emulator.EffectClose}},
		emulator.Fault{}); err == nil {
		t.Error("a rule without an effect was accepted")
	}
	if err := cloud.SetFaults(emulator.Fault{Match: emulator.Match{Nth: 1}, Then: emulator.Then{Effect: emulator.EffectReset}},
		emulator.Fault{Then: emulator.Then{Effect: emulator.EffectStatus, Status: 503}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _, _ = send(t.Context(), client, "DELETE", cloud.StorageURL()+"/b/x", "")
	}
	c := cloud.Requests()
	want := map[emulator.Op]int64{
		emulator.OpInsert: 2, emulator.OpChunk: 1, emulator.OpList: 1, emulator.OpStat: 2, emulator.OpRead: 2, emulator.OpBucket: 1,
		emulator.OpCompose: 1, emulator.OpCopy: 1, emulator.OpPatch: 1, emulator.OpDelete: 3, emulator.OpAdmin: 1,
	}
	for op, n := range want {
		if c.ByOp[op] != n {
			t.Errorf("%s: %d, want %d", op, c.ByOp[op], n)
		}
	}
	if c.ClassA != 7 || c.ClassB != 5 || c.Free != 2 || c.Unbilled != 2 || c.Total() != 16 {
		t.Errorf("classes: %+v", c)
	}
	if c.ByStatus[200] != 14 || c.ByStatus[503] != 1 || c.ByStatus[0] != 1 {
		t.Errorf("by status: %v", c.ByStatus)
	}
	if c.BytesIn != 12 {
		t.Errorf("%d bytes in, want 12", c.BytesIn)
	}
	if cost, want := c.Cost(emulator.DefaultPrices), 7*0.000005+5*0.0000004; cost < want*0.999 || cost > want*1.001 {
		t.Errorf("cost %g, want %g", cost, want)
	}
	cloud.ResetRequests()
	if n := cloud.Requests().Total(); n != 0 {
		t.Errorf("%d requests after the reset", n)
	}
}

func TestControl(t *testing.T) {
	cloud, _, client := startStub(t, nil)
	control := func(method, path, body string) (int, string) {
		resp, got, err := send(t.Context(), client, method, cloud.MetadataURL()+"/_emulator/"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, got
	}
	rule := `[{"name":"down","match":{"server":"storage","until":"1h0m0s"},"then":{"effect":"status","status":503,"retry_after":"1.5s"}}]`
	if status, body := control("PUT", "faults", rule); status != 200 || strings.TrimSpace(body) != rule {
		t.Errorf("PUT faults: %d %s", status, body)
	}
	if status, body := control("PUT", "faults", `[{"then":{"effect":"status","statuss":503}}]`); status != 400 || !strings.Contains(body, "statuss") {
		t.Errorf("an unknown field: %d %s", status, body)
	}
	resp, _, err := send(t.Context(), client, "GET", cloud.StorageURL()+"/b/x", "")
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("under the rule: %v %v", resp, err)
	}
	if _, body := control("GET", "fired", ""); strings.TrimSpace(body) != `{"down":1}` {
		t.Errorf("fired: %s", body)
	}
	if _, body := control("DELETE", "faults", ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("DELETE faults: %s", body)
	}
	if resp, _, err := send(t.Context(), client, "GET", cloud.StorageURL()+"/b/x", ""); err != nil || resp.StatusCode != 200 {
		t.Errorf("without rules: %v %v", resp, err)
	}
	var counts emulator.RequestCounts
	if _, body := control("GET", "requests", ""); json.Unmarshal([]byte(body), &counts) != nil || counts.Total() != 2 {
		t.Errorf("requests: %s", body)
	}
	if _, body := control("DELETE", "tokens", ""); strings.TrimSpace(body) != `{"revoked":1}` {
		t.Errorf("DELETE tokens: %s", body)
	}
	if n := cloud.Metadata().Stats().Requests; n != 0 {
		t.Errorf("commands count as %d metadata requests", n)
	}
}
