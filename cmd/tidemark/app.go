package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// app is one invocation: its streams and the flags that every verb has.
type app struct {
	in       io.Reader
	out, err io.Writer

	json, quiet, verbose bool
	timeout              duration
	keyURL               string // may be the key itself: never printed
	encryptedOnly        bool
	job                  string // --job of the verbs that have it
	packCache            checkpoint.PackCache

	resultPrinted bool // the JSON document is out and says itself that something is wrong
	dataOnStdout  bool // standard output is the data's own: JSON about an error goes to standard error
}

// errDeadline is the cause of the context's end when --timeout has passed.
var errDeadline = errors.New("the time of --timeout is over")

// run is the whole program but for signals; the end of ctx means "interrupted".
func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw}
	root := newRootCommand(a)
	root.SetArgs(protectReferences(root, args))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	// A flag that cannot be parsed ends the parsing, perhaps before --json was seen.
	a.json = a.json || slices.Contains(args, "--json")
	return a.report(ctx, err)
}

// action makes a verb's function from one that has a context with the deadline of --timeout and plain arguments.
func (a *app) action(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if a.timeout < 0 {
			return usagef("--timeout %s is negative", time.Duration(a.timeout))
		}
		if a.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(a.timeout), errDeadline)
			defer cancel()
		}
		return do(ctx, plainArgs(args))
	}
}

// withStore opens the store, hands it to do, and closes it.
func (a *app) withStore(ctx context.Context, storeURL string, do func(*tidemark.Store) error) error {
	opts := &tidemark.Options{EncryptionKeyURL: cmp.Or(a.keyURL, os.Getenv("TIDEMARK_KEY_URL"))}
	opts.EncryptedOnly, opts.PackCache = a.encryptedOnly, a.packCache
	if a.verbose {
		opts.Logger = slog.New(slog.NewTextHandler(a.err, nil))
	}
	store, err := tidemark.Open(ctx, storeURL, opts)
	if err != nil {
		return openError(storeURL, err)
	}
	err = do(store)
	if err != nil && !errors.As(err, new(*usageError)) {
		err = fmt.Errorf("%s: %w", store, err)
	}
	if closeErr := store.Close(); err == nil {
		err = closeErr
	}
	return err
}

// withJob is withStore for the verbs that read or administer one job.
func (a *app) withJob(ctx context.Context, storeURL string, do func(*tidemark.Store, *checkpoint.Job) error) error {
	return a.withStore(ctx, storeURL, func(store *tidemark.Store) error {
		name, err := a.selectJob(ctx, store)
		if err != nil {
			return err
		}
		job, err := store.Job(name)
		if err != nil {
			return err
		}
		return do(store, job)
	})
}

// jobsInError is how many names of jobs an error lists; a store may have thousands.
const jobsInError = 20

// selectJob is the job named by --job or TIDEMARK_JOB, else the only one of the store.
func (a *app) selectJob(ctx context.Context, store *tidemark.Store) (string, error) {
	if a.job != "" {
		return a.job, nil
	}
	if name := os.Getenv("TIDEMARK_JOB"); name != "" {
		return name, nil
	}
	var names []string
	for name, err := range store.Jobs(ctx) {
		if err != nil && name == "" {
			return "", err
		}
		// A job that cannot be read is one all the same; what is wrong with it comes out when it is used.
		if names = append(names, name); len(names) > jobsInError {
			break
		}
	}
	switch len(names) {
	case 0:
		return "", &checkpoint.Error{Kind: checkpoint.ErrNotFound, Op: "look for jobs", Err: errors.New("the store has no jobs"),
			Hint: "check the store's URL; `tidemark save DIR STORE --job NAME` starts a job"}
	case 1:
		return names[0], nil
	}
	return "", usagef("%s has several jobs: %s", store, listed(names, jobsInError)).hinted("choose one with --job NAME or TIDEMARK_JOB")
}

// jobFlag adds --job to a verb.
func (a *app) jobFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.job, "job", "j", "", "the job (default TIDEMARK_JOB, or the store's only job)")
}

// packCacheFlags adds --pack-cache to a verb that reads state.
func (a *app) packCacheFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.packCache.Dir, "pack-cache", "", "keep what is fetched in this directory, closed to others, for the next time")
	cmd.Flags().Var((*byteSize)(&a.packCache.MaxBytes), "pack-cache-size", "how much is kept there, e.g. 10GiB (default 1GiB)")
}
