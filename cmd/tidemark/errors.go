package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
)

// The exit codes; exitTable is what `tidemark help` prints of them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitCorrupt     = 4
	exitFenced      = 5
	exitCredentials = 6
	exitUnavailable = 7
	exitInterrupted = 130
)

const exitTable = `Exit codes:
    0  done
    1  failed for a reason not listed here
    2  wrong usage: arguments, a malformed URL, an unknown scheme, an invalid job or part name
    3  no such job, checkpoint, tag or part
    4  corruption found (verify, restore, cat)
    5  fenced, or lost a race for the job
    6  credentials missing, refused or insufficient
    7  the store or the credential source was unavailable until the deadline (retry later)
  130  interrupted`

// usageError is a mistake in how the command was called.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

func (e *usageError) hinted(hint string) *usageError {
	e.hint = hint
	return e
}

func usagef(format string, args ...any) *usageError {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// errProblems ends a verify that looked at everything and found something; errRepairable one that found something that repair may mend.
var (
	errProblems   = errors.New("problems found")
	errRepairable = fmt.Errorf("%w, which repair may mend", errProblems)
)

// credentialsError is what an error about credentials says of itself: "unavailable", "refused" or "misconfigured".
type credentialsError interface {
	error
	CredentialsError() string
}

// interrupted tells a signal from the deadline of --timeout, whether ctx is the program's own or that of a verb.
func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), errDeadline)
}

// exitCode is the one place where an error becomes an exit code.
func exitCode(ctx context.Context, err error) int {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	var token credentialsError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(*usageError)):
		return exitUsage
	case interrupted(ctx):
		return exitInterrupted
	case errors.As(err, &token):
		if token.CredentialsError() == "unavailable" {
			return exitUnavailable
		}
		return exitCredentials
	case is(checkpoint.ErrCorrupt, errProblems):
		return exitCorrupt
	case is(checkpoint.ErrFenced, checkpoint.ErrConflict):
		return exitFenced
	case is(checkpoint.ErrPermission, checkpoint.ErrCredentials):
		return exitCredentials
	case is(checkpoint.ErrUnavailable, checkpoint.ErrThrottled, context.DeadlineExceeded, errDeadline):
		return exitUnavailable
	case is(checkpoint.ErrInvalid):
		return exitUsage
	case is(checkpoint.ErrNotFound, checkpoint.ErrRetired):
		return exitNotFound
	}
	return exitFailed
}

// errorDocument is the form of an error with --json.
type errorDocument struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Retryable bool   `json:"retryable"`
}

// describe says of an error what people and programs are told.
func describe(ctx context.Context, err error) errorBody {
	body := errorBody{Code: "failed", Message: oneLine(err.Error())}
	var (
		usage  *usageError
		detail *checkpoint.Error
	)
	if errors.As(err, &detail) {
		body.Code, body.Hint, body.Retryable = detail.Code(), detail.Hint, detail.Retryable()
	}
	if failed, ok := errors.AsType[*credentials.Error](err); ok && failed.Remedy != "" {
		body.Hint = failed.Remedy
		body.Message = strings.Replace(body.Message, "; "+failed.Remedy, "", 1) // said once
	}
	switch exitCode(ctx, err) {
	case exitInterrupted:
		return errorBody{Code: "interrupted", Message: "interrupted", Hint: "run it again; nothing half done is visible", Retryable: true}
	case exitUsage:
		body.Code, body.Retryable = "usage", false
		if errors.As(err, &usage) {
			body.Hint = usage.hint
		} else {
			body.Hint = orElse(body.Hint, "check the arguments; `tidemark help VERB` shows an example")
		}
	case exitCorrupt:
		body.Code, body.Retryable = "corrupt", false
		switch {
		case errors.Is(err, errRepairable):
			body.Hint = "`tidemark repair STORE --dry-run` shows what can be saved of HEAD and of manifests"
		case errors.Is(err, errProblems):
			body.Hint = "`tidemark ls` lists the checkpoints, `tidemark verify STORE C` tells which of them is whole: restore that one"
		}
		body.Hint = orElse(body.Hint, "run `tidemark verify` for all that is wrong, and restore another checkpoint of `tidemark ls`")
	case exitCredentials:
		if detail == nil || !errors.Is(detail.Kind, checkpoint.ErrPermission) {
			body.Code = "credentials"
		}
		body.Retryable = false
		body.Hint = orElse(body.Hint, "run `tidemark token` to see where credentials come from and which were passed over")
	case exitUnavailable:
		if detail == nil || !errors.Is(detail.Kind, checkpoint.ErrThrottled) {
			body.Code = "unavailable"
		}
		body.Retryable = true
		body.Hint = orElse(body.Hint, "try again later")
	case exitNotFound:
		body.Hint = orElse(body.Hint, "`tidemark jobs STORE` and `tidemark ls STORE` show what there is")
	case exitFenced:
		body.Hint = orElse(body.Hint, "somebody else works on this job; look with `tidemark ls`, then run it again")
	}
	return body
}

// report tells of err and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	code, body := exitCode(ctx, err), describe(ctx, err)
	_, _ = fmt.Fprintf(a.err, "tidemark: %s\n", visible(body.Message))
	if body.Hint != "" {
		_, _ = fmt.Fprintf(a.err, "  hint: %s\n", visible(body.Hint))
	}
	if a.json && !a.resultPrinted {
		out := a.out
		if a.dataOnStdout {
			out = a.err
		}
		_ = writeJSON(out, errorDocument{body})
	}
	return code
}

// openError is what is wrong with a store's URL, or with the credentials for it. Opening sends no request, so
// "unsupported" can only be the URL.
func openError(storeURL string, err error) error {
	var malformed *url.Error
	if errors.As(err, &malformed) {
		err = malformed.Err // the URL inside it may carry a secret
	} else if !errors.Is(err, checkpoint.ErrInvalid) && !errors.Is(err, checkpoint.ErrUnsupported) {
		return fmt.Errorf("%s: %w", redactURL(storeURL), err)
	}
	hint := "a store is gs://bucket/prefix, s3://bucket/prefix, azblob://container/prefix, file:///dir or mem://name"
	if detail, ok := errors.AsType[*checkpoint.Error](err); ok {
		hint = orElse(detail.Hint, hint)
		if detail.Err != nil {
			err = detail.Err
		}
	}
	return usagef("open store %s: %s", redactURL(storeURL), oneLine(err.Error())).hinted(hint)
}

// redactURL names a store as far as that needs no secret: no user, no query.
func redactURL(storeURL string) string {
	storeURL, _, _ = strings.Cut(storeURL, "?")
	scheme, rest, ok := strings.Cut(storeURL, "://")
	if !ok {
		return fmt.Sprintf("%q", storeURL)
	}
	host, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = "[redacted]@" + host[i+1:]
	}
	if slash {
		host += "/" + path
	}
	return scheme + "://" + host
}

// fileError is an error about a file or directory of the user's own.
func fileError(what, path string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}

func oneLine(s string) string { return strings.Join(strings.FieldsFunc(s, isNewline), "; ") }

func isNewline(r rune) bool { return r == '\n' || r == '\r' }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
