package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// The closed set of things that can be wrong. Test with errors.Is; each has one right reaction.
var (
	ErrNotFound    = errors.New("not found")           // no such job, checkpoint, tag or part: start from nothing, or mend the name
	ErrRetired     = errors.New("retired")             // the checkpoint is gone since it was looked up: look up again
	ErrCorrupt     = errors.New("corrupt")             // bytes are wrong or missing: restore another checkpoint
	ErrFenced      = errors.New("fenced")              // a newer owner took the job: stop
	ErrConflict    = errors.New("conflict")            // somebody committed first: start over from the new state
	ErrChanged     = errors.New("changed while saved") // a file moved under the save: snapshot it first, or save again
	ErrPermission  = errors.New("permission denied")   // grant what Error.Hint names
	ErrCredentials = errors.New("credentials")         // find, mend or replace the credentials
	ErrUnavailable = errors.New("unavailable")         // try again later
	ErrThrottled   = errors.New("throttled")           // try again later, and slower
	ErrBudget      = errors.New("memory budget")       // can never fit: raise Options.MemoryBudget
	ErrUnsupported = errors.New("unsupported")         // this store, or this version of the format, cannot do it
	ErrInvalid     = errors.New("invalid")             // mend the argument
	ErrNoSpace     = errors.New("no space")            // free space, then again
)

// ErrOutcomeUnknown refines another kind: the change was sent, and may be visible, now or later, or may have been before others superseded it. Look at
// the latest checkpoint before acting. An error of a commit, fence or removal that does not match it means: not visible, now or ever.
var ErrOutcomeUnknown = errors.New("whether it happened is unknown")

var codes = []struct {
	err  error
	code string
}{
	{ErrNotFound, "not_found"}, {ErrRetired, "retired"}, {ErrCorrupt, "corrupt"}, {ErrFenced, "fenced"}, {ErrConflict, "conflict"},
	{ErrChanged, "changed"}, {ErrPermission, "permission"}, {ErrCredentials, "credentials"}, {ErrUnavailable, "unavailable"},
	{ErrThrottled, "throttled"}, {ErrBudget, "budget"}, {ErrUnsupported, "unsupported"}, {ErrInvalid, "invalid"}, {ErrNoSpace, "no_space"},
}

// Error is the one error type of this package. Err (or a sentinel that it wraps) tells the kind, the rest what it
// happened to; empty fields do not apply.
type Error struct {
	Kind       error  // one of the sentinels above
	Op         string // "save", "restore", "acquire", ...
	Job        string
	Checkpoint uint64
	Part       string
	Object     string // key in the store
	Hint       string // what to do next, one sentence
	Err        error  // the cause
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Job != "" {
		fmt.Fprintf(&b, " job %q", e.Job)
	}
	if e.Checkpoint != 0 {
		fmt.Fprintf(&b, " checkpoint %d", e.Checkpoint)
	}
	if e.Part != "" {
		fmt.Fprintf(&b, " part %q", e.Part)
	}
	if e.Object != "" {
		fmt.Fprintf(&b, " object %s", e.Object)
	}
	b.WriteString(": ")
	if e.Err == nil {
		b.WriteString(e.Kind.Error())
		return b.String()
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Code is the stable word for the error's kind that --json prints: "not_found", "fenced", ...; "failed" for others.
func (e *Error) Code() string {
	for _, c := range codes {
		if errors.Is(e.Kind, c.err) {
			return c.code
		}
	}
	return "failed"
}

// Retryable reports whether the same call may succeed later without anybody doing anything.
func (e *Error) Retryable() bool {
	return errors.Is(e.Kind, ErrUnavailable) || errors.Is(e.Kind, ErrThrottled) || errors.Is(e.Kind, ErrConflict) || errors.Is(e.Kind, ErrRetired)
}

// kindOf maps a store's error to the public set.
func kindOf(err error) (kind error, hint string) { //nolint:staticcheck // kind is a sentinel, not a failure of kindOf
	switch objstore.KindOf(err) {
	case objstore.KindNotFound:
		return ErrNotFound, ""
	case objstore.KindPrecondition:
		return ErrConflict, ""
	case objstore.KindPermission:
		return ErrPermission, permissionHint(err)
	case objstore.KindCredentials:
		return ErrCredentials, "run `tidemark token` to see where credentials come from and which were passed over"
	case objstore.KindUnavailable:
		return ErrUnavailable, "the store did not answer in time; try again later"
	case objstore.KindThrottled:
		return ErrThrottled, "the store asks for fewer requests; try again later"
	case objstore.KindTooLarge, objstore.KindCorrupt:
		return ErrCorrupt, ""
	case objstore.KindUnsupported:
		return ErrUnsupported, ""
	case objstore.KindInvalid:
		return ErrInvalid, invalidHint(err)
	case objstore.KindNoSpace:
		return ErrNoSpace, "free space, then run it again; nothing that was committed is lost"
	}
	if errors.Is(err, context.DeadlineExceeded) { // what the caller's time was spent on has not said so itself
		return ErrUnavailable, "the caller's time was over; give more of it, or try again later"
	}
	return nil, ""
}

// invalidHint is for the one request that is right but for the place it goes to.
func invalidHint(err error) string {
	var oe *objstore.Error
	if errors.As(err, &oe) && oe.Status == http.StatusNotFound {
		return "create the bucket, or correct the store's URL"
	}
	return ""
}

func permissionHint(err error) string {
	var oe *objstore.Error
	if !errors.As(err, &oe) || oe.Permission == "" {
		return "grant the job's account read, create and delete on the store's objects"
	}
	if oe.Principal == "" {
		return "grant " + oe.Permission
	}
	return "grant " + oe.Permission + " to " + oe.Principal
}

// wrap gives any error of a lower layer the public form; an *Error keeps what it already says.
func wrap(err error, op, job string, checkpoint uint64) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	kind, hint := kindOf(err)
	if errors.Is(err, format.ErrInvalid) {
		kind = ErrInvalid
	}
	if kind == nil {
		return fmt.Errorf("%s: %w", where(op, job, checkpoint), err)
	}
	return &Error{Kind: kind, Op: op, Job: job, Checkpoint: checkpoint, Hint: hint, Err: err}
}

func where(op, job string, checkpoint uint64) string {
	switch {
	case job == "":
		return op
	case checkpoint == 0:
		return fmt.Sprintf("%s job %q", op, job)
	}
	return fmt.Sprintf("%s job %q checkpoint %d", op, job, checkpoint)
}

// namePart adds the part to an error that does not name one yet.
func namePart(err error, part string) error {
	var e *Error
	if errors.As(err, &e) && e.Part == "" {
		e.Part = part
	}
	return err
}
