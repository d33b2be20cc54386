package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
)

// examination is what doctor prints with --json.
type examination struct {
	OK       bool                  `json:"ok"`
	Store    string                `json:"store,omitempty"`
	Source   string                `json:"source"`
	Account  string                `json:"account"`
	Tried    []credentials.Attempt `json:"tried"`
	Warnings int                   `json:"warnings"`
	Checks   []check               `json:"checks"`
}

// check is one thing that doctor looked at.
type check struct {
	Name     string   `json:"name"`
	OK       bool     `json:"ok"`
	Severity severity `json:"severity"`
	Detail   string   `json:"detail"`
	Hint     string   `json:"hint"`
	// Seconds is what was measured: a latency, the life left of a token, how far this clock is ahead.
	Seconds *float64 `json:"seconds,omitempty"`
}

// severity of a check. What is skipped is not OK: there is a failed check that it depends on.
type severity string

const (
	fine    severity = "ok"
	warning severity = "warning"
	failure severity = "error"
	skipped severity = "skipped"
)

// marks are what people see of a severity, all of one width.
var marks = map[severity]string{fine: "ok  ", warning: "warn", failure: "FAIL", skipped: "skip"}

// doctor is one run of the verb.
type doctor struct {
	*app
	scopes   []string // asked for with --scopes
	target   *url.URL // the store's; nil without one
	proxyFor func(*http.Request) (*url.URL, error)

	report   examination
	failed   error // of the first check that failed
	narrow   bool  // the token's scopes do not allow writing
	metadata *metadataServer
}

func newDoctorCommand(a *app) *cobra.Command {
	var scopes []string
	cmd := &cobra.Command{
		Use:   "doctor [STORE]",
		Short: "Check credentials, clock, permissions and bucket settings, each finding with its remedy",
		Long: `Check step by step all that a job needs: which credentials there are and why others were passed over, for whom and how
long they last, the metadata server, the clock. With STORE also each operation on it (create, compare-and-swap, read,
list, delete), tried for real on an object that is deleted again, and the bucket's settings that cost or lose data. At
most two tokens are asked for, and no job is touched.

Warnings leave the exit code at 0; otherwise the first check that failed decides it.`,
		Example: `  tidemark doctor file:///tmp/checkpoints
  tidemark doctor file:///tmp/checkpoints --json`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
	}
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "scopes to ask for, separated by commas")
	cmd.RunE = a.action(func(ctx context.Context, args []string) error {
		storeURL := os.Getenv("TIDEMARK_STORE")
		switch len(args) {
		case 0:
		case 1:
			storeURL = args[0]
		default:
			return usagef("doctor: too many arguments: %s (usage: tidemark %s)", strings.Join(args[1:], " "), cmd.Use)
		}
		d := &doctor{app: a, scopes: scopes, proxyFor: http.ProxyFromEnvironment}
		return d.run(ctx, storeURL)
	})
	return cmd
}

func (d *doctor) run(ctx context.Context, storeURL string) error {
	d.report = examination{OK: true, Tried: []credentials.Attempt{}, Checks: []check{}}
	if storeURL != "" {
		if err := d.takeURL(ctx, storeURL); err != nil {
			return err
		}
	}
	var token *heldToken
	switch {
	case d.target != nil && d.target.Scheme != "gs":
		d.add(check{Name: "credentials", Detail: "none of Google's are needed for " + d.target.Scheme + "://"})
	case d.target != nil && strings.EqualFold(d.target.Query().Get("anonymous"), "true"):
		d.add(check{Name: "credentials", Detail: "not used: the store's URL says anonymous=true"})
	default:
		token = d.credentials(ctx)
		if token == nil && d.target != nil && !interrupted(ctx) {
			d.add(check{Name: "store", Severity: skipped, Detail: "not tried without a token"})
		}
		if token == nil {
			return d.finish(ctx)
		}
	}
	if d.target != nil {
		d.store(ctx, storeURL, token)
	}
	return d.finish(ctx)
}

// takeURL has the store's URL checked by those who understand it; that sends no request. What else keeps the store from being opened is
// a finding, for later.
func (d *doctor) takeURL(ctx context.Context, storeURL string) error {
	store, err := checkpoint.Open(ctx, storeURL, &checkpoint.Options{HTTPClient: &http.Client{}})
	if err == nil {
		err = store.Close()
	}
	u, _ := url.Parse(storeURL) // nil if that fails, of which Open has told
	if err != nil && (u == nil || errors.Is(err, checkpoint.ErrInvalid) || errors.Is(err, checkpoint.ErrUnsupported)) {
		return openError(storeURL, err)
	}
	d.target, d.report.Store = u, redactURL(storeURL)
	return nil
}

func (d *doctor) add(c check) {
	if c.Severity == "" {
		c.Severity = fine
	}
	c.OK = c.Severity == fine || c.Severity == warning
	d.report.OK = d.report.OK && c.OK
	if c.Severity == warning {
		d.report.Warnings++
	}
	d.report.Checks = append(d.report.Checks, c)
	if d.json {
		return
	}
	// People watch: a check that takes long is the next one.
	line := fmt.Sprintf("%s  %-18s %s", marks[c.Severity], c.Name, c.Detail)
	_ = d.printf("%s\n", strings.TrimRight(line, " "))
	if c.Severity != fine && c.Hint != "" {
		_ = d.printf("      remedy: %s\n", c.Hint)
	}
}

// fail adds a check that failed with err, which says itself what to do; detail takes the place of its text.
func (d *doctor) fail(ctx context.Context, name string, err error, detail ...string) {
	if interrupted(ctx) {
		return // it is no finding that somebody pressed Ctrl-C
	}
	if d.failed == nil {
		d.failed = fmt.Errorf("%s: %w", name, err)
	}
	said := describe(ctx, err)
	if len(detail) > 0 {
		said.Message = oneLine(detail[0])
	}
	d.add(check{Name: name, Severity: failure, Detail: said.Message, Hint: said.Hint})
}

// finish prints the document, or how it went, and returns the error that decides the exit code.
func (d *doctor) finish(ctx context.Context) error {
	if interrupted(ctx) {
		return ctx.Err()
	}
	if ctx.Err() != nil && d.failed == nil {
		d.fail(ctx, "timeout", fmt.Errorf("not every check was made: %w", errDeadline))
	}
	if d.json {
		d.resultPrinted = true
		return errors.Join(d.printJSON(d.report), d.failed)
	}
	if d.failed != nil {
		return d.failed
	}
	return d.printf("all right: %s, %s\n", plural(len(d.report.Checks), "check"), plural(d.report.Warnings, "warning"))
}

// wanted are the scopes to ask for: those of every store, unless others are given.
func (d *doctor) wanted() []string {
	if len(d.scopes) > 0 {
		return d.scopes
	}
	return []string{tidemark.Scope}
}

// measured is a number of seconds with as many digits as anybody needs.
func measured(took time.Duration) *float64 {
	seconds := took.Round(10 * time.Microsecond).Seconds()
	return &seconds
}
