package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// TestEffects shows what a plain HTTP client sees of each effect, and whether the request was carried out.
func TestEffects(t *testing.T) {
	const body = "an upload of some length"
	for _, tc := range []struct {
		name    string
		then    emulator.Then
		applied int64
		broken  int64
		check   func(resp *http.Response, got string, err error) bool
	}{
		{"status", emulator.Then{Effect: "status", Status: 429, RetryAfter: 1500 * time.Millisecond, Body: "slow down"}, 0, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && r.StatusCode == 429 && r.Header.Get("Retry-After") == "2" && got == "slow down"
			}},
		{"status in the form of the API", emulator.Then{Effect: "status", Status: 403}, 0, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && r.StatusCode == 403 && strings.Contains(got, `"reason":"forbidden"`) &&
					strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
			}},
		{"401", emulator.Then{Effect: "status", Status: 401}, 0, 0,
			func(r *http.Response, _ string, err error) bool {
				return err == nil && r.StatusCode == 401 && strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token")
			}},
		{"412 after success", emulator.Then{Effect: "status", Status: 412, Apply: true}, 1, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && r.StatusCode == 412 && strings.Contains(got, "conditionNotMet")
			}},
		{"308 without range", emulator.Then{Effect: "status", Status: 308, Apply: true}, 1, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && r.StatusCode == 308 && r.Header.Get("Range") == "" && got == ""
			}},
		{"html", emulator.Then{Effect: "html"}, 0, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && r.StatusCode == 502 && strings.HasPrefix(got, "<!DOCTYPE html>") &&
					strings.HasPrefix(r.Header.Get("Content-Type"), "text/html")
			}},
		{"reset", emulator.Then{Effect: "reset"}, 0, 0,
			func(_ *http.Response, _ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{"close", emulator.Then{Effect: "close"}, 0, 0,
			func(_ *http.Response, _ string, err error) bool { return errors.Is(err, io.EOF) }},
		{"reply lost", emulator.Then{Effect: "close", Apply: true}, 1, 0,
			func(_ *http.Response, _ string, err error) bool { return errors.Is(err, io.EOF) }},
		{"reply lost by reset", emulator.Then{Effect: "reset", Apply: true}, 1, 0,
			func(_ *http.Response, _ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{"break", emulator.Then{Effect: "break", Bytes: 10}, 1, 0,
			func(r *http.Response, got string, err error) bool {
				return r.StatusCode == 200 && got == stubObject[:10] && errors.Is(err, io.ErrUnexpectedEOF)
			}},
		{"break request", emulator.Then{Effect: "break_request", Bytes: 10}, 0, 1,
			func(_ *http.Response, _ string, err error) bool { return err != nil }},
		{"flip", emulator.Then{Effect: "flip", Bytes: 3}, 1, 0,
			func(_ *http.Response, got string, err error) bool {
				return err == nil && len(got) == len(stubObject) && got[:3] == stubObject[:3] && got[3] != stubObject[3] && got[4:] == stubObject[4:]
			}},
		{"truncate", emulator.Then{Effect: "truncate", Bytes: 7}, 1, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && got == stubObject[:7] && r.ContentLength == 7
			}},
		{"repeat", emulator.Then{Effect: "repeat", Bytes: 4}, 1, 0,
			func(_ *http.Response, got string, err error) bool { return err == nil && got == "0123"+stubObject }},
		{"repeat all", emulator.Then{Effect: "repeat", Bytes: 1000}, 1, 0,
			func(_ *http.Response, got string, err error) bool { return err == nil && got == stubObject+stubObject }},
		{"wrong crc", emulator.Then{Effect: "wrong_crc"}, 1, 0,
			func(r *http.Response, got string, err error) bool {
				return err == nil && got == stubObject && r.Header.Get("X-Goog-Hash") == "crc32c=/wAAAA==,md5=AAAA"
			}},
		{"revoke", emulator.Then{Effect: "revoke"}, 0, 0,
			func(r *http.Response, _ string, err error) bool { return err == nil && r.StatusCode == 401 }},
		{"close after requests", emulator.Then{Effect: "close_after", Requests: 1}, 1, 0,
			func(r *http.Response, got string, err error) bool { return err == nil && got == stubObject && r.Close }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cloud, stub, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{
				{Name: "it", Match: emulator.Match{Server: emulator.ServerStorage}, Then: tc.then},
			}})
			resp, got, err := send(t.Context(), client, "POST", cloud.StorageURL()+"/upload/storage/v1/b/b/o?name=x", body)
			if !tc.check(resp, got, err) {
				t.Errorf("the client sees %+v %q %v", resp, got, err)
			}
			if a, b := stub.applied.Load(), stub.broken.Load(); a != tc.applied || b != tc.broken {
				t.Errorf("applied %d, broken %d, want %d and %d", a, b, tc.applied, tc.broken)
			}
			if n := cloud.Faults().Fired()["it"]; n != 1 {
				t.Errorf("fired %d times", n)
			}
			// Without rules all is well again.
			if err := cloud.SetFaults(); err != nil {
				t.Fatal(err)
			}
			client.Transport.(*bearer).token = cloud.Issuer().Issue("test", time.Hour)
			if _, got, err := send(t.Context(), client, "POST", cloud.StorageURL()+"/x/y", body); err != nil || got != stubObject {
				t.Errorf("after the fault: %q %v", got, err)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	const down = time.Second
	cloud, _, client := startStub(t, nil)
	if err := cloud.SetFaults(emulator.Fault{Match: emulator.Match{Nth: 1}, Then: emulator.Then{Effect: "refuse", For: down}}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, _, err := send(t.Context(), client, "GET", cloud.StorageURL()+"/b/o", ""); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the request itself: %v, want a reset", err)
	}
	refused := 0
	for ; ; <-time.After(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(cloud.StorageURL(), "http://"))
		if err == nil {
			_ = conn.Close()
			break
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("while down: %v", err)
		}
		refused++
	}
	if took := time.Since(start); took < down || refused == 0 {
		t.Errorf("refused %d connections in %v, want %v", refused, took, down)
	}
	if _, got, err := send(t.Context(), client, "GET", cloud.StorageURL()+"/b/o", ""); err != nil || got != stubObject {
		t.Errorf("after it: %q %v", got, err)
	}
}

func TestDelayAndSlow(t *testing.T) {
	for _, then := range []emulator.Then{
		{Effect: "delay", For: 100 * time.Millisecond},
		{Effect: "stall", Bytes: 5, For: 100 * time.Millisecond},
		{Effect: "stall_request", Bytes: 5, For: 100 * time.Millisecond},
		{Effect: "slow", Rate: int64(10 * len(stubObject))},
		{Effect: "slow_request", Rate: int64(10 * len(stubObject))},
	} {
		t.Run(string(then.Effect), func(t *testing.T) {
			cloud, _, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{{Then: then}}})
			start := time.Now()
			_, got, err := send(t.Context(), client, "POST", cloud.StorageURL()+"/b/o", stubObject)
			if err != nil || got != stubObject {
				t.Errorf("%q %v", got, err)
			}
			if took := time.Since(start); took < 100*time.Millisecond {
				t.Errorf("it took %v, want 100ms", took)
			}
		})
	}
}

