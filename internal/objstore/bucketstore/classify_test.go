package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// roundTripper answers every request without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil { // as a real transport: the body is sent, then closed
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return f(r)
}

func respond(r *http.Request, status int, contentType, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		Status: fmt.Sprint(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

func openFake(t *testing.T, rt http.RoundTripper) *Store {
	t.Helper()
	s, err := OpenGCS(t.Context(), &http.Client{Transport: rt}, "acme", &Options{Endpoint: "http://storage.test"})
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

// everyOp calls each operation and returns its error.
func everyOp(ctx context.Context, s objstore.Store) map[string]error {
	_, _, getErr := s.Get(ctx, "k", 100)
	_, putErr := s.Put(ctx, "k", []byte("body"), objstore.Absent)
	_, statErr := s.Stat(ctx, "k")
	errs := map[string]error{
		"get": getErr, "put": putErr, "stat": statErr,
		"range": s.ReadRange(ctx, "k", 1, make([]byte, 2)), "delete": s.Delete(ctx, "k"),
	}
	for _, err := range s.List(ctx, "") {
		errs["list"] = err
	}
	for _, err := range s.Dirs(ctx, "") {
		errs["dirs"] = err
	}
	return errs
}

const (
	js      = "application/json; charset=UTF-8"
	html    = "text/html; charset=UTF-8"
	page    = "<!DOCTYPE html>\n<html><title>502 Bad Gateway</title><body>invalid token? no such object: x</body></html>"
	xmlText = "application/xml"
	nginx   = "<html>\r\n<head><title>404 Not Found</title></head><body><center>nginx</center></body></html>"
)

func jsonError(status int, reason, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"domain":"global","reason":%q,"message":%q}]}}`, status, message, reason, message)
}

// TestAnswers lists what stands between us and the store can say, and what it means. The default is the same kind for all operations.
func TestAnswers(t *testing.T) {
	const denied = "flow@acme.iam.gserviceaccount.com does not have storage.objects.get access to the Google Cloud Storage object. " +
		"Permission 'storage.objects.get' denied on resource (or it may not exist)."
	for _, c := range []struct {
		name        string
		status      int
		contentType string
		body        string
		want        objstore.Kind
		except      map[string]objstore.Kind // success is KindUnknown here
		says        string
	}{
		{"401", 401, js, jsonError(401, "authError", "Invalid Credentials"), objstore.KindCredentials, nil, "Invalid Credentials"},
		{"403", 403, js, jsonError(403, "forbidden", denied), objstore.KindPermission, nil, "storage.objects.get for flow@acme"},
		{"403 of a download", 403, html, denied, objstore.KindPermission, nil, "storage.objects.get for flow@acme"},
		{
			"403 in XML", 403, xmlText, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message><Details>" + denied + "</Details></Error>",
			objstore.KindPermission, nil, "storage.objects.get for flow@acme",
		},
		{"403 for nobody", 403, js, jsonError(403, "forbidden", strings.Replace(denied, "flow@acme.iam.gserviceaccount.com", "Anonymous caller", 1)), objstore.KindPermission, nil, "for Anonymous caller"},
		{"403 that is a rate", 403, js, jsonError(403, "rateLimitExceeded", "slow down"), objstore.KindThrottled, nil, ""},
		{"403 page of a proxy", 403, html, page, objstore.KindUnavailable, nil, "not the storage API's"},
		{"404 object", 404, js, jsonError(404, "notFound", "No such object: acme/k"), objstore.KindNotFound, map[string]objstore.Kind{
			"put": objstore.KindInvalid, "list": objstore.KindInvalid, "dirs": objstore.KindInvalid, "delete": objstore.KindUnknown,
		}, ""},
		{"404 of a download", 404, html, "No such object: acme/k", objstore.KindNotFound, map[string]objstore.Kind{
			"put": objstore.KindInvalid, "list": objstore.KindInvalid, "dirs": objstore.KindInvalid, "delete": objstore.KindUnknown,
		}, ""},
		{"404 bucket", 404, js, jsonError(404, "notFound", "The specified bucket does not exist."), objstore.KindInvalid, nil, "bucket does not exist"},
		{"404 bucket in XML", 404, xmlText, "<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist.</Message></Error>", objstore.KindInvalid, nil, "bucket does not exist"},
		{"404 page", 404, html, nginx, objstore.KindUnavailable, nil, "not the storage API's"},
		{"404 page named JSON", 404, js, nginx, objstore.KindUnavailable, nil, "not the storage API's"},
		{"404 of a Go server", 404, "text/plain", "404 page not found\n", objstore.KindUnavailable, nil, ""},
		{"404 and nothing", 404, "", "", objstore.KindUnavailable, nil, ""},
		{"308", 308, js, "", objstore.KindUnavailable, nil, ""},
		{"408", 408, js, "", objstore.KindUnavailable, nil, ""},
		{"410", 410, js, "", objstore.KindUnavailable, nil, ""},
		{"412", 412, js, jsonError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."), objstore.KindPrecondition, nil, ""},
		{"400", 400, js, jsonError(400, "invalid", "Invalid argument."), objstore.KindInvalid, nil, ""},
		{"400 for damage", 400, js, jsonError(400, "invalid", `Provided CRC32C "AAAAAA==" doesn't match calculated CRC32C "BBBBBB==".`), objstore.KindUnavailable, nil, ""},
		{"413", 413, js, jsonError(413, "uploadTooLarge", "no room"), objstore.KindTooLarge, nil, "no room"},
		{"501", 501, xmlText, "<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>", objstore.KindUnsupported, nil, "NotImplemented: A header"},
		{"507", 507, js, "", objstore.KindNoSpace, nil, ""},
		{"416", 416, js, jsonError(416, "requestedRangeNotSatisfiable", "Request range not satisfiable"), objstore.KindCorrupt, nil, "ends before"},
		{"429", 429, js, jsonError(429, "rateLimitExceeded", "The object exceeded the rate limit"), objstore.KindThrottled, nil, ""},
		{"429 page", 429, html, page, objstore.KindUnavailable, nil, ""},
		{"500", 500, js, jsonError(500, "backendError", "Backend Error"), objstore.KindUnavailable, nil, ""},
		{"502 page", 502, html, page, objstore.KindUnavailable, nil, "not the storage API's"},
		{"503", 503, js, jsonError(503, "backendError", "Backend Error"), objstore.KindUnavailable, nil, ""},
		{"503 and nothing", 503, "", "", objstore.KindUnavailable, nil, ""},
		{"200 page", 200, html, page, objstore.KindUnavailable, map[string]objstore.Kind{"delete": objstore.KindUnknown}, ""},
		{"200 and nothing", 200, js, "{}", objstore.KindUnavailable, map[string]objstore.Kind{"delete": objstore.KindUnknown, "list": objstore.KindUnknown, "dirs": objstore.KindUnknown}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			s := openFake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				n++
				return respond(r, c.status, c.contentType, c.body), nil
			}))
			errs := everyOp(t.Context(), s)
			for _, op := range []string{"get", "range", "put", "stat", "delete", "list", "dirs"} {
				err := errs[op]
				want := c.want
				if k, ok := c.except[op]; ok {
					want = k
				}
				if objstore.KindOf(err) != want || (err == nil) != (want == objstore.KindUnknown) {
					t.Errorf("%s: %v, want %v", op, err, want)
				}
				if err == nil {
					continue
				}
				if want == c.want && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v does not say %q", op, err, c.says)
				}
				if strings.Contains(err.Error(), "<html>") || len(err.Error()) > 500 {
					t.Errorf("%s: the text drags a page along: %v", op, err)
				}
			}
			if n != 7 {
				t.Errorf("%d requests for 7 calls", n)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-3": 0, "soon": 0, "99999999999": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
		time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute,
	} {
		for _, status := range []int{429, 503} {
			s := openFake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				return respond(r, status, js, "", "Retry-After", header), nil
			}))
			_, err := s.Stat(t.Context(), "k")
			var e *objstore.Error
			if !errors.As(err, &e) || e.RetryAfter > want || e.RetryAfter < want-5*time.Second {
				t.Errorf("%d with %q: %v of %v", status, header, e.RetryAfter, err)
			}
		}
	}
}

