package bucketstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"gocloud.dev/gcerrors"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// credentialsError is an error of a token source, whichever it is: "unavailable" may pass, "refused" and "misconfigured"
// need somebody.
type credentialsError interface {
	error
	CredentialsError() string
}

// unproven: the storage client answers a 404 of the XML API with this error alone.
func (gcs) unproven(err error) bool {
	var answer *googleapi.Error
	return errors.Is(err, storage.ErrObjectNotExist) && !errors.As(err, &answer)
}

// classify looks for what happened before what somebody made of it: credentials first, since a failed token fetch arrives as a
// failed request; then the service's own answer, since gocloud calls a 403 "not found"; then the network.
func (gcs) classify(op string, err error) *objstore.Error {
	var (
		ours     *objstore.Error
		cred     credentialsError
		retrieve *oauth2.RetrieveError
		answer   *googleapi.Error
	)
	switch {
	case errors.As(err, &ours):
		copied := *ours
		return &copied
	case errors.As(err, &cred):
		if cred.CredentialsError() == "unavailable" {
			return &objstore.Error{Kind: objstore.KindUnavailable, Err: err}
		}
		return &objstore.Error{Kind: objstore.KindCredentials, Err: err}
	case errors.As(err, &retrieve):
		return &objstore.Error{Kind: tokenKind(retrieve), Err: err}
	case errors.As(err, &answer):
		return classifyAnswer(op, answer)
	}
	return &objstore.Error{Kind: kindOf(err), Err: err}
}

func tokenKind(e *oauth2.RetrieveError) objstore.Kind {
	if e.Response == nil || e.Response.StatusCode >= 500 || e.Response.StatusCode == http.StatusTooManyRequests {
		return objstore.KindUnavailable
	}
	return objstore.KindCredentials
}

func kindOf(err error) objstore.Kind {
	var (
		netErr    net.Error
		urlErr    *url.Error
		syntaxErr *json.SyntaxError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return objstore.KindUnknown
	case errors.Is(err, errHook), errors.Is(err, errEncoded):
		return objstore.KindUnsupported
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errForeign), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &netErr), errors.As(err, &urlErr), errors.As(err, &syntaxErr):
		return objstore.KindUnavailable
	}
	switch text := err.Error(); {
	case strings.Contains(text, "storage: bad CRC on read"):
		return objstore.KindCorrupt
	case strings.Contains(text, "storage: partial request not satisfied"), strings.Contains(text, "storage: invalid Content-Range"):
		return objstore.KindUnavailable // success in the status, and not the storage API's answer
	}
	switch gcerrors.Code(err) { // what is left comes from a client that speaks gRPC
	case gcerrors.NotFound:
		return objstore.KindNotFound
	case gcerrors.FailedPrecondition:
		return objstore.KindPrecondition
	case gcerrors.PermissionDenied:
		return objstore.KindPermission
	case gcerrors.ResourceExhausted:
		return objstore.KindThrottled
	case gcerrors.InvalidArgument:
		return objstore.KindInvalid
	case gcerrors.DeadlineExceeded, gcerrors.Internal:
		return objstore.KindUnavailable
	}
	return objstore.KindUnknown
}

// said is an answer in a few words. The original stays in the chain and out of the text, where a proxy's page is noise.
type said struct {
	text string
	err  error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.err }

func classifyAnswer(op string, e *googleapi.Error) *objstore.Error {
	code, message, genuine := read(e)
	out := &objstore.Error{RetryAfter: retryAfter(e.Header), Status: e.Code, Err: &said{fmt.Sprintf("HTTP %d: %s", e.Code, message), e}}
	if !genuine && looksLikePage(e) {
		out.Kind = objstore.KindUnavailable
		out.Err = &said{fmt.Sprintf("HTTP %d with a page that is not the storage API's, %d bytes of %q", e.Code, len(e.Body), e.Header.Get("Content-Type")), e}
		return out
	}
	switch e.Code {
	case http.StatusUnauthorized:
		out.Kind = objstore.KindCredentials
	case http.StatusForbidden:
		out.Kind = objstore.KindPermission
		if rateReasons[code] {
			out.Kind = objstore.KindThrottled
		}
		out.Permission, out.Principal = refusal(e.Body)
	case http.StatusNotFound:
		out.Kind = missing(op, code, message, genuine)
		if out.Kind == objstore.KindInvalid {
			out.Err = &said{"the bucket does not exist (HTTP 404: " + message + ")", e}
		}
	case http.StatusPreconditionFailed, http.StatusNotModified:
		out.Kind = objstore.KindPrecondition
	case http.StatusRequestedRangeNotSatisfiable:
		out.Kind = objstore.KindCorrupt
		out.Err = &said{"the object ends before the range does (" + out.Err.Error() + ")", e}
	case http.StatusTooManyRequests:
		out.Kind = objstore.KindThrottled
	case http.StatusRequestTimeout, http.StatusGone, http.StatusTooEarly:
		out.Kind = objstore.KindUnavailable // 410: an upload session that the service forgot
	case http.StatusNotImplemented:
		out.Kind = objstore.KindUnsupported
	case http.StatusInsufficientStorage:
		out.Kind = objstore.KindNoSpace
	case http.StatusRequestEntityTooLarge:
		out.Kind = objstore.KindTooLarge
	case http.StatusBadRequest:
		out.Kind = objstore.KindInvalid
		if badChecksum.MatchString(message) {
			out.Kind = objstore.KindUnavailable // damaged on the way and not stored
		}
	default:
		if e.Code >= 500 || e.Code < 400 { // below: a redirect, by something in between
			out.Kind = objstore.KindUnavailable
		}
	}
	return out
}

