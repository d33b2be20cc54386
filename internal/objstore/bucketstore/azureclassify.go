package bucketstore

import (
	"net/http"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

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

// judge implements service.
func (s *Azure) judge(e *objstore.Error, c *call, resp *http.Response, said *serviceError) {
	e.Kind = azureKind(c.op, resp.StatusCode, said.Code)
	if said.Code == "AuthorizationFailure" && strings.Contains(said.Message, "failed to authenticate") { // as Azurite puts it
		e.Kind = objstore.KindCredentials
	}
	if e.Kind == objstore.KindPermission && resp.StatusCode == http.StatusForbidden {
		e.Permission = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/" + azureActions[c.op]
	}
}

func azureKind(op string, status int, code string) objstore.Kind {
	if kind, ok := azureKinds[code]; ok {
		return kind
	}
	switch {
	case status < 400 && status != http.StatusNotModified: // Azure sends nobody elsewhere: a proxy or a portal does
		return objstore.KindUnavailable
	case status == http.StatusNotFound:
		return kindOfAbsence(op, code, "BlobNotFound")
	}
	return kindOfStatus(status)
}
