package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/checkpoint"
)

type fakeCredentialsError string

func (e fakeCredentialsError) Error() string            { return "credentials " + string(e) }
func (e fakeCredentialsError) CredentialsError() string { return string(e) }

func TestExitCodeOfEveryKind(t *testing.T) {
	kind := func(kind, cause error) error {
		return fmt.Errorf("file:///x: %w", &checkpoint.Error{Kind: kind, Op: "save", Err: cause})
	}
	tests := []struct {
		err       error
		exit      int
		code      string
		retryable bool
	}{
		{errors.New("anything"), exitFailed, "failed", false},
		{kind(checkpoint.ErrChanged, nil), exitFailed, "changed", false},
		{kind(checkpoint.ErrBudget, nil), exitFailed, "budget", false},
		{kind(checkpoint.ErrUnsupported, nil), exitFailed, "unsupported", false},
		{kind(checkpoint.ErrNoSpace, nil), exitFailed, "no_space", false},
		{usagef("wrong"), exitUsage, "usage", false},
		{kind(checkpoint.ErrInvalid, nil), exitUsage, "usage", false},
		{kind(checkpoint.ErrNotFound, nil), exitNotFound, "not_found", false},
		{kind(checkpoint.ErrRetired, nil), exitNotFound, "retired", true},
		{kind(checkpoint.ErrCorrupt, nil), exitCorrupt, "corrupt", false},
		{fmt.Errorf("verify: %w", errProblems), exitCorrupt, "corrupt", false},
		{kind(checkpoint.ErrFenced, nil), exitFenced, "fenced", false},
		{kind(checkpoint.ErrConflict, nil), exitFenced, "conflict", true},
		{kind(checkpoint.ErrPermission, nil), exitCredentials, "permission", false},
		{kind(checkpoint.ErrCredentials, nil), exitCredentials, "credentials", false},
		{kind(checkpoint.ErrCredentials, fakeCredentialsError("refused")), exitCredentials, "credentials", false},
		{fakeCredentialsError("misconfigured"), exitCredentials, "credentials", false},
		{kind(checkpoint.ErrCredentials, fakeCredentialsError("unavailable")), exitUnavailable, "unavailable", true},
		{kind(checkpoint.ErrUnavailable, nil), exitUnavailable, "unavailable", true},
		{kind(checkpoint.ErrThrottled, nil), exitUnavailable, "throttled", true},
		{fmt.Errorf("save: %w", context.DeadlineExceeded), exitUnavailable, "unavailable", true},
		// A job that is not found because the store could not be asked is not "not found".
		{kind(checkpoint.ErrPermission, checkpoint.ErrNotFound), exitCredentials, "permission", false},
		{kind(checkpoint.ErrUnavailable, checkpoint.ErrNotFound), exitUnavailable, "unavailable", true},
	}
	for _, test := range tests {
		body := describe(t.Context(), test.err)
		if exit := exitCode(t.Context(), test.err); exit != test.exit || body.Code != test.code || body.Retryable != test.retryable {
			t.Errorf("%v: exit code %d, %q, retryable %t; want %d, %q, %t",
				test.err, exit, body.Code, body.Retryable, test.exit, test.code, test.retryable)
		}
	}
	if code := exitCode(t.Context(), nil); code != exitDone {
		t.Errorf("no error is exit code %d", code)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if code := exitCode(interrupted, kind(checkpoint.ErrUnavailable, context.Canceled)); code != exitInterrupted {
		t.Errorf("an interrupted save is exit code %d", code)
	}
}

func TestReport(t *testing.T) {
	var out, errw bytes.Buffer
	a := &app{out: &out, err: &errw, json: true}
	err := &checkpoint.Error{Kind: checkpoint.ErrPermission, Op: "save", Job: "orders", Hint: "grant it",
		Err: errors.New("403 <no>\nsecond line")}
	a.report(t.Context(), err)
	wantErr := "tidemark: save job \"orders\": 403 <no>; second line\n  hint: grant it\n"
	wantOut := `{"error":{"code":"permission","message":"save job \"orders\": 403 <no>; second line","hint":"grant it","retryable":false}}` + "\n"
	if errw.String() != wantErr || out.String() != wantOut {
		t.Errorf("printed\n%s%s\nwant\n%s%s", &errw, &out, wantErr, wantOut)
	}
}

func TestStoreURLsAreRedacted(t *testing.T) {
	for url, want := range map[string]string{
		"gs://bucket/prefix?endpoint=http://h&token=SECRET": "gs://bucket/prefix",
		"gs://user:SECRET@bucket/a@b":                       "gs://[redacted]@bucket/a@b",
		"file:///dir":                                       "file:///dir",
		"nonsense":                                          `"nonsense"`,
	} {
		if got := redactURL(url); got != want {
			t.Errorf("redactURL(%q) = %q, want %q", url, got, want)
		}
	}
	for _, url := range []string{"gs://user:SECRET@b\x7f/", "gs://b/%zz?token=SECRET", "://?SECRET"} {
		var out, errw bytes.Buffer
		code := run(t.Context(), []string{"ls", url, "--json"}, nil, &out, &errw)
		if code != exitUsage || strings.Contains(out.String()+errw.String(), "SECRET") {
			t.Errorf("exit code %d: %s%s", code, &errw, &out)
		}
	}
}

func TestHelpHasTheExitCodes(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"help"}, nil, &out, &out); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	for _, code := range []int{exitDone, exitFailed, exitUsage, exitNotFound, exitCorrupt, exitFenced, exitCredentials, exitUnavailable, exitInterrupted} {
		if !strings.Contains(out.String(), fmt.Sprintf("\n%5d  ", code)) {
			t.Errorf("tidemark help does not explain exit code %d", code)
		}
	}
}
