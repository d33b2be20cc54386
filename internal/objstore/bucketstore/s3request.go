package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// send implements service. The one exception to "one attempt" is a temporary key that the server no longer accepts: it is dropped, and the
// request repeated under a new one.
func (s *S3) send(ctx context.Context, c *call) (*http.Response, error) {
	for renewed := false; ; renewed = true {
		creds, err := s.creds.Retrieve(ctx)
		if err != nil {
			return nil, s.keyless(ctx, c, err)
		}
		resp, err := s.exchange(ctx, c, func(r *http.Request) { s.sign(r, c.body, creds) })
		if err == nil || renewed || objstore.KindOf(err) != objstore.KindCredentials || !s.renew(ctx, creds) {
			return resp, err
		}
	}
}

// sign adds the signature of the store's dialect.
func (s *S3) sign(r *http.Request, body []byte, creds aws.Credentials) {
	payload := unsignedPayload
	if r.URL.Scheme != "https" { // without TLS the signature is all that protects the body
		payload = hexSHA256(body)
	}
	s.d.scheme().sign(r, creds, payload, s.region, time.Now())
}

// renew drops creds from the cache, if they are what it still holds, so that one refused key costs one fetch however many requests had it.
func (s *S3) renew(ctx context.Context, creds aws.Credentials) bool {
	cache, ok := s.creds.(*aws.CredentialsCache)
	if !ok || !creds.CanExpire {
		return false
	}
	if held, err := cache.Retrieve(ctx); err == nil && held.AccessKeyID == creds.AccessKeyID {
		cache.Invalidate()
	}
	return true
}

// keyless is a call that ended before there was a key to sign with.
func (s *S3) keyless(ctx context.Context, c *call, err error) error {
	if ctx.Err() == nil {
		return s.fail(ctx, c, errNoKeys{err})
	}
	ended := objstore.ContextError(ctx, c.op, c.key)
	var e *objstore.Error
	if errors.As(ended, &e) {
		e.Err = fmt.Errorf("%w while waiting for keys to sign with", e.Err)
	}
	return ended
}

// errNoKeys keeps the SDK's account of what it tried.
type errNoKeys struct{ err error }

func (e errNoKeys) Error() string {
	return "no keys to sign with (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role): " + e.err.Error()
}
func (e errNoKeys) Unwrap() error { return e.err }

// CredentialsError tells a source of keys that may answer later from one that needs somebody.
func (e errNoKeys) CredentialsError() string {
	var answer *awshttp.ResponseError
	if errors.As(e.err, &answer) && (answer.HTTPStatusCode() >= 500 || answer.HTTPStatusCode() == http.StatusTooManyRequests) {
		return "unavailable"
	}
	return "misconfigured"
}
