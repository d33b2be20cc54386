package emulator_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tidemark-go/tidemark/emulator"
)

const (
	s3ID     = "GOOG1EXAMPLE"
	s3Secret = "bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ"
)

// s3Request is a request as a client is about to send it.
type s3Request struct {
	method, target, body string
	header               http.Header
	id, secret           string
	payload              string // empty: the body's hash
	at                   time.Time
	google               bool
	plain                bool // without TLS
	unsigned             bool
	tamper               func(*http.Request) // after signing
}

func put(target, body string, header ...string) s3Request {
	r := s3Request{method: "PUT", target: target, body: body, header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.header.Set(header[i], header[i+1])
	}
	return r
}

func (q s3Request) send(t *testing.T, h http.Handler) (status int, code string, header http.Header, body string) {
	t.Helper()
	r := httptest.NewRequest(q.method, q.target, strings.NewReader(q.body))
	r.Host = "s3.test"
	if !q.plain {
		r.TLS = &tls.ConnectionState{}
	}
	for name, v := range q.header {
		r.Header[name] = v
	}
	if q.at.IsZero() {
		q.at = time.Now()
	}
	if q.id == "" {
		q.id, q.secret = s3ID, s3Secret
	}
	if q.payload == "" {
		sum := sha256.Sum256([]byte(q.body))
		q.payload = hex.EncodeToString(sum[:])
	}
	switch {
	case q.unsigned:
	case q.google:
		signGoogle(r, q)
	default:
		// Amazon's own signer, so that the server is not judged by the reading that it was made from.
		r.Header.Set("X-Amz-Content-Sha256", q.payload)
		creds := aws.Credentials{AccessKeyID: q.id, SecretAccessKey: q.secret}
		err := v4.NewSigner().SignHTTP(context.Background(), creds, r, q.payload, "s3", "auto", q.at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err != nil {
			t.Fatal(err)
		}
	}
	if q.tamper != nil {
		q.tamper(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var e struct{ Code string }
	if w.Code >= 300 {
		_ = xml.Unmarshal(w.Body.Bytes(), &e)
	}
	return w.Code, e.Code, w.Header(), w.Body.String()
}

// signGoogle is after https://cloud.google.com/storage/docs/authentication/signatures, for requests without a query.
func signGoogle(r *http.Request, q s3Request) {
	stamp := q.at.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/auto/storage/goog4_request"
	condition := r.Header.Get("X-Goog-If-Generation-Match")
	r.Header.Set("X-Goog-Date", stamp)
	r.Header.Set("X-Goog-Content-Sha256", q.payload)
	names := "host;x-goog-content-sha256;x-goog-date"
	lines := fmt.Sprintf("host:%s\nx-goog-content-sha256:%s\nx-goog-date:%s\n", r.Host, q.payload, stamp)
	if condition != "" {
		names += ";x-goog-if-generation-match"
		lines += "x-goog-if-generation-match:" + condition + "\n"
	}
	canonical := sha256.Sum256([]byte(r.Method + "\n" + r.URL.EscapedPath() + "\n\n" + lines + "\n" + names + "\n" + q.payload))
	key := []byte("GOOG4" + q.secret)
	for _, part := range []string{stamp[:8], "auto", "storage", "goog4_request", fmt.Sprintf("GOOG4-HMAC-SHA256\n%s\n%s\n%x", stamp, scope, canonical)} {
		h := hmac.New(sha256.New, key)
		_, _ = h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("GOOG4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", q.id, scope, names, key))
}

func s3Storage(t *testing.T, google bool, o emulator.StorageOptions) *emulator.Storage {
	t.Helper()
	o.S3 = &emulator.S3Options{Keys: map[string]string{s3ID: s3Secret}, Google: google}
	s := emulator.NewStorage(&o)
	if err := s.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func with(r s3Request, change func(*s3Request)) s3Request {
	change(&r)
	return r
}

// TestS3SignaturesAreChecked: what is not signed by a known key, now, and as it arrives, is refused and leaves nothing.
func TestS3SignaturesAreChecked(t *testing.T) {
	good := put("/acme/a%20key/%C3%BC", "body", "If-None-Match", "*")
	md5sum := md5.Sum([]byte("other"))
	for name, c := range map[string]struct {
		q      s3Request
		status int
		code   string
	}{
		"good":                     {good, 200, ""},
		"good, 14 minutes ago":     {with(good, func(q *s3Request) { q.at = time.Now().Add(-14 * time.Minute) }), 200, ""},
		"good, payload not signed": {with(good, func(q *s3Request) { q.payload = "UNSIGNED-PAYLOAD" }), 200, ""},
		"good, without TLS":        {with(good, func(q *s3Request) { q.plain = true }), 200, ""},

		"16 minutes ago":               {with(good, func(q *s3Request) { q.at = time.Now().Add(-16 * time.Minute) }), 403, "RequestTimeTooSkewed"},
		"in 16 minutes":                {with(good, func(q *s3Request) { q.at = time.Now().Add(16 * time.Minute) }), 403, "RequestTimeTooSkewed"},
		"another secret":               {with(good, func(q *s3Request) { q.id, q.secret = s3ID, "wrong" }), 403, "SignatureDoesNotMatch"},
		"another id":                   {with(good, func(q *s3Request) { q.id, q.secret = "NOBODY", s3Secret }), 403, "InvalidAccessKeyId"},
		"no signature":                 {with(good, func(q *s3Request) { q.unsigned = true }), 403, "AccessDenied"},
		"payload not signed, no TLS":   {with(good, func(q *s3Request) { q.payload, q.plain = "UNSIGNED-PAYLOAD", true }), 400, "InvalidRequest"},
		"payload in chunks":            {with(good, func(q *s3Request) { q.payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" }), 501, "NotImplemented"},
		"no payload hash":              {with(good, func(q *s3Request) { q.payload = "none" }), 400, "InvalidRequest"},
		"other body":                   {with(good, func(q *s3Request) { q.tamper = setBody("b0dy") }), 400, "XAmzContentSHA256Mismatch"},
		"other method":                 {with(good, func(q *s3Request) { q.tamper = func(r *http.Request) { r.Method = "DELETE" } }), 403, "SignatureDoesNotMatch"},
		"other object":                 {with(good, func(q *s3Request) { q.tamper = func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/acme/other", "" } }), 403, "SignatureDoesNotMatch"},
		"a parameter more":             {with(good, func(q *s3Request) { q.tamper = func(r *http.Request) { r.URL.RawQuery = "x-id=PutObject" } }), 403, "SignatureDoesNotMatch"},
		"other host":                   {with(good, func(q *s3Request) { q.tamper = func(r *http.Request) { r.Host = "other.test" } }), 403, "SignatureDoesNotMatch"},
		"other condition":              {with(good, func(q *s3Request) { q.tamper = setHeader("If-None-Match", `"x"`) }), 403, "SignatureDoesNotMatch"},
		"condition removed":            {with(good, func(q *s3Request) { q.tamper = func(r *http.Request) { r.Header.Del("If-None-Match") } }), 403, "SignatureDoesNotMatch"},
		"a header that is not signed":  {with(good, func(q *s3Request) { q.tamper = setHeader("X-Amz-Checksum-Crc32c", "AAAAAA==") }), 403, "AccessDenied"},
		"another day in the scope":     {with(good, func(q *s3Request) { q.tamper = rescope("/20", "/21") }), 400, "AuthorizationHeaderMalformed"},
		"another service in the scope": {with(good, func(q *s3Request) { q.tamper = rescope("/s3/", "/ec2/") }), 400, "AuthorizationHeaderMalformed"},
		"another region in the scope":  {with(good, func(q *s3Request) { q.tamper = rescope("/auto/", "/eu/") }), 403, "SignatureDoesNotMatch"},
		"no such signature":            {with(good, func(q *s3Request) { q.tamper = setHeader("Authorization", "AWS AKID:c2ln") }), 400, "AuthorizationHeaderMalformed"},
		"Google's signature":           {with(good, func(q *s3Request) { q.google = true }), 400, "AuthorizationHeaderMalformed"},
		"a session's token":            {put("/acme/k", "", "X-Amz-Security-Token", "t"), 400, "InvalidToken"},

		"another MD5":        {put("/acme/k", "body", "Content-Md5", base64.StdEncoding.EncodeToString(md5sum[:])), 400, "BadDigest"},
		"another CRC32C":     {put("/acme/k", "body", "X-Amz-Checksum-Crc32c", "AAAAAA=="), 400, "BadDigest"},
		"a copy":             {put("/acme/k", "", "X-Amz-Copy-Source", "/acme/x"), 501, "NotImplemented"},
		"an access list":     {put("/acme/k?acl", ""), 501, "NotImplemented"},
		"the start of parts": {s3Request{method: "POST", target: "/acme/k?uploads"}, 501, "NotImplemented"},
		"an old listing":     {s3Request{method: "GET", target: "/acme"}, 501, "NotImplemented"},
		"all buckets":        {s3Request{method: "GET", target: "/"}, 501, "NotImplemented"},
		"no bucket":          {put("/nobodys/k", ""), 404, "NoSuchBucket"},
		"length unknown":     {with(good, func(q *s3Request) { q.tamper = func(r *http.Request) { r.ContentLength = -1 } }), 403, "SignatureDoesNotMatch"},
	} {
		s := s3Storage(t, false, emulator.StorageOptions{})
		status, code, _, _ := c.q.send(t, s)
		if status != c.status || code != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, status, code, c.status, c.code)
		}
		objects := s.Objects("acme")
		if stored := len(objects) == 1 && objects[0].Name == "a key/ü"; stored != (c.status == 200) || len(objects) > 1 {
			t.Errorf("%s: %+v", name, objects)
		}
	}
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func setBody(body string) func(*http.Request) {
	return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body)) }
}

func rescope(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

// TestS3ConditionsOfAmazon writes by ETag.
func TestS3ConditionsOfAmazon(t *testing.T) {
	s := s3Storage(t, false, emulator.StorageOptions{})
	_, _, header, _ := put("/acme/k", "1").send(t, s)
	first := header.Get("ETag")
	for _, c := range []struct {
		name   string
		q      s3Request
		status int
		code   string
	}{
		{"create what is there", put("/acme/k", "x", "If-None-Match", "*"), 412, "PreconditionFailed"},
		{"another version", put("/acme/k", "x", "If-Match", `"0"`), 412, "PreconditionFailed"},
		{"what is absent", put("/acme/none", "x", "If-Match", first), 404, "NoSuchKey"},
		{"not this one", put("/acme/k", "x", "If-None-Match", first), 501, "NotImplemented"},
		{"this version", put("/acme/k", "2", "If-Match", first), 200, ""},
		{"this version again", put("/acme/k", "3", "If-Match", first), 412, "PreconditionFailed"},
	} {
		if status, code, _, _ := c.q.send(t, s); status != c.status || code != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, code, c.status, c.code)
		}
	}
}

// TestS3ConditionsOfGoogle: ETags condition reads alone, and its own headers do not mix with Amazon's.
func TestS3ConditionsOfGoogle(t *testing.T) {
	s := s3Storage(t, true, emulator.StorageOptions{})
	goog := func(q s3Request) s3Request { q.google = true; return q }
	_, _, header, _ := goog(put("/acme/k", "1", "X-Goog-If-Generation-Match", "0")).send(t, s)
	first := header.Get("X-Goog-Generation")
	for _, c := range []struct {
		name   string
		q      s3Request
		status int
		code   string
	}{
		{"create what is there", goog(put("/acme/k", "x", "X-Goog-If-Generation-Match", "0")), 412, "PreconditionFailed"},
		{"another secret", with(goog(put("/acme/k", "x")), func(q *s3Request) { q.id, q.secret = s3ID, "wrong" }), 403, "SignatureDoesNotMatch"},
		{"another id", with(goog(put("/acme/k", "x")), func(q *s3Request) { q.id, q.secret = "NOBODY", s3Secret }), 403, "InvalidSecurity"},
		{"both families", put("/acme/k", "x", "X-Goog-If-Generation-Match", "0"), 400, "ExcessHeaderValues"},
		{"not signed", goog(with(put("/acme/k", "x"), func(q *s3Request) { q.tamper = setHeader("X-Goog-If-Generation-Match", first) })), 403, "AccessDenied"},
		{"this version", goog(put("/acme/k", "2", "X-Goog-If-Generation-Match", first)), 200, ""},
		{"this version again", goog(put("/acme/k", "3", "X-Goog-If-Generation-Match", first)), 412, "PreconditionFailed"},
		{"If-None-Match is ignored", put("/acme/k", "4", "If-None-Match", "*"), 200, ""},
		{"If-Match is ignored", put("/acme/k", "5", "If-Match", `"0"`), 200, ""},
		{"delete another version", goog(s3Request{method: "DELETE", target: "/acme/k", header: http.Header{"X-Goog-If-Generation-Match": {first}}}), 412, "PreconditionFailed"},
		{"delete", s3Request{method: "DELETE", target: "/acme/k"}, 204, ""},
		{"delete what is absent", s3Request{method: "DELETE", target: "/acme/k"}, 404, "NoSuchKey"},
	} {
		if status, code, _, _ := c.q.send(t, s); status != c.status || code != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, code, c.status, c.code)
		}
	}
}

// TestS3IsOffByDefault, and leaves the other APIs as they are.
func TestS3IsOffByDefault(t *testing.T) {
	s := emulator.NewStorage(nil)
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	if status, code, _, _ := put("/acme/k", "x").send(t, s); status != 405 || code != "MethodNotAllowed" {
		t.Errorf("%d %s", status, code)
	}
	on := s3Storage(t, false, emulator.StorageOptions{Authorize: func(bearer string) error {
		if bearer != "token" {
			return fmt.Errorf("no")
		}
		return nil
	}})
	for name, c := range map[string]struct {
		q    s3Request
		want int
	}{
		"JSON without a token":   {s3Request{method: "GET", target: "/storage/v1/b/acme/o", unsigned: true}, 401},
		"JSON with a signature":  {s3Request{method: "GET", target: "/storage/v1/b/acme/o"}, 401},
		"JSON with a token":      {s3Request{method: "GET", target: "/storage/v1/b/acme/o", unsigned: true, tamper: setHeader("Authorization", "Bearer token")}, 200},
		"XML with a token":       {s3Request{method: "GET", target: "/acme/none", unsigned: true, tamper: setHeader("Authorization", "Bearer token")}, 404},
		"XML without anything":   {s3Request{method: "GET", target: "/acme/none", unsigned: true}, 403},
		"XML, signed in the URL": {s3Request{method: "GET", target: "/acme/none?X-Amz-Signature=0", unsigned: true}, 403},
	} {
		if status, _, _, body := c.q.send(t, on); status != c.want {
			t.Errorf("%s: %d, want %d: %s", name, status, c.want, body)
		}
	}
}
