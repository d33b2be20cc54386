package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CommandOptions adjusts a token command. Allow must be set.
type CommandOptions struct {
	// Allow says that running a command is meant. It is there so that a configuration from elsewhere does not
	// become a program that runs here; wire it to something that the operator of this machine decides.
	Allow   bool
	Account string        // whom the tokens stand for, for messages
	Timeout time.Duration // default 30 s
	// Life is how long a token lives of which the command does not say so. Default: it is served until the
	// service refuses it.
	Life time.Duration
}

// Command is a program that prints a token: a bare one, such as "gcloud auth print-access-token" prints, or
// JSON with access_token and expiry (RFC 3339) or expires_in (seconds from its start). argv is the program and
// its arguments; no shell is involved. It runs once for each refresh, may print 64 KiB, and is killed with all
// that it has started when its time is up.
func Command(argv []string, o *CommandOptions) (Source, error) {
	argv = slices.Clone(argv)
	c := &command{argv: func() []string { return argv }}
	if o != nil {
		c.CommandOptions = *o
	}
	if c.Timeout <= 0 {
		c.Timeout = runTime
	}
	switch {
	case len(argv) == 0 || argv[0] == "":
		return nil, &Error{Kind: Misconfigured, Source: "token command", Err: errors.New("it is empty"), Remedy: "name a program"}
	case !c.Allow:
		return nil, c.fail(Misconfigured, errors.New("commands are not allowed"), "allow it by CommandOptions.Allow if it is meant")
	case c.Life < 0 || c.Life > maxLife:
		return nil, c.fail(Misconfigured, fmt.Errorf("a life of %v is not between 0 and %v", c.Life, maxLife), "correct CommandOptions.Life")
	}
	return c, nil
}

type command struct {
	CommandOptions
	argv func() []string // a function, since fmt reads fields and there may be a secret among the arguments
}

// Identity holds a fingerprint of the arguments only.
func (c *command) Identity() string {
	argv := c.argv()
	return identity("command", []string{argv[0], fingerprint(strings.Join(argv, "\x00")), c.CommandOptions.Account}, nil)
}

func (c *command) Name() string { return fmt.Sprintf("token command %.200q", c.argv()[0]) }

func (c *command) Account(context.Context) (string, error) { return c.CommandOptions.Account, nil }

// patience implements patient.
func (c *command) patience() time.Duration { return c.Timeout }

func (c *command) Fetch(ctx context.Context) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	began := time.Now()
	text, err := run(ctx, c.argv(), nil)
	if missing(err) {
		return nil, c.fail(Misconfigured, err, "correct the program's path")
	}
	if err != nil {
		return nil, c.fail(Unavailable, err, "run it by hand to see what it says")
	}
	t, err := readToken(text, c.CommandOptions.Account, began)
	if err != nil {
		return nil, c.fail(Unavailable, fmt.Errorf("its output cannot be used: %w", err), "run it by hand to see what it prints")
	}
	if t.lasting() && c.Life > 0 {
		t.deadline = began.Add(c.Life)
	}
	return t, nil
}

func (c *command) fail(kind Kind, err error, remedy string) *Error {
	return &Error{Kind: kind, Source: c.Name(), Account: c.CommandOptions.Account, Err: err, Remedy: remedy}
}