type tokenError string

func (e tokenError) Error() string            { return "no token: " + string(e) }
func (e tokenError) CredentialsError() string { return string(e) }

type timeout struct{ error }

func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// TestFailedRequests lists why a request may get no answer.
func TestFailedRequests(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want objstore.Kind
	}{
		{"no token now", tokenError("unavailable"), objstore.KindUnavailable},
		{"no token for us", tokenError("refused"), objstore.KindCredentials},
		{"no token at all", tokenError("misconfigured"), objstore.KindCredentials},
		{"wrapped", fmt.Errorf("auth: %w", tokenError("refused")), objstore.KindCredentials},
		{"oauth2 says no", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 400}}, objstore.KindCredentials},
		{"oauth2 is down", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 503}}, objstore.KindUnavailable},
		{"refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, objstore.KindUnavailable},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, objstore.KindUnavailable},
		{"no name", &net.DNSError{Err: "no such host", Name: "storage.test", IsNotFound: true}, objstore.KindUnavailable},
		{"cut", io.ErrUnexpectedEOF, objstore.KindUnavailable},
		{"closed", io.EOF, objstore.KindUnavailable},
		{"time-out", timeout{errors.New("i/o timeout")}, objstore.KindUnavailable},
		{"http2", errors.New("http2: server sent GOAWAY and closed the connection"), objstore.KindUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			s := openFake(t, roundTripper(func(*http.Request) (*http.Response, error) {
				n++
				return nil, c.err
			}))
			for op, err := range everyOp(t.Context(), s) {
				if objstore.KindOf(err) != c.want {
					t.Errorf("%s: %v, want %v", op, err, c.want)
				}
			}
			if n != 7 {
				t.Errorf("%d requests for 7 calls", n)
			}
		})
	}
}

