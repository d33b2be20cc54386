package bucketstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// sdk is Amazon's client on a server of ours.
func sdk(t *testing.T, m s3Mode, change func(*s3.Options)) *s3.Client {
	t.Helper()
	_, srv, client := s3Server(t, emulator.StorageOptions{S3: &emulator.S3Options{Keys: map[string]string{keyID: secret}, Google: m.google}}, m.wrap)
	endpoint := m.endpoint
	if endpoint == "" {
		endpoint = srv.URL
	}
	o := s3.Options{Region: "auto", BaseEndpoint: &endpoint, UsePathStyle: true, HTTPClient: client, Credentials: keys(secret), Retryer: aws.NopRetryer{}}
	if change != nil {
		change(&o)
	}
	return s3.New(o)
}

func whenRequired(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

// withoutEncoding is the usual remedy: a signer that does not see the header which Google's front end changes.
type withoutEncoding struct{ *v4.Signer }

func (w withoutEncoding) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, at time.Time, o ...func(*v4.SignerOptions)) error {
	encoding := r.Header.Get("Accept-Encoding")
	r.Header.Del("Accept-Encoding")
	err := w.Signer.SignHTTP(ctx, c, r, hash, service, region, at, append(o, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })...)
	r.Header.Set("Accept-Encoding", encoding)
	return err
}

func sdkPut(t *testing.T, c *s3.Client, body string, change func(*s3.PutObjectInput), o ...func(*s3.Options)) error {
	t.Helper()
	in := &s3.PutObjectInput{Bucket: aws.String("acme"), Key: aws.String("k"), Body: strings.NewReader(body)}
	if change != nil {
		change(in)
	}
	_, err := c.PutObject(t.Context(), in, o...)
	return err
}

// TestGooglesS3ModeBreaksTheSDK is why this package signs for itself: each step mends what broke the one before, and the last cannot be mended.
func TestGooglesS3ModeBreaksTheSDK(t *testing.T) {
	google := s3Modes["Google"]
	if err := sdkPut(t, sdk(t, google, nil), "x", nil); err == nil {
		t.Error("checksum trailers are accepted")
	}
	if err := sdkPut(t, sdk(t, google, whenRequired), "x", nil); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("Accept-Encoding was signed, and changed on the way: %v", err)
	}
	direct := google
	direct.wrap = s3Modes["plain"].wrap
	if err := sdkPut(t, sdk(t, direct, whenRequired), "x", nil); err != nil {
		t.Errorf("nothing was changed on the way: %v", err)
	}
	c := sdk(t, google, func(o *s3.Options) {
		whenRequired(o)
		o.HTTPSignerV4 = withoutEncoding{v4.NewSigner()}
	})
	onlyIfAbsent := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	for _, body := range []string{"first", "second"} {
		if err := sdkPut(t, c, body, onlyIfAbsent); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("acme"), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	if b, err := io.ReadAll(got.Body); err != nil || string(b) != "second" {
		t.Errorf("%q, %v: If-None-Match was heeded", b, err)
	}
	err = sdkPut(t, c, "third", nil, s3.WithAPIOptions(smithyhttp.SetHeaderValue("X-Goog-If-Generation-Match", "0")))
	if err == nil || !strings.Contains(err.Error(), "ExcessHeaderValues") {
		t.Errorf("x-amz- and x-goog- headers together: %v", err)
	}
}

// TestTheSDKIsServed judges the emulator's plain mode by a client that others wrote.
func TestTheSDKIsServed(t *testing.T) {
	ctx := t.Context()
	c := sdk(t, s3Modes["plain"], whenRequired)
	const key = "a key/with ü + %41 ~"
	put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("acme"), Key: aws.String(key), Body: bytes.NewReader([]byte("0123456789")), IfNoneMatch: aws.String("*")})
	if err != nil {
		t.Fatal(err)
	}
	if *put.ETag != `"781e5e245d69b566979b86e28d23f2c7"` {
		t.Errorf("ETag %s is not the MD5 sum", *put.ETag)
	}
	for _, in := range []*s3.PutObjectInput{{IfNoneMatch: aws.String("*")}, {IfMatch: aws.String(`"00"`)}} {
		in.Bucket, in.Key, in.Body = aws.String("acme"), aws.String(key), strings.NewReader("other")
		if _, err := c.PutObject(ctx, in); err == nil || !strings.Contains(err.Error(), "PreconditionFailed") {
			t.Errorf("%v", err)
		}
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("acme"), Key: aws.String(key), Range: aws.String("bytes=3-5")})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(got.Body)
	if err := errors.Join(err, got.Body.Close()); err != nil || string(b) != "345" || *got.ETag != *put.ETag {
		t.Errorf("%q, %v", b, err)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("acme"), Key: aws.String(key)})
	if err != nil || *head.ContentLength != 10 {
		t.Errorf("%+v, %v", head, err)
	}
	list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("acme"), Prefix: aws.String("a key/")})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != key || *list.Contents[0].ETag != *put.ETag {
		t.Errorf("%+v, %v", list, err)
	}
	for range 2 { // idempotent
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("acme"), Key: aws.String(key)}); err != nil {
			t.Error(err)
		}
	}
}