// TestStallEnds shows that a stall without end is over when the client leaves and when the cloud closes.
func TestStallEnds(t *testing.T) {
	cloud, _, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{{Then: emulator.Then{Effect: "stall", Bytes: 5}}}})
	stalled := func(ctx context.Context) {
		req, err := http.NewRequestWithContext(ctx, "GET", cloud.StorageURL()+"/b/o", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		first := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != stubObject[:5] {
			t.Errorf("before the stall: %q %v", first, err)
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	stalled(ctx)
	leave()
	stalled(t.Context())
	if err := cloud.Close(); err != nil { // would hang, and goleak would see the handler
		t.Error(err)
	}
}

// TestLate shows the worst timeout: the client gives up, and then the request is carried out.
func TestLate(t *testing.T) {
	cloud, stub, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{
		{Match: emulator.Match{Nth: 1}, Then: emulator.Then{Effect: "late", For: time.Minute}},
		{Match: emulator.Match{Nth: 2}, Then: emulator.Then{Effect: "late", For: time.Millisecond}},
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := send(ctx, client, "POST", cloud.StorageURL()+"/b/o", "body"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client: %v", err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for stub.applied.Load() == 0 && time.Now().Before(deadline) {
		runtime.Gosched() // the server notices a moment after the client left
	}
	if n := stub.applied.Load(); n != 1 {
		t.Errorf("applied %d times after the client gave up, want 1", n)
	}
	// A client that outlasts it gets its reply.
	if _, got, err := send(t.Context(), client, "POST", cloud.StorageURL()+"/b/o", "body"); err != nil || got != stubObject {
		t.Errorf("a patient client: %q %v", got, err)
	}
}

// TestCloseDuringAWait shows that a request that waits when the cloud closes is neither carried out nor answered.
func TestCloseDuringAWait(t *testing.T) {
	for _, effect := range []emulator.Effect{emulator.EffectLate, emulator.EffectDelay} {
		t.Run(string(effect), func(t *testing.T) {
			cloud, stub, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{{Name: "it", Then: emulator.Then{Effect: effect, For: time.Hour}}}})
			failed := make(chan error)
			go func() {
				_, _, err := send(context.Background(), client, "POST", cloud.StorageURL()+"/b/o", "body")
				failed <- err
			}()
			for cloud.Faults().Fired()["it"] == 0 {
				runtime.Gosched()
			}
			if err := cloud.Close(); err != nil {
				t.Error(err)
			}
			if err := <-failed; err == nil {
				t.Error("the client got a reply")
			}
			if stub.applied.Load() != 0 {
				t.Error("the request was applied")
			}
		})
	}
}

func TestMatch(t *testing.T) {
	down := emulator.Then{Effect: "status", Status: 503}
	type request struct{ method, path string }
	upload := func(name string) request { return request{"POST", "/upload/storage/v1/b/b/o?name=" + name} }
	ten := slices.Repeat([]request{{"GET", "/b/o"}}, 10)
	for _, tc := range []struct {
		name     string
		match    emulator.Match
		requests []request
		want     string // x: the fault, .: the server
	}{
		{"all", emulator.Match{}, ten, "xxxxxxxxxx"},
		{"nth", emulator.Match{Nth: 3}, ten, "..x......."},
		{"from", emulator.Match{From: 8}, ten, ".......xxx"},
		{"from to", emulator.Match{From: 2, To: 3}, ten, ".xx......."},
		{"every", emulator.Match{Every: 4}, ten, "...x...x.."},
		{"other server", emulator.Match{Server: "metadata"}, ten, ".........."},
		{"window to come", emulator.Match{After: time.Hour}, ten, ".........."},
		{"window", emulator.Match{Until: time.Hour}, ten, "xxxxxxxxxx"},
		{"method", emulator.Match{Methods: []string{"PUT", "POST"}}, []request{{"GET", "/b/o"}, {"POST", "/b/o"}, {"PUT", "/b/o"}}, ".xx"},
		{"path", emulator.Match{Path: "/b/*"}, []request{{"GET", "/b/o"}, {"GET", "/b/o/p"}, {"GET", "/c/o"}}, "x.."},
		{"deep path", emulator.Match{Path: "/b/**"}, []request{{"GET", "/b/o"}, {"GET", "/b/o/p"}, {"GET", "/c/o"}}, "xx."},
		{"object", emulator.Match{Object: "jobs/*/HEAD"},
			[]request{upload("jobs/a/HEAD"), upload("jobs/a/b/HEAD"), {"GET", "/storage/v1/b/b/o/jobs%2Fa%2FHEAD?alt=media"},
				{"GET", "/b/jobs/a/HEAD"}, {"DELETE", "/storage/v1/b/b/o/jobs%2Fa%2FHEAD"}, {"GET", "/storage/v1/b/b/o"}}, "x.xxx."},
		{"operation", emulator.Match{Ops: []emulator.Op{emulator.OpList, emulator.OpDelete}},
			[]request{upload("x"), {"GET", "/storage/v1/b/b/o"}, {"DELETE", "/storage/v1/b/b/o/x"}, {"GET", "/b/x"}}, ".xx."},
		{"class", emulator.Match{Class: emulator.ClassB},
			[]request{upload("x"), {"GET", "/storage/v1/b/b/o"}, {"DELETE", "/storage/v1/b/b/o/x"}, {"GET", "/b/x"}}, "...x"},
		{"nth of a selection", emulator.Match{Methods: []string{"POST"}, Nth: 2},
			[]request{{"GET", "/b/o"}, {"POST", "/b/o"}, {"GET", "/b/o"}, {"POST", "/b/o"}, {"POST", "/b/o"}}, "...x."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cloud, _, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{{Match: tc.match, Then: down}}})
			var got strings.Builder
			for _, r := range tc.requests {
				resp, _, err := send(t.Context(), client, r.method, cloud.StorageURL()+r.path, "")
				if err != nil {
					t.Fatal(err)
				}
				got.WriteByte(map[int]byte{200: '.', 503: 'x'}[resp.StatusCode])
			}
			if got.String() != tc.want {
				t.Errorf("got %s, want %s", got.String(), tc.want)
			}
		})
	}
}