type brokenBody struct{ io.Reader }

func (brokenBody) Close() error { return nil }

// TestBrokenDownload: one request, although the storage client would ask for the rest itself.
func TestBrokenDownload(t *testing.T) {
	for _, cause := range []error{io.ErrUnexpectedEOF, &net.OpError{Op: "read", Err: syscall.ECONNRESET}} {
		n := 0
		s := openFake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			resp := respond(r, 200, "application/octet-stream", "", "X-Goog-Generation", "7")
			resp.ContentLength = 10
			resp.Body = brokenBody{io.MultiReader(strings.NewReader("01234"), failingReader{cause})}
			return resp, nil
		}))
		var m objstore.Meter
		_, _, err := s.Get(objstore.WithMeter(t.Context(), &m), "k", 100)
		if objstore.KindOf(err) != objstore.KindUnavailable || !errors.Is(err, cause) {
			t.Errorf("%v", err)
		}
		if n != 1 || m.Snapshot().Get != 1 {
			t.Errorf("%d requests, metered %+v", n, m.Snapshot())
		}
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestWrongBytes(t *testing.T) {
	for name, body := range map[string]string{"flipped": "body0", "from another object": "ydob!"} {
		s := openFake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			return respond(r, 200, "application/octet-stream", body, "X-Goog-Generation", "7", "X-Goog-Hash", "crc32c="+crcHeader("body!")), nil
		}))
		if _, _, err := s.Get(t.Context(), "k", 100); objstore.KindOf(err) != objstore.KindCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStatus: 503 makes a client send less, other failures do not; that needs the status.
func TestStatus(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		s := openFake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			return respond(r, status, js, ""), nil
		}))
		for op, err := range everyOp(t.Context(), s) {
			var e *objstore.Error
			if !errors.As(err, &e) || e.Status != status {
				t.Errorf("%s: %d of %v", op, e.Status, err)
			}
		}
	}
}
