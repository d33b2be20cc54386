package bucketstore

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// s3Error is how S3 and Google's XML API say no. What else they put there, the string that they signed for one, is not for messages.
type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Details string // Google's
	Region  string // where the bucket is
}

func (e *s3Error) Error() string {
	text := e.Code
	for _, more := range []string{e.Message, e.Details} {
		if more = strings.Join(strings.Fields(more), " "); more != "" {
			text += ": " + more
		}
	}
	return clip(text)
}

// s3Kinds are the codes whose status alone says too little. Google's are from cloud.google.com/storage/docs/xml-api/reference-status, Amazon's from
// docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
var s3Kinds = map[string]objstore.Kind{
	// 403 and 400: the signature or the key, not the permission.
	"SignatureDoesNotMatch": objstore.KindCredentials, "InvalidAccessKeyId": objstore.KindCredentials, "ExpiredToken": objstore.KindCredentials,
	"InvalidToken": objstore.KindCredentials, "TokenRefreshRequired": objstore.KindCredentials, "RequestTimeTooSkewed": objstore.KindCredentials,
	"RequestExpired": objstore.KindCredentials, "InvalidSecurity": objstore.KindCredentials, "MissingSecurityHeader": objstore.KindCredentials,
	"NotSignedUp": objstore.KindCredentials, "AuthenticationRequired": objstore.KindCredentials,

	"NoSuchBucket": objstore.KindInvalid, "InvalidBucketName": objstore.KindInvalid, "InvalidObjectState": objstore.KindUnsupported,
	// 503, 400 and 403.
	"SlowDown": objstore.KindThrottled, "TooManyRequests": objstore.KindThrottled, "RequestLimitExceeded": objstore.KindThrottled,
	"Throttling": objstore.KindThrottled, "ThrottlingException": objstore.KindThrottled, "SlowDownRead": objstore.KindThrottled,
	"SlowDownWrite": objstore.KindThrottled, "UserRateLimitExceeded": objstore.KindThrottled, "RateLimitExceeded": objstore.KindThrottled,
	// 400: damaged or stuck on the way, and not stored.
	"BadDigest": objstore.KindUnavailable, "XAmzContentSHA256Mismatch": objstore.KindUnavailable, "XAmzContentChecksumMismatch": objstore.KindUnavailable,
	"IncompleteBody": objstore.KindUnavailable, "RequestTimeout": objstore.KindUnavailable,
	// 409: another conditional write or a deletion was under way, and this one was given up. The same again is right.
	"ConditionalRequestConflict": objstore.KindUnavailable, "OperationAborted": objstore.KindUnavailable,

	"XMinioStorageFull": objstore.KindNoSpace, "QuotaExceeded": objstore.KindNoSpace, "EntityTooLarge": objstore.KindTooLarge,
	"NotImplemented": objstore.KindUnsupported,
}

// maxErrorBody is more than an error of the service has, and as much as is read of a page.
const maxErrorBody = 64 << 10

// refused gives an answer that is no success its kind.
func (s *S3) refused(ctx context.Context, c *s3Call, resp *http.Response) error {
	e := &objstore.Error{Op: c.op, Key: c.key, RetryAfter: retryAfter(resp.Header), Status: resp.StatusCode}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return s.fail(ctx, c, err)
	}
	var said s3Error
	genuine := xml.Unmarshal(body, &said) == nil && said.Code != ""
	switch {
	case genuine:
		e.Err = fmt.Errorf("HTTP %d: %w", resp.StatusCode, &said)
	case len(body) == 0 || c.method == http.MethodHead:
		e.Err = fmt.Errorf("HTTP %d without a word", resp.StatusCode)
	default:
		c.attempt.condemn()
		e.Kind = objstore.KindUnavailable
		e.Err = fmt.Errorf("HTTP %d with a page that is not the storage API's, %d bytes of %q", resp.StatusCode, len(body), resp.Header.Get("Content-Type"))
		return e
	}
	e.Kind = s3Kind(c, resp.StatusCode, said.Code, genuine)
	if c.method == http.MethodHead && resp.StatusCode/100 == 4 && e.Kind != objstore.KindThrottled {
		e.Kind = objstore.KindUnknown // it is without a word by nature; Stat finds out
	}
	if e.Kind == objstore.KindPermission {
		e.Permission, e.Principal = s3Refusal(said.Message + " " + said.Details)
	}
	region := said.Region
	if region == "" {
		region = resp.Header.Get("X-Amz-Bucket-Region")
	}
	if region != "" && region != s.region && (resp.StatusCode < 400 || said.Code == "AuthorizationHeaderMalformed") {
		e.Kind = objstore.KindInvalid
		e.Err = fmt.Errorf("the bucket is in region %s, not %s (%w)", region, s.region, e.Err)
	}
	return e
}

func s3Kind(c *s3Call, status int, code string, genuine bool) objstore.Kind {
	if kind, ok := s3Kinds[code]; ok {
		return kind
	}
	switch status {
	case http.StatusUnauthorized:
		return objstore.KindCredentials
	case http.StatusForbidden:
		return objstore.KindPermission
	case http.StatusNotFound:
		if c.op == "put" && code == "NoSuchKey" { // If-Match on what is absent
			return objstore.KindPrecondition
		}
		return missing(c.op, code, "", genuine)
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return objstore.KindPrecondition
	case http.StatusRequestedRangeNotSatisfiable:
		return objstore.KindCorrupt
	case http.StatusTooManyRequests:
		return objstore.KindThrottled
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return objstore.KindUnavailable
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return objstore.KindUnsupported
	case http.StatusInsufficientStorage:
		return objstore.KindNoSpace
	case http.StatusRequestEntityTooLarge:
		return objstore.KindTooLarge
	}
	if status >= 500 || status == http.StatusConflict {
		return objstore.KindUnavailable
	}
	return objstore.KindInvalid // 301 and 307: another region; 400: an argument
}

var awsRefusal = regexp.MustCompile(`(?:User: )?(\S+) is not authorized to perform: ([\w:]+)`)

// s3Refusal finds who lacks what, in Amazon's words or Google's.
func s3Refusal(text string) (permission, principal string) {
	if m := awsRefusal.FindStringSubmatch(text); m != nil {
		return m[2], m[1]
	}
	return refusal(text)
}