func TestSwap(t *testing.T) {
	faults, err := emulator.NewFaults(emulator.Fault{Then: emulator.Then{Effect: "swap", Object: "jobs/other object"}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/storage/v1/b/b/o/x%2Fy?alt=media": "/storage/v1/b/b/o/jobs%2Fother%20object?alt=media",
		"/b/x/y":                            "/b/jobs%2Fother%20object",
		"/storage/v1/b/b/o?prefix=x":        "/storage/v1/b/b/o?prefix=x",
	} {
		var got string
		h := faults.Wrap(emulator.ServerStorage, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.String() }))
		req, err := http.NewRequest("GET", path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		h.ServeHTTP(&reply{header: http.Header{}}, req)
		if got != want {
			t.Errorf("%s became %s, want %s", path, got, want)
		}
	}
}

// TestFlipSparesTheServer shows that a wrong byte is wrong on the wire only: servers hand out their stored bytes.
func TestFlipSparesTheServer(t *testing.T) {
	faults, err := emulator.NewFaults(emulator.Fault{Then: emulator.Then{Effect: "flip"}})
	if err != nil {
		t.Fatal(err)
	}
	stored := []byte("stored")
	h := faults.Wrap(emulator.ServerStorage, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stored) }))
	req, err := http.NewRequest("GET", "/b/o", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	w := &reply{header: http.Header{}}
	h.ServeHTTP(w, req)
	if w.body.String() == "stored" || string(stored) != "stored" {
		t.Errorf("the client got %q, the server has %q", w.body.String(), stored)
	}
}