var (
	badChecksum = regexp.MustCompile(`(?i)(crc32c|md5).*(match|calculated)`)
	xmlCode     = regexp.MustCompile(`<Error>.*<Code>(\w+)</Code>`)
	xmlMessage  = regexp.MustCompile(`<(?:Details|Message)>([^<]*)</(?:Details|Message)></Error>`)
	// mediaText is how GCS answers a failed download through the JSON API: in plain words, and as text/html.
	mediaText   = regexp.MustCompile(`(?i)^(no such object: |the specified bucket does not exist|not found\s*$|.* does not have storage\.)`)
	rateReasons = map[string]bool{"rateLimitExceeded": true, "userRateLimitExceeded": true}
)

// read finds the service's code and message in its answer; genuine says that they were there in one of the service's forms.
func read(e *googleapi.Error) (code, message string, genuine bool) {
	body := strings.TrimSpace(e.Body)
	var reply struct {
		Error struct {
			Message string
			Errors  []struct{ Reason string }
		}
	}
	switch {
	case json.Unmarshal([]byte(body), &reply) == nil && reply.Error.Message != "": // e itself has it for all but downloads
		for _, item := range reply.Error.Errors {
			code = item.Reason
		}
		return code, reply.Error.Message, true
	case xmlCode.MatchString(body):
		code = xmlCode.FindStringSubmatch(body)[1]
		message = code
		if m := xmlMessage.FindStringSubmatch(body); m != nil {
			message += ": " + m[1]
		}
		return code, message, true
	case mediaText.MatchString(body):
		return "", clip(body), true
	}
	return "", clip(body), false
}

func clip(s string) string {
	const enough = 200
	if len(s) > enough {
		return strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}

// isForeign tells that an answer was not the store's, whatever its status says.
func isForeign(err error) bool {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		_, _, genuine := read(answer)
		return !genuine && looksLikePage(answer)
	}
	var syntaxErr *json.SyntaxError
	return errors.Is(err, errForeign) || errors.Is(err, errEncoded) || errors.As(err, &syntaxErr)
}

func looksLikePage(e *googleapi.Error) bool {
	return strings.HasPrefix(strings.TrimSpace(e.Body), "<") || strings.Contains(e.Header.Get("Content-Type"), "html")
}

// missing tells a missing object from a missing bucket and from a stranger's 404. "Not found" makes callers start from nothing, so it
// needs the service's word that the object, and only the object, is absent.
func missing(op, code, message string, genuine bool) objstore.Kind {
	text := strings.ToLower(message)
	switch {
	case !genuine:
		return objstore.KindUnavailable
	case code == "NoSuchBucket" || strings.Contains(text, "bucket does not exist") || strings.Contains(text, "no such bucket"):
		return objstore.KindInvalid
	case op == "list" || op == "dirs" || op == "put":
		return objstore.KindInvalid // these name no object that could be missing
	}
	return objstore.KindNotFound
}

var (
	deniedAccess = regexp.MustCompile(`(Anonymous caller|[^\s"<>]+) does not have ([\w.]+) access`)
	deniedName   = regexp.MustCompile(`Permission '([\w.]+)' denied`)
)

// refusal finds in "x@y does not have storage.objects.get access to … Permission 'storage.objects.get' denied …" who lacks what.
func refusal(text string) (permission, principal string) {
	if m := deniedAccess.FindStringSubmatch(text); m != nil {
		principal, permission = m[1], m[2]
	}
	if m := deniedName.FindStringSubmatch(text); m != nil {
		permission = m[1]
	}
	return permission, principal
}

// retryAfter reads the header in both of its forms; nonsense and the past count as absent.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil && seconds > 0 && seconds < 24*3600 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
