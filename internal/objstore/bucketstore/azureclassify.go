package bucketstore

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// azureError is how Azure says no. Beside these two it quotes what it signed, which is not for messages.
type azureError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

// azureKinds are the codes whose status alone says too little: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
// and …/common-rest-api-error-codes.
var azureKinds = map[string]objstore.Kind{
	// 403 and 400: the signature, the key or the token, not the permission.
	"AuthenticationFailed": objstore.KindCredentials, "InvalidAuthenticationInfo": objstore.KindCredentials,
	"NoAuthenticationInformation": objstore.KindCredentials, "KeyBasedAuthenticationNotPermitted": objstore.KindCredentials,
	"AccountIsDisabled": objstore.KindCredentials,

	"ContainerNotFound": objstore.KindInvalid, "ContainerDisabled": objstore.KindInvalid, "ResourceNotFound": objstore.KindInvalid,
	"AccountNotFound": objstore.KindInvalid,
	// 409: the condition, or what somebody else has set up. Only the first two mean that the blob is another one.
	"BlobAlreadyExists": objstore.KindPrecondition, "TargetConditionNotMet": objstore.KindPrecondition,
	"BlobImmutableDueToPolicy": objstore.KindPermission, "BlobArchived": objstore.KindUnsupported, "BlobBeingRehydrated": objstore.KindUnsupported,
	"InvalidBlobType": objstore.KindInvalid, "ContainerBeingDeleted": objstore.KindUnavailable, "AccountBeingCreated": objstore.KindUnavailable,
	// 412: not a condition of ours. Only the holder of the lease may write.
	"LeaseIdMissing": objstore.KindPermission, "LeaseIdMismatchWithBlobOperation": objstore.KindPermission, "LeaseLost": objstore.KindPermission,
	// 503: the account's or the partition's share is used up.
	"ServerBusy": objstore.KindThrottled, "TooManyRequests": objstore.KindThrottled,
	// 400: damaged or stuck on the way, and not stored.
	"Md5Mismatch": objstore.KindUnavailable, "Crc64Mismatch": objstore.KindUnavailable, "OperationTimedOut": objstore.KindUnavailable,

	"RequestBodyTooLarge": objstore.KindTooLarge, "FeatureNotSupported": objstore.KindUnsupported, "UnsupportedHeader": objstore.KindUnsupported,
}

// azureActions are what a role has to grant, by operation, where Azure names nothing.
var azureActions = map[string]string{"get": "read", "range": "read", "stat": "read", "list": "read", "dirs": "read", "put": "write", "delete": "delete"}

// refused gives an answer that is no success its kind.
func (s *Azure) refused(ctx context.Context, c *azureCall, resp *http.Response) error {
	e := &objstore.Error{Op: c.op, Key: c.key, RetryAfter: retryAfter(resp.Header)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return s.fail(ctx, c, err)
	}
	var said azureError
	_ = xml.Unmarshal([]byte(strings.TrimPrefix(string(body), "\uFEFF")), &said) // what is none leaves it empty
	if said.Code == "" {
		said.Code = resp.Header.Get("X-Ms-Error-Code") // all that the answer to a HEAD has
	}
	if said.Code == "" && len(body) > 0 {
		c.attempt.condemn()
		e.Kind = objstore.KindUnavailable
		e.Err = fmt.Errorf("HTTP %d with a page that is not the storage API's, %d bytes of %q", resp.StatusCode, len(body), resp.Header.Get("Content-Type"))
		return e
	}
	text := said.Code
	if first, _, _ := strings.Cut(strings.TrimSpace(said.Message), "\n"); first != "" { // then come the identifiers of the request
		text += ": " + strings.TrimSpace(first)
	}
	e.Err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, clip(text))
	if text == "" {
		e.Err = fmt.Errorf("HTTP %d without a word", resp.StatusCode)
	}
	e.Kind = azureKind(c.op, resp.StatusCode, said.Code)
	if said.Code == "AuthorizationFailure" && strings.Contains(said.Message, "failed to authenticate") { // as Azurite puts it
		e.Kind = objstore.KindCredentials
	}
	if e.Kind == objstore.KindPermission && resp.StatusCode == http.StatusForbidden {
		e.Permission = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/" + azureActions[c.op]
	}
	return e
}

// azureKind: "not found" makes callers start from nothing, so it takes the service's word that the blob, and only the blob, is absent.
func azureKind(op string, status int, code string) objstore.Kind {
	if kind, ok := azureKinds[code]; ok {
		return kind
	}
	switch status {
	case http.StatusUnauthorized:
		return objstore.KindCredentials
	case http.StatusForbidden:
		return objstore.KindPermission
	case http.StatusNotFound:
		switch {
		case code == "BlobNotFound" && op != "put" && op != "list" && op != "dirs":
			return objstore.KindNotFound
		case code == "":
			return objstore.KindUnavailable
		case op == "put":
			return objstore.KindPrecondition // If-Match on what is absent
		}
		return objstore.KindInvalid
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return objstore.KindPrecondition
	case http.StatusRequestedRangeNotSatisfiable:
		return objstore.KindCorrupt
	case http.StatusTooManyRequests:
		return objstore.KindThrottled
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusConflict:
		return objstore.KindUnavailable
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return objstore.KindUnsupported
	case http.StatusRequestEntityTooLarge:
		return objstore.KindTooLarge
	case http.StatusInsufficientStorage:
		return objstore.KindNoSpace
	}
	if status >= 500 || status < 400 { // Azure sends nobody elsewhere: a proxy or a portal does
		return objstore.KindUnavailable
	}
	return objstore.KindInvalid
}