// TestStatusForLargeBody shows that the status reaches a client that is still sending.
func TestStatusForLargeBody(t *testing.T) {
	cloud, _, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{{Then: emulator.Then{Effect: "status", Status: 503}}}})
	for range 5 {
		resp, _, err := send(t.Context(), client, "POST", cloud.StorageURL()+"/b/o", strings.Repeat("x", 16<<20))
		if err != nil || resp.StatusCode != 503 {
			t.Errorf("%v %v", resp, err)
		}
	}
}

func TestShareIsReproducible(t *testing.T) {
	hits := func(seed uint64) string {
		faults, err := emulator.NewFaults(emulator.Fault{
			Match: emulator.Match{Share: 0.3, Seed: seed}, Then: emulator.Then{Effect: "status", Status: 503},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := faults.Wrap(emulator.ServerStorage, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		var out strings.Builder
		for range 1000 {
			req, _ := http.NewRequest("GET", "http://storage/b/o", http.NoBody)
			w := &reply{header: http.Header{}, status: 200}
			h.ServeHTTP(w, req)
			out.WriteByte(map[int]byte{200: '.', 503: 'x'}[w.status])
		}
		return out.String()
	}
	first := hits(7)
	if first != hits(7) || first == hits(8) {
		t.Error("the same seed must select the same requests, another seed others")
	}
	if n := strings.Count(first, "x"); n < 240 || n > 360 {
		t.Errorf("%d of 1000 hit, want about 300", n)
	}
}

func TestRulesCompose(t *testing.T) {
	cloud, _, client := startStub(t, &emulator.Options{Faults: []emulator.Fault{
		{Name: "slow link", Then: emulator.Then{Effect: "delay", For: time.Millisecond}},
		{Name: "bit rot", Then: emulator.Then{Effect: "flip"}},
		{Name: "short", Then: emulator.Then{Effect: "truncate", Bytes: 2}},
		{Name: "down", Match: emulator.Match{From: 2}, Then: emulator.Then{Effect: "status", Status: 500}},
		{Name: "never", Match: emulator.Match{From: 2}, Then: emulator.Then{Effect: "delay", For: time.Hour}},
	}})
	if _, got, err := send(t.Context(), client, "GET", cloud.StorageURL()+"/b/o", ""); err != nil || got != string([]byte{'0' ^ 0xff, '1'}) {
		t.Errorf("%q %v", got, err)
	}
	if resp, _, err := send(t.Context(), client, "GET", cloud.StorageURL()+"/b/o", ""); err != nil || resp.StatusCode != 500 {
		t.Errorf("%v %v", resp, err)
	}
	if got := fmt.Sprint(cloud.Faults().Fired()); got != "map[bit rot:2 down:1 never:0 short:2 slow link:2]" {
		t.Errorf("fired: %s", got)
	}
}

func TestFaultsOnTheOtherServers(t *testing.T) {
	cloud := emulator.Start(t, &emulator.Options{Faults: []emulator.Fault{
		{Match: emulator.Match{Server: "metadata", Path: "**/token", Nth: 1}, Then: emulator.Then{Effect: "status", Status: 503}},
		{Match: emulator.Match{Server: "oauth"}, Then: emulator.Then{Effect: "html"}},
	}})
	if resp, body := get(t, cloud.MetadataURL()+tokenURL, flavor); resp.StatusCode != 503 || !strings.HasPrefix(body, "<!DOCTYPE") {
		t.Errorf("metadata: %d %s", resp.StatusCode, body)
	}
	if resp, _ := get(t, cloud.MetadataURL()+tokenURL, flavor); resp.StatusCode != 200 {
		t.Errorf("metadata again: %d", resp.StatusCode)
	}
	if resp, _ := get(t, cloud.OAuthURL()+"/token"); resp.StatusCode != 502 {
		t.Errorf("oauth: %d", resp.StatusCode)
	}
}

func TestParseFaults(t *testing.T) {
	faults, err := emulator.ParseFaults([]byte(`[
		{"name": "n", "match": {"server": "storage", "ops": ["read"], "after": "1s", "until": "1m"},
		 "then": {"effect": "status", "status": 503, "retry_after": "2s", "apply": true}},
		{"match": {}, "then": {"effect": "stall", "bytes": 10, "for": "1m30s"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if m := faults[0].Match; m.After != time.Second || m.Until != time.Minute || m.Ops[0] != emulator.OpRead {
		t.Errorf("match: %+v", m)
	}
	if faults[0].Then.RetryAfter != 2*time.Second || !faults[0].Then.Apply || faults[1].Then.For != 90*time.Second {
		t.Errorf("then: %+v, %+v", faults[0].Then, faults[1].Then)
	}
	for _, tc := range []struct{ rule, names string }{
		{`{"then":{"effect":"status","status":503},"extra":1}`, "extra"},
		{`{"match":{"metod":"GET"},"then":{"effect":"reset"}}`, "metod"},
		{`{"then":{"effect":"reset","statsu":1}}`, "statsu"},
		{`{"then":{"effect":"explode"}}`, "explode"},
		{`{"then":{}}`, "effect"},
		{`{"then":{"effect":"status"}}`, "needs status"},
		{`{"then":{"effect":"status","status":99}}`, "status must be"},
		{`{"then":{"effect":"flip","for":"1s"}}`, "does not take for"},
		{`{"then":{"effect":"delay","for":"soon"}}`, "soon"},
		{`{"then":{"effect":"delay","for":5}}`, "for"},
		{`{"match":{"server":"sotrage"},"then":{"effect":"reset"}}`, "sotrage"},
		{`{"match":{"server":"oauth","object":"x"},"then":{"effect":"reset"}}`, "object"},
		{`{"match":{"ops":["write"]},"then":{"effect":"reset"}}`, "write"},
		{`{"match":{"class":"C"},"then":{"effect":"reset"}}`, "class"},
		{`{"match":{"methods":["get"]},"then":{"effect":"reset"}}`, "get"},
		{`{"match":{"share":2},"then":{"effect":"reset"}}`, "share"},
		{`{"match":{"from":3,"to":2},"then":{"effect":"reset"}}`, "from"},
		{`{"match":{"after":"2s","until":"1s"},"then":{"effect":"reset"}}`, "until"},
	} {
		_, err := emulator.ParseFaults([]byte(`[{"then":{"effect":"reset"}},` + tc.rule + `]`))
		if err == nil || !strings.Contains(err.Error(), tc.names) || !strings.Contains(err.Error(), "fault 2") {
			t.Errorf("%s: the error %v does not name fault 2 and %q", tc.rule, err, tc.names)
		}
	}
	if _, err := emulator.ParseFaults([]byte(`{"then":{}}`)); err == nil {
		t.Error("an object in place of the array was accepted")
	}
}
