package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

func s3Fake(t *testing.T, rt http.RoundTripper) *S3 {
	t.Helper()
	s, err := OpenS3(t.Context(), &http.Client{Transport: rt}, "acme", &S3Options{Endpoint: "https://s3.test", Region: "eu-west-3", Credentials: keys(secret)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func s3Answer(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message>` +
		`<StringToSign>AWS4-HMAC-SHA256 canary</StringToSign><RequestId>1</RequestId></Error>`
}

// TestS3Answers lists what may come back. The default is the same kind for all operations.
func TestS3Answers(t *testing.T) {
	type kinds map[string]objstore.Kind
	for _, c := range []struct {
		name    string
		status  int
		ctype   string
		body    string
		want    objstore.Kind
		but     kinds
		says    string
		headers []string
	}{
		{name: "refused", status: 403, ctype: xmlText, body: s3Answer("AccessDenied", "Access Denied"), want: objstore.KindPermission},
		{name: "wrong secret", status: 403, ctype: xmlText, body: s3Answer("SignatureDoesNotMatch", "x"), want: objstore.KindCredentials, says: "SignatureDoesNotMatch"},
		{name: "wrong id", status: 403, ctype: xmlText, body: s3Answer("InvalidAccessKeyId", "x"), want: objstore.KindCredentials},
		{name: "wrong id at Google's", status: 403, ctype: xmlText, body: s3Answer("InvalidSecurity", "x"), want: objstore.KindCredentials},
		{name: "old token", status: 400, ctype: xmlText, body: s3Answer("ExpiredToken", "x"), want: objstore.KindCredentials},
		{name: "wrong clock", status: 403, ctype: xmlText, body: s3Answer("RequestTimeTooSkewed", "x"), want: objstore.KindCredentials, says: "RequestTimeTooSkewed"},
		{name: "no key", status: 404, ctype: xmlText, body: s3Answer("NoSuchKey", "x"), want: objstore.KindNotFound,
			but: kinds{"put": objstore.KindPrecondition, "list": objstore.KindInvalid, "dirs": objstore.KindInvalid, "delete": 0}},
		{name: "no bucket", status: 404, ctype: xmlText, body: s3Answer("NoSuchBucket", "The specified bucket does not exist"), want: objstore.KindInvalid, says: "bucket does not exist"},
		{name: "no such user", status: 404, ctype: xmlText, body: s3Answer("XAdminUserNotFound", "No user exists"), want: objstore.KindCredentials},
		{name: "something else is absent", status: 404, ctype: xmlText, body: s3Answer("NoSuchUpload", "x"), want: objstore.KindInvalid},
		{name: "a proxy's 404", status: 404, ctype: html, body: nginx, want: objstore.KindUnavailable, says: "page"},
		{name: "a proxy's 403", status: 403, ctype: html, body: page, want: objstore.KindUnavailable, says: "page"},
		{name: "404 without a word", status: 404, want: objstore.KindUnavailable},
		{name: "a proxy's 502", status: 502, ctype: html, body: page, want: objstore.KindUnavailable, says: "502"},
		{name: "precondition", status: 412, ctype: xmlText, body: s3Answer("PreconditionFailed", "x"), want: objstore.KindPrecondition},
		{name: "conflict", status: 409, ctype: xmlText, body: s3Answer("ConditionalRequestConflict", "x"), want: objstore.KindUnavailable},
		{name: "slow down", status: 503, ctype: xmlText, body: s3Answer("SlowDown", "x"), want: objstore.KindThrottled,
			but: kinds{"stat": objstore.KindUnavailable}}, // a HEAD has no word for it
		{name: "429", status: 429, ctype: xmlText, body: s3Answer("TooManyRequests", "x"), want: objstore.KindThrottled, headers: []string{"Retry-After", "7"}},
		{name: "unavailable", status: 503, ctype: xmlText, body: s3Answer("ServiceUnavailable", "x"), want: objstore.KindUnavailable},
		{name: "internal", status: 500, ctype: xmlText, body: s3Answer("InternalError", "x"), want: objstore.KindUnavailable},
		{name: "damaged on the way", status: 400, ctype: xmlText, body: s3Answer("BadDigest", "x"), want: objstore.KindUnavailable},
		{name: "stuck on the way", status: 400, ctype: xmlText, body: s3Answer("RequestTimeout", "x"), want: objstore.KindUnavailable},
		{name: "no conditions", status: 501, ctype: xmlText, body: s3Answer("NotImplemented", "If-None-Match"), want: objstore.KindUnsupported},
		{name: "argument", status: 400, ctype: xmlText, body: s3Answer("InvalidArgument", "x"), want: objstore.KindInvalid},
		{name: "another region", status: 301, ctype: xmlText, body: s3Answer("PermanentRedirect", "x"), want: objstore.KindInvalid, says: "us-east-2", headers: []string{"X-Amz-Bucket-Region", "us-east-2", "Location", "https://elsewhere.test/"}},
		{name: "full", status: 507, ctype: xmlText, body: s3Answer("XMinioStorageFull", "x"), want: objstore.KindNoSpace},
		{name: "a captive portal", status: 200, ctype: html, body: page, want: objstore.KindUnavailable, but: kinds{"delete": 0}},
		{name: "encoded", status: 200, ctype: xmlText, body: "x", want: objstore.KindUnsupported, headers: []string{"Content-Encoding", "gzip", "ETag", `"e"`},
			but: kinds{"put": 0, "delete": 0, "list": objstore.KindUnavailable, "dirs": objstore.KindUnavailable, "range": objstore.KindUnavailable}},
		{name: "a weak tag", status: 200, ctype: xmlText, body: "x", want: objstore.KindUnavailable, headers: []string{"ETag", `W/"e"`}, but: kinds{"delete": 0}},
	} {
		s := s3Fake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			body := c.body
			if r.Method == http.MethodHead {
				body = ""
			}
			return respond(r, c.status, c.ctype, body, c.headers...), nil
		}))
		for op, err := range s3Ops(t.Context(), s) {
			want := c.want
			if k, ok := c.but[op]; ok {
				want = k
			}
			if want == 0 {
				if err != nil {
					t.Errorf("%s: %s: %v", c.name, op, err)
				}
				continue
			}
			var e *objstore.Error
			if !errors.As(err, &e) || e.Kind != want || e.Op != op || !strings.Contains(err.Error(), c.says) || strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("%s: %s: %v, want %v and %q", c.name, op, err, want, c.says)
			}
			if c.name == "429" && e.RetryAfter != 7*time.Second {
				t.Errorf("Retry-After is %v", e.RetryAfter)
			}
		}
	}
}

// TestS3ListingsAreNotBelieved unless they are whole, in order, and below the prefix.
func TestS3ListingsAreNotBelieved(t *testing.T) {
	for listing, want := range map[string]objstore.Kind{
		`<ListBucketResult><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></ListBucketResult>`:    0,
		`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a+%2B</Key></Contents></ListBucketResult>`: 0,
		`<ListBucketResult><Contents><Key>b</Key></Contents><Contents><Key>a</Key></Contents></ListBucketResult>`:    objstore.KindUnsupported,
		`<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`:                                       objstore.KindUnavailable,
		`<ListBucketResult><Contents><Key>a</Key>`:                                                                   objstore.KindUnavailable,
		`<Other></Other>`: objstore.KindUnavailable,
		`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents></ListBucketResult>`: objstore.KindUnavailable,
	} {
		s := s3Fake(t, roundTripper(func(r *http.Request) (*http.Response, error) { return respond(r, 200, xmlText, listing), nil }))
		var keys []string
		var failed error
		for info, err := range s.List(t.Context(), "") {
			keys, failed = append(keys, info.Key), err
		}
		if objstore.KindOf(failed) != want || failed == nil && !slices.Equal(keys, []string{"a", "b"}) && !slices.Equal(keys, []string{"a +"}) {
			t.Errorf("%s: %q, %v", listing, keys, failed)
		}
	}
}

// TestS3RangesAreWhatWasAskedFor, or an error.
func TestS3RangesAreWhatWasAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		span   string
		want   objstore.Kind
	}{
		"right": {206, "bytes 2-4/10", 0}, "the whole object": {200, "", objstore.KindUnavailable}, "another range": {206, "bytes 3-5/10", objstore.KindUnavailable},
		"no size": {206, "bytes 2-4/*", objstore.KindUnavailable}, "short": {206, "bytes 2-3/4", objstore.KindCorrupt},
	} {
		s := s3Fake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			return respond(r, c.status, "", "abc", "ETag", `"e"`, "Content-Range", c.span), nil
		}))
		p := make([]byte, 3)
		if err := s.ReadRange(t.Context(), "k", 2, p); objstore.KindOf(err) != c.want || err == nil && string(p) != "abc" {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
}

// A stream that ends before its range is none that ended well, whatever the server said of its length.
func TestStreamsThatEndEarlySaySo(t *testing.T) {
	s := s3Fake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, 206, "", "ab", "ETag", `"e"`, "Content-Range", "bytes 2-4/10"), nil
	}))
	body, err := s.OpenRange(t.Context(), "k", 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); objstore.KindOf(err) != objstore.KindUnavailable || string(got) != "ab" {
		t.Errorf("%q, %v", got, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

func TestS3DamagedBytesAreCorrupt(t *testing.T) {
	s := s3Fake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, 200, "", "damaged", "ETag", `"e"`, "X-Amz-Checksum-Crc32c", encodeCRC(objstore.CRC32C([]byte("as sent")))), nil
	}))
	if _, _, err := s.Get(t.Context(), "k", 100); objstore.KindOf(err) != objstore.KindCorrupt {
		t.Errorf("%v", err)
	}
}

// provider hands out a new temporary key each time it is asked.
type provider struct{ n atomic.Int32 }

func (p *provider) Retrieve(context.Context) (aws.Credentials, error) {
	n := p.n.Add(1)
	return aws.Credentials{AccessKeyID: fmt.Sprint("KEY", n), SecretAccessKey: "s", SessionToken: "t", CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
}

// TestS3RenewsARefusedKeyOnce: a temporary key that ended early costs one fetch, not the checkpoint; one that is wrong for good is an error.
func TestS3RenewsARefusedKeyOnce(t *testing.T) {
	for good, want := range map[string]int{"KEY2": 2, "none": 2} {
		requests := 0
		p := &provider{}
		s, err := OpenS3(t.Context(), &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			requests++
			if strings.Contains(r.Header.Get("Authorization"), "Credential="+good+"/") && r.Header.Get("X-Amz-Security-Token") == "t" {
				return respond(r, 200, "", "", "ETag", `"e"`), nil
			}
			return respond(r, 400, xmlText, s3Answer("ExpiredToken", "x")), nil
		})}, "acme", &S3Options{Endpoint: "https://s3.test", Credentials: aws.NewCredentialsCache(p)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), "k", []byte("x"), objstore.Absent)
		if (err == nil) != (good == "KEY2") || requests != want || p.n.Load() != 2 {
			t.Errorf("%s: %v after %d requests and %d keys", good, err, requests, p.n.Load())
		}
	}
}

// TestS3StoresShareTheirKeys: what is read from the environment is read once, until the environment is another.
func TestS3StoresShareTheirKeys(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "credentials")
	write := func(id string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = "+id+"\naws_secret_access_key = s\nregion = eu-west-3\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	write("FIRST")
	open := func() *S3 {
		t.Helper()
		s, err := OpenS3(t.Context(), nil, "acme", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	a, b := open(), open()
	if a.creds != b.creds || a.region != "eu-west-3" {
		t.Errorf("two stores have caches of their own, in %q", a.region)
	}
	write("SECOND, longer")
	if c, err := open().creds.Retrieve(t.Context()); err != nil || c.AccessKeyID != "SECOND, longer" {
		t.Errorf("%v, %v: the file changed", c.AccessKeyID, err)
	}
}

func TestS3Addresses(t *testing.T) {
	for _, c := range []struct {
		bucket string
		o      S3Options
		want   string
	}{
		{"acme", S3Options{Region: "eu-west-3"}, "https://acme.s3.eu-west-3.amazonaws.com/k"},
		{"acme.dots", S3Options{Region: "eu-west-3"}, "https://s3.eu-west-3.amazonaws.com/acme.dots/k"},
		{"acme", S3Options{Region: "cn-north-1"}, "https://acme.s3.cn-north-1.amazonaws.com.cn/k"},
		{"acme", S3Options{Region: "eu-west-3", PathStyle: "true"}, "https://s3.eu-west-3.amazonaws.com/acme/k"},
		{"acme", S3Options{Endpoint: "https://storage.googleapis.com"}, "https://storage.googleapis.com/acme/k"},
		{"acme", S3Options{Endpoint: "https://oss-eu.example:8443/", PathStyle: "false"}, "https://acme.oss-eu.example:8443/k"},
		{"acme", S3Options{Endpoint: "http://[::1]:9000"}, "http://[::1]:9000/acme/k"},
	} {
		got := ""
		c.o.Credentials = keys(secret)
		s, err := OpenS3(t.Context(), &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return respond(r, 500, "", ""), nil
		})}, c.bucket, &c.o)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if _, _, err := s.Get(t.Context(), "k", 1); objstore.KindOf(err) != objstore.KindUnavailable || got != c.want {
			t.Errorf("%s, want %s; %v", got, c.want, err)
		}
	}
}
