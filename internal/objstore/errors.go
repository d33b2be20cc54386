package objstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what an error means for the caller; each has one right reaction.
type Kind uint8

const (
	KindUnknown      Kind = iota
	KindNotFound          // the object does not exist, and the store said so itself
	KindPrecondition      // the version was another one; for a write of ours that was sent before, perhaps our own
	KindPermission        // the store refused this principal (403); never to be read as "not found"
	KindCredentials       // no token could be had, or the store did not accept it (401)
	KindUnavailable       // time-out, cut connection, 5xx, a proxy's page: try again
	KindThrottled         // 429: try again, slower
	KindTooLarge          // more bytes than the caller was ready for
	KindCorrupt           // bytes that do not match their length or checksum
	KindUnsupported       // the store lacks something the protocol needs
	KindInvalid           // a key, URL or argument that no retry will mend
	KindNoSpace           // a disk or quota is full
)

func (k Kind) String() string {
	names := [...]string{"failed", "not found", "precondition failed", "permission denied", "credentials refused", "unavailable",
		"throttled", "too large", "corrupt", "unsupported", "invalid", "no space"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// Error is the only error type that a Store returns.
type Error struct {
	Kind Kind
	Op   string // "get", "put", ...
	Key  string
	// Permission and Principal are what the store said of a refusal, where it did.
	Permission, Principal string
	// RetryAfter is what the store asked for; zero if it did not.
	RetryAfter time.Duration
	// Status is that of the HTTP answer; zero if there was none.
	Status int
	Err    error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Key != "" {
		b.WriteString(" " + e.Key)
	}
	b.WriteString(": " + e.Kind.String())
	if e.Permission != "" {
		fmt.Fprintf(&b, " (needs %s", e.Permission)
		if e.Principal != "" {
			fmt.Fprintf(&b, " for %s", e.Principal)
		}
		b.WriteByte(')')
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// overloaded tells a store that wants fewer requests from one that fails.
func (e *Error) overloaded() bool {
	return e.Kind == KindThrottled || e.RetryAfter > 0 || e.Status == http.StatusServiceUnavailable
}

// KindOf classifies any error that came through a Store; KindUnknown for one that did not.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindUnknown
}

// Unknown reports whether a Put that failed with err may nevertheless have been applied, or may still be: the caller
// must look before it acts. Only answers that a store gives before it writes are known failures.
func Unknown(err error) bool {
	switch KindOf(err) {
	case KindPermission, KindCredentials, KindInvalid, KindUnsupported, KindNoSpace:
		return false
	}
	return err != nil
}

// Retryable reports whether the same request may succeed later without anybody doing anything.
func Retryable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	switch KindOf(err) {
	case KindUnavailable, KindThrottled:
		return true
	}
	return false
}
