package emulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// bench is a cloud that plays the testbench, with a bucket, and one retry test.
type bench struct {
	*testing.T
	url, id string
}

func newBench(t *testing.T, instructions map[string][]string) *bench {
	t.Helper()
	cloud := emulator.Start(t, &emulator.Options{Testbench: true})
	if err := cloud.CreateBucket("things"); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, url: cloud.StorageURL()}
	body, err := json.Marshal(map[string]any{"instructions": instructions, "transport": "HTTP"})
	if err != nil {
		t.Fatal(err)
	}
	resp, got, err := b.do("POST", "/retry_test", string(body), nil)
	var created struct{ ID string }
	if err != nil || resp.StatusCode != 200 || json.Unmarshal([]byte(got), &created) != nil || created.ID == "" {
		t.Fatalf("create a retry test: %v, %v, %s", err, resp, got)
	}
	b.id = created.ID
	return b
}

func (b *bench) do(method, path, body string, header map[string]string) (*http.Response, string, error) {
	b.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if b.id != "" {
		req.Header.Set("X-Retry-Test-Id", b.id)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // nothing is repeated behind the test's back
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(got), err
}

func (b *bench) must(status int, method, path, body string, header map[string]string) (*http.Response, string) {
	b.Helper()
	resp, got, err := b.do(method, path, body, header)
	if err != nil || resp.StatusCode != status {
		b.Fatalf("%s %s: %v, %v, want %d: %s", method, path, err, resp, status, got)
	}
	return resp, got
}

// left is what GET /retry_test/{id} says.
func (b *bench) left() string {
	b.Helper()
	_, got := b.must(200, "GET", "/retry_test/"+b.id, "", nil)
	var out struct {
		Instructions map[string][]string
		Completed    bool
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		b.Fatal(err)
	}
	return fmt.Sprint(out.Instructions, out.Completed)
}

const insertThing = "/upload/storage/v1/b/things/o?uploadType=media&name=thing"

// TestRetryTestUsesUpInstructions: each request of its method takes one, in order; other methods, and requests of no
// test, take none.
func TestRetryTestUsesUpInstructions(t *testing.T) {
	b := newBench(t, map[string][]string{
		"storage.objects.get":  {"return-503", "return-reset-connection", "return-429"},
		"storage.objects.list": {"return-500"},
	})
	b.must(200, "POST", insertThing, "content", nil)
	b.must(503, "GET", "/things/thing", "", nil) // the XML API counts as the method that does the same
	other := &bench{T: t, url: b.url}
	other.must(200, "GET", "/things/thing", "", nil)
	if _, _, err := b.do("GET", "/storage/v1/b/things/o/thing", "", nil); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the second read: %v, want a reset", err)
	}
	if got := b.left(); got != "map[storage.objects.get:[return-429] storage.objects.list:[return-500]] false" {
		t.Errorf("left: %s", got)
	}
	b.must(429, "GET", "/storage/v1/b/things/o/thing?alt=media", "", nil)
	b.must(500, "GET", "/storage/v1/b/things/o", "", nil)
	if _, got := b.must(200, "GET", "/storage/v1/b/things/o/thing?alt=media", "", nil); got != "content" {
		t.Errorf("read %q after the faults", got)
	}
	if got := b.left(); got != "map[] true" {
		t.Errorf("left: %s", got)
	}
	b.must(200, "DELETE", "/retry_test/"+b.id, "", nil)
	b.must(404, "GET", "/retry_test/"+b.id, "", nil)
	b.must(404, "DELETE", "/retry_test/"+b.id, "", nil)
	b.must(400, "GET", "/things/thing", "", nil) // to run without its faults would be to pass for nothing
}

// TestRetryTestBreaksStreams: what a client got before the break is the object's, and the instruction is used up.
func TestRetryTestBreaksStreams(t *testing.T) {
	const size = 300 << 10
	b := newBench(t, map[string][]string{"storage.objects.get": {"return-broken-stream", "return-broken-stream-after-256K"}})
	b.must(200, "POST", insertThing, strings.Repeat("x", size), nil)
	for _, want := range []int{4, 256 << 10} {
		if _, got, err := b.do("GET", "/things/thing", "", nil); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != want {
			t.Errorf("got %d bytes and %v, want %d and a broken stream", len(got), err, want)
		}
	}
	if _, got := b.must(200, "GET", "/things/thing", "", nil); len(got) != size {
		t.Errorf("got %d bytes in the end", len(got))
	}
}

