package emulator

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// storageError is a reply that is not a success, in the terms of both APIs.
type storageError struct {
	status  int
	reason  string // of the JSON API
	code    string // of the XML API
	message string
	header  string // the request header to blame, JSON only
}

func (e *storageError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.reason, e.message) }

func errNoBucket() error {
	return &storageError{status: http.StatusNotFound, reason: "notFound", code: "NoSuchBucket",
		message: "The specified bucket does not exist."}
}

func errNoObject(bucket, name string) error {
	return &storageError{status: http.StatusNotFound, reason: "notFound", code: "NoSuchKey",
		message: "No such object: " + bucket + "/" + name}
}

func errNoMethod(api storageAPI) error {
	e := &storageError{status: http.StatusNotFound, reason: "notFound", code: "MethodNotAllowed", message: "Not Found"}
	if api == apiXML {
		e.status = http.StatusMethodNotAllowed
	}
	return e
}

func errInvalid(format string, args ...any) error {
	return &storageError{status: http.StatusBadRequest, reason: "invalid", code: "InvalidArgument",
		message: fmt.Sprintf(format, args...)}
}

func errRequired(what string) error {
	return &storageError{status: http.StatusBadRequest, reason: "required", code: "InvalidArgument",
		message: "Required parameter: " + what}
}

func errConflict(message string) error {
	return &storageError{status: http.StatusConflict, reason: "conflict", code: "Conflict", message: message}
}

func errPrecondition() error {
	return &storageError{status: http.StatusPreconditionFailed, reason: "conditionNotMet", code: "PreconditionFailed",
		message: "At least one of the pre-conditions you specified did not hold.", header: "If-Match"}
}

func errNotModified() error { return &storageError{status: http.StatusNotModified} }

func errRange() error {
	return &storageError{status: http.StatusRequestedRangeNotSatisfiable, reason: "requestedRangeNotSatisfiable",
		code: "InvalidRange", message: "The requested range cannot be satisfied.", header: "Range"}
}

func errRate(bucket, name string) error {
	return &storageError{status: http.StatusTooManyRequests, reason: "rateLimitExceeded", code: "SlowDown",
		message: "The object " + bucket + "/" + name + " exceeded the rate limit for object mutation operations (create, " +
			"update, and delete). Please reduce your request rate. See https://cloud.google.com/storage/docs/gcs429."}
}

func errChanged() error {
	return &storageError{status: http.StatusServiceUnavailable, reason: "backendError", code: "ServiceUnavailable",
		message: "An object was replaced while it was read. Please try again."}
}

func isRate(err error) bool {
	var e *storageError
	return errors.As(err, &e) && e.status == http.StatusTooManyRequests
}

func errMemory(limit int64) error {
	return &storageError{status: http.StatusRequestEntityTooLarge, reason: "uploadTooLarge", code: "EntityTooLarge",
		message: fmt.Sprintf("The emulator keeps at most %d bytes of objects, and this upload goes beyond that: "+
			"delete objects, or raise its memory limit.", limit)}
}

// maxDrain is how much of a refused request's body is read before the answer.
const maxDrain = 1 << 30

// fail answers with err, in the form of the API that was called.
func fail(w http.ResponseWriter, r *http.Request, c *call, err error) {
	// A server that answers before it has read costs the client its connection and with it, sometimes, the answer.
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)

	var e *storageError
	if !errors.As(err, &e) {
		e = &storageError{status: http.StatusInternalServerError, reason: "internalError", code: "InternalError", message: err.Error()}
	}
	h := w.Header()
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	if e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	h.Set("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate")
	if c.api == apiXML {
		text := xmlError{Code: e.code, Message: e.message}
		if general, ok := xmlMessages[e.code]; ok {
			text.Message, text.Details = general, e.message
		}
		body, _ := xml.Marshal(text) // strings always encode
		h.Set("Content-Type", "application/xml; charset=UTF-8")
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, "<?xml version='1.0' encoding='UTF-8'?>")
		_, _ = w.Write(body)
		return
	}
	item := jsonErrorItem{Message: e.message, Domain: "global", Reason: e.reason}
	if e.header != "" {
		item.LocationType, item.Location = "header", e.header
	}
	reply(w, e.status, map[string]jsonError{"error": {Code: e.status, Message: e.message, Errors: []jsonErrorItem{item}}})
}

// xmlMessages are what the XML API says in general, before the details.
var xmlMessages = map[string]string{
	"NoSuchKey":              "The specified key does not exist.",
	"AccessDenied":           "Access denied.",
	"AuthenticationRequired": "Authentication required.",
	"MethodNotAllowed":       "The specified method is not allowed against this resource.",
}

type xmlError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Details string `xml:",omitempty"`
}

type jsonError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Errors  []jsonErrorItem `json:"errors"`
}

type jsonErrorItem struct {
	Message      string `json:"message"`
	Domain       string `json:"domain"`
	Reason       string `json:"reason"`
	LocationType string `json:"locationType,omitempty"`
	Location     string `json:"location,omitempty"`
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // object names are full of characters that would be escaped
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("emulator: encode a reply: %v", err)) // only this package's own types come here
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", fmt.Sprint(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