// TestSignatureIsTheSDKs compares with Amazon's own signer, header by header.
func TestSignatureIsTheSDKs(t *testing.T) {
	creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: "session/token=="}
	for path, query := range map[string]map[string][]string{
		"/acme/k":                          nil,
		"/acme/a key/ü+%41~!$&'()*,;=:@[]": nil,
		"/":                                {"list-type": {"2"}, "prefix": {"a b/ü+%"}, "start-after": {"~*'"}, "continuation-token": {"x=="}},
	} {
		s := &S3{d: amazon{}, region: "eu-west-3"}
		s.base.Scheme, s.base.Host = "https", "acme.s3.eu-west-3.amazonaws.com"
		h := http.Header{"If-Match": {`"etag"`}, "Range": {"bytes=0-9"}, "Content-Type": {"application/octet-stream"}}
		ours := s.request(t.Context(), &call{method: http.MethodPut, object: strings.TrimPrefix(path, "/"), query: query, header: h},
			func(r *http.Request) { s.sign(r, nil, creds) })
		theirs := ours.Clone(t.Context())
		theirs.Header = h.Clone()
		theirs.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
		at, err := time.Parse(signedTime, ours.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Fatal(err)
		}
		err = v4.NewSigner().SignHTTP(t.Context(), creds, theirs, unsignedPayload, "s3", "eu-west-3", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err != nil {
			t.Fatal(err)
		}
		if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want || got == "" {
			t.Errorf("%s\n%s\nwant\n%s", path, got, want)
		}
	}
}

// TestS3PutIsOneRequest looks at what goes out.
func TestS3PutIsOneRequest(t *testing.T) {
	body := make([]byte, 20<<20) // more than what SDKs send in parts
	for name, c := range map[string]struct {
		endpoint string
		cond     objstore.Version
		want     map[string]string
		answer   []string
	}{
		"create at Google's": {"https://storage.googleapis.com", objstore.Absent,
			map[string]string{"X-Goog-If-Generation-Match": "0", "X-Goog-Hash": "crc32c=", "X-Goog-Content-Sha256": unsignedPayload}, []string{"X-Goog-Generation", "7"}},
		"swap at Google's": {"https://storage.europe-west3.rep.googleapis.com", "41",
			map[string]string{"X-Goog-If-Generation-Match": "41", "Authorization": "GOOG4-HMAC-SHA256 Credential=" + keyID + "/"}, []string{"X-Goog-Generation", "42"}},
		"create elsewhere": {"https://s3.test", objstore.Absent,
			map[string]string{"If-None-Match": "*", "X-Amz-Checksum-Crc32c": "", "X-Amz-Content-Sha256": unsignedPayload}, []string{"ETag", `"e"`}},
		"swap elsewhere": {"https://s3.test", "e", map[string]string{"If-Match": `"e"`, "Authorization": "AWS4-HMAC-SHA256 Credential=" + keyID + "/"}, []string{"ETag", `"f"`}},
		"without TLS":    {"http://localhost:9000", objstore.Absent, map[string]string{"X-Amz-Content-Sha256": hexSHA256(body)}, []string{"ETag", `"f"`}},
	} {
		n := 0
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			if r.Method != http.MethodPut || r.ContentLength != int64(len(body)) || len(r.TransferEncoding) != 0 {
				t.Errorf("%s: %s of %d bytes, %v", name, r.Method, r.ContentLength, r.TransferEncoding)
			}
			for header, value := range c.want {
				if !strings.HasPrefix(r.Header.Get(header), value) || r.Header.Get(header) == "" {
					t.Errorf("%s: %s: %q", name, header, r.Header.Get(header))
				}
			}
			_, signed, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
			if strings.Contains(signed, "accept-encoding") || r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("X-Amz-Trailer") != "" {
				t.Errorf("%s: %v", name, r.Header)
			}
			for header := range r.Header {
				if strings.HasPrefix(header, "X-Amz-") && r.Header.Get("X-Goog-Date") != "" {
					t.Errorf("%s: %s beside Google's", name, header)
				}
			}
			return respond(r, 200, "", "", c.answer...), nil
		})}
		s, err := OpenS3(t.Context(), client, "acme", &S3Options{Endpoint: c.endpoint, Credentials: keys(secret)})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.Put(t.Context(), "k", body, c.cond); err != nil || n != 1 || string(v) != strings.Trim(c.answer[1], `"`) {
			t.Errorf("%s: %q, %v after %d requests", name, v, err, n)
		}
	}
}
