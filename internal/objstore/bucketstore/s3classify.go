package bucketstore

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// s3Kinds are the codes whose status alone says too little. Google's are from cloud.google.com/storage/docs/xml-api/reference-status, Amazon's from
// docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
var s3Kinds = map[string]objstore.Kind{
	// 403 and 400: the signature or the key, not the permission.
	"SignatureDoesNotMatch": objstore.KindCredentials, "InvalidAccessKeyId": objstore.KindCredentials, "ExpiredToken": objstore.KindCredentials,
	"InvalidToken": objstore.KindCredentials, "TokenRefreshRequired": objstore.KindCredentials, "RequestTimeTooSkewed": objstore.KindCredentials,
	"RequestExpired": objstore.KindCredentials, "InvalidSecurity": objstore.KindCredentials, "MissingSecurityHeader": objstore.KindCredentials,
	"NotSignedUp": objstore.KindCredentials, "AuthenticationRequired": objstore.KindCredentials,
	"XAdminUserNotFound": objstore.KindCredentials, // 404: versitygw's word for an access key that it does not know

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

// judge implements service.
func (s *S3) judge(e *objstore.Error, c *call, resp *http.Response, said *serviceError) {
	e.Kind = s3Kind(c, resp.StatusCode, said.Code)
	if c.method == http.MethodHead && resp.StatusCode/100 == 4 && e.Kind != objstore.KindThrottled {
		e.Kind = objstore.KindUnknown // it is without a word by nature; Stat finds out
	}
	if e.Kind == objstore.KindPermission {
		e.Permission, e.Principal = s3Refusal(said.Message + " " + said.Details)
	}
	region := cmp.Or(said.Region, resp.Header.Get("X-Amz-Bucket-Region"))
	if region != "" && region != s.region && (resp.StatusCode < 400 || said.Code == "AuthorizationHeaderMalformed") {
		e.Kind = objstore.KindInvalid
		e.Err = fmt.Errorf("the bucket is in region %s, not %s (%w)", region, s.region, e.Err)
	}
}

// s3Kind reads a refusal; code is empty where the service itself said nothing. What kindOfStatus calls invalid includes 301 and 307, another
// region, and 400, an argument.
func s3Kind(c *call, status int, code string) objstore.Kind {
	if kind, ok := s3Kinds[code]; ok {
		return kind
	}
	if status == http.StatusNotFound {
		return kindOfAbsence(c.op, code, "NoSuchKey")
	}
	return kindOfStatus(status)
}

var awsRefusal = regexp.MustCompile(`(?:User: )?(\S+) is not authorized to perform: ([\w:]+)`)

// s3Refusal finds who lacks what, in Amazon's words or Google's.
func s3Refusal(text string) (permission, principal string) {
	if m := awsRefusal.FindStringSubmatch(text); m != nil {
		return m[2], m[1]
	}
	return refusal(text)
}
