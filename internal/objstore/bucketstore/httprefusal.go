package bucketstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// serviceError is how S3, Google's XML API and Azure say no. What else they put there, the string that they signed for one, is not for messages.
type serviceError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Details string // Google's
	Region  string // Amazon's: where the bucket is
}

func (e *serviceError) Error() string {
	text := e.Code
	message, _, _ := strings.Cut(e.Message, "\nRequestId:") // with which Azure's end
	for _, more := range []string{message, e.Details} {
		if more = strings.Join(strings.Fields(more), " "); more != "" {
			text += ": " + more
		}
	}
	return clip(text)
}

// confided is what lets a request do anything. Some servers, and proxies before them, repeat it where they say no.
func confided(r *http.Request) []string {
	signature := r.URL.Query().Get("sig") // of an Azure address
	return []string{r.Header.Get("X-Amz-Security-Token"), r.Header.Get("Authorization"), signature, url.QueryEscape(signature)}
}

func (e *serviceError) forget(secrets []string) {
	for _, field := range []*string{&e.Code, &e.Message, &e.Details, &e.Region} {
		for _, secret := range secrets {
			if secret != "" {
				*field = strings.ReplaceAll(*field, secret, "[redacted]")
			}
		}
	}
}

// unmarshal reads what is XML, behind the byte order mark that Azure puts in front.
func unmarshal(text []byte, into any) error {
	return xml.Unmarshal(bytes.TrimPrefix(text, []byte("\uFEFF")), into)
}

// maxErrorBody is more than an error of the service has, and as much as is read of a page.
const maxErrorBody = 64 << 10

// refused gives an answer that is no success its kind.
func (s *httpStore) refused(ctx context.Context, c *call, resp *http.Response) error {
	e := &objstore.Error{Op: c.op, Key: c.key, RetryAfter: retryAfter(resp.Header), Status: resp.StatusCode}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return s.fail(ctx, c, err)
	}
	var said serviceError
	if unmarshal(body, &said) != nil {
		said = serviceError{}
	}
	said.forget(confided(resp.Request))
	said.Code = cmp.Or(said.Code, resp.Header.Get("X-Ms-Error-Code")) // Azure's, and all that its answer to a HEAD has
	switch {
	case said.Code != "":
		e.Err = fmt.Errorf("HTTP %d: %w", resp.StatusCode, &said)
	case len(body) == 0:
		e.Err = fmt.Errorf("HTTP %d without a word", resp.StatusCode)
	default:
		c.attempt.condemn()
		e.Kind = objstore.KindUnavailable
		e.Err = fmt.Errorf("HTTP %d with a page that is not the storage API's, %d bytes of %q", resp.StatusCode, len(body), resp.Header.Get("Content-Type"))
		return e
	}
	s.service.judge(e, c, resp, &said)
	return e
}

// kindOfStatus is what a status means where a service's code says no more than it.
func kindOfStatus(status int) objstore.Kind {
	switch status {
	case http.StatusUnauthorized:
		return objstore.KindCredentials
	case http.StatusForbidden:
		return objstore.KindPermission
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
	if status >= 500 {
		return objstore.KindUnavailable
	}
	return objstore.KindInvalid
}

// kindOfAbsence is what a 404 means. "Not found" makes callers start from nothing, so it takes the service's word that the object, and only the
// object, is absent: its code for that. Others say that of a bucket, of an account, of an access key.
func kindOfAbsence(op, code, noObject string) objstore.Kind {
	switch {
	case code == "":
		return objstore.KindUnavailable
	case code != noObject, op == "list", op == "dirs": // which name no object that could be missing
		return objstore.KindInvalid
	case op == "put": // If-Match on what is absent
		return objstore.KindPrecondition
	}
	return objstore.KindNotFound
}
