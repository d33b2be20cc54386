package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what to do about a failure.
type Kind int

const (
	// Unavailable: the source did not answer, or not usefully. Retry later.
	Unavailable Kind = iota + 1
	// Refused: the source, or the service the token was for, said no. Fix the permission.
	Refused
	// Misconfigured: there is nothing to ask, or it cannot be asked this way. Fix the set-up.
	Misconfigured
)

// String is the word that [Error.CredentialsError] returns.
func (k Kind) String() string {
	switch k {
	case Unavailable:
		return "unavailable"
	case Refused:
		return "refused"
	case Misconfigured:
		return "misconfigured"
	}
	return "unknown"
}

var (
	// ErrUnavailable matches every [*Error] of kind [Unavailable]: retry later.
	ErrUnavailable = errors.New("credentials unavailable")
	// ErrRefused matches every [*Error] of kind [Refused]: fix the permission.
	ErrRefused = errors.New("credentials refused")
	// ErrMisconfigured matches every [*Error] of kind [Misconfigured]: fix the set-up.
	ErrMisconfigured = errors.New("credentials misconfigured")
	// ErrClosed is returned by a cache after Close.
	ErrClosed = errors.New("credentials: the cache is closed")
)

// Error is a failure to get a token, or of a token to be accepted. It never holds a token or key.
type Error struct {
	Kind       Kind
	Source     string        // what was asked, in words
	Account    string        // for whom, where that is known
	Attempts   int           // how often it was asked since it last answered; 0 if it was not asked
	Elapsed    time.Duration // for how long
	RetryAfter time.Duration // what the server asked for, 0 if nothing
	Remedy     string        // what to do next
	Err        error         // the last answer

	// settle is how long, from the first attempt on, this answer may only mean that the server is not ready.
	settle time.Duration
}

// Error says what was asked, how often and for how long, the last answer, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("credentials ")
	b.WriteString(e.Kind.String())
	if e.Source != "" {
		b.WriteString(": ")
		b.WriteString(e.Source)
	}
	if e.Account != "" {
		fmt.Fprintf(&b, " (account %s)", e.Account)
	}
	if e.Attempts > 0 {
		plural := "s"
		if e.Attempts == 1 {
			plural = ""
		}
		fmt.Fprintf(&b, ": %d attempt%s in %v", e.Attempts, plural, e.Elapsed.Round(time.Millisecond))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Remedy != "" {
		fmt.Fprintf(&b, "; %s", e.Remedy)
	}
	return b.String()
}

// Unwrap gives the last answer.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the sentinel of the error's kind.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnavailable:
		return e.Kind == Unavailable
	case ErrRefused:
		return e.Kind == Refused
	case ErrMisconfigured:
		return e.Kind == Misconfigured
	}
	return false
}

// CredentialsError returns "unavailable", "refused" or "misconfigured", for packages that tell credential
// failures from others without importing this one.
func (e *Error) CredentialsError() string { return e.Kind.String() }

// classified gives the [*Error] in err. A source that did not classify its failure is taken to be
// unavailable: retrying is the one reaction that loses nothing.
func classified(err error, src Source) *Error {
	e, ok := errors.AsType[*Error](err)
	if ok && e.Kind >= Unavailable && e.Kind <= Misconfigured {
		own := *e
		e = &own
	} else {
		e = &Error{Kind: Unavailable, Err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Err = errors.New("no answer in time")
	}
	if e.Err == nil {
		e.Err = errors.New("no reason given")
	}
	if e.Source == "" {
		e.Source = nameOf(src)
	}
	return e
}