// TestRetryTestAfterUploadedBytes: the instruction waits for the request that brings its byte, and whole quanta of what
// came before stay, as in GCS.
func TestRetryTestAfterUploadedBytes(t *testing.T) {
	const quantum = 256 << 10
	b := newBench(t, map[string][]string{"storage.objects.insert": {
		"return-503-after-600K", "return-408-after-600K", "return-broken-stream-final-chunk-after-10B",
	}})
	start, _ := b.must(200, "POST", "/upload/storage/v1/b/things/o?uploadType=resumable&name=thing", "{}", nil)
	upload := strings.TrimPrefix(start.Header.Get("Location"), b.url)
	send := func(first, last, status int, total string) *http.Response {
		t.Helper()
		resp, _ := b.must(status, "PUT", upload, strings.Repeat("x", last-first),
			map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%s", first, last-1, total)})
		return resp
	}
	send(0, quantum, 308, "*")
	send(quantum, 4*quantum, 503, "*")
	if resp, _ := b.must(308, "PUT", upload, "", map[string]string{"Content-Range": "bytes */*"}); resp.Header.Get("Range") != "bytes=0-524287" {
		t.Errorf("after a break at 600 KiB the upload has %q, want two quanta", resp.Header.Get("Range"))
	}
	send(2*quantum, 4*quantum, 408, "*")
	send(2*quantum, 4*quantum, 308, "*")
	_, got, err := b.do("PUT", upload, "end", map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", 4*quantum, 4*quantum+2, 4*quantum+3)})
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 10 {
		t.Errorf("the reply to the last chunk: %q, %v, want ten bytes and a broken stream", got, err)
	}
	if _, got := b.must(200, "GET", "/things/thing", "", nil); got != strings.Repeat("x", 4*quantum)+"end" {
		t.Errorf("the object has %d bytes", len(got))
	}
	if got := b.left(); got != "map[] true" {
		t.Errorf("left: %s", got)
	}
}

// TestRetryTestStalls: for as long as it says, in both directions.
func TestRetryTestStalls(t *testing.T) {
	b := newBench(t, map[string][]string{
		"storage.objects.insert": {"stall-for-1s-after-128K"},
		"storage.objects.get":    {"stall-for-1s-after-128K"},
	})
	start, _ := b.must(200, "POST", "/upload/storage/v1/b/things/o?uploadType=resumable&name=thing", "{}", nil)
	content := strings.Repeat("x", 256<<10)
	for _, step := range []func(){
		func() {
			b.must(200, "PUT", strings.TrimPrefix(start.Header.Get("Location"), b.url), content, map[string]string{"Content-Range": "bytes 0-262143/262144"})
		},
		func() { b.must(200, "GET", "/things/thing", "", nil) },
	} {
		began := time.Now()
		if step(); time.Since(began) < time.Second {
			t.Errorf("it took %v, want a second of stall", time.Since(began))
		}
	}
}

// TestRetryTestRefused: what cannot be kept is refused when it is asked for. 501 makes Google's tests say "skipped".
func TestRetryTestRefused(t *testing.T) {
	b := newBench(t, nil)
	for body, status := range map[string]int{
		`{"instructions": {"storage.hmacKey.get": ["return-503"]}}`:                       501,
		`{"instructions": {"storage.objects.get": ["return-503"]}, "transport": "GRPC"}`:  501,
		`{"instructions": {"storage.objects.get": ["return-503 "]}}`:                      400,
		`{"instructions": {"storage.objects.get": ["return-teapot"]}}`:                    400,
		`{"instructions": {"storage.objects.get": ["return-199"]}}`:                       400,
		`{"instructions": {"storage.objects.get": ["return-503-after-99999999999999K"]}}`: 400,
		`<html>`: 400,
	} {
		b.must(status, "POST", "/retry_test", body, nil)
	}
	b.must(405, "PUT", "/retry_test", "", nil)
	b.must(404, "GET", "/retry_test/unknown", "", nil)
	b.must(404, "GET", "/retry_testing/unknown", "", map[string]string{"X-Retry-Test-Id": ""}) // a bucket's name, which is not there
}

// TestTestbenchIsAsked: without the option tokens are checked, and /retry_test is a bucket like any other.
func TestTestbenchIsAsked(t *testing.T) {
	cloud := emulator.Start(t, nil)
	b := &bench{T: t, url: cloud.StorageURL()}
	b.must(401, "GET", "/storage/v1/b/things/o/thing", "", nil)
	if resp, got, err := b.do("POST", "/retry_test", `{"instructions": {}}`, nil); err != nil || resp.StatusCode == 200 {
		t.Errorf("POST /retry_test: %v, %v, %s", err, resp, got)
	}
}
