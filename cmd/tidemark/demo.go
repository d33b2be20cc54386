package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/cmd/tidemark/internal/demo"
	"golang.org/x/term"
)

func newDemoCommand(a *app) *cobra.Command {
	opts := demo.Options{WorkerArgs: []string{"demo", "worker"}}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Kill a stream job again and again, and see it lose nothing",
		Long: `Run a stateful stream job with everything embedded: a NATS JetStream broker, a metadata server that issues
short-lived tokens as GKE does, and an object store. The job reads real records, keeps state in a file database and
a map, and checkpoints both with its position in the stream. It is killed with SIGKILL, during commits too, restores
itself, and in the end its state is compared with that of a run that was never killed. Exit code 0 means equal.`,
		Example: `  tidemark demo
  tidemark demo --kill 5 --storage fake-gcs
  tidemark demo --input events.jsonl --store gs://acme-state/demo`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Input, "input", "", "file of CSV or JSON lines (default: 20,000 flights, embedded)")
	flags.IntVar(&opts.Kills, "kill", 3, "how often the job is killed")
	flags.StringVar(&opts.Storage, "storage", "", "embedded storage server: tidemark or fake-gcs (default tidemark)")
	flags.StringVar(&opts.Store, "store", "", "use this store in place of the embedded one, e.g. gs://bucket/prefix")
	flags.Uint64Var(&opts.Seed, "seed", 0, "repeat the kills of another run (default: other ones each time)")
	cmd.RunE = a.action(func(ctx context.Context, _ []string) error { return a.runDemo(ctx, opts) })
	cmd.AddCommand(newDemoWorkerCommand(a))
	return cmd
}

// newDemoWorkerCommand is the process that demo kills.
func newDemoWorkerCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.dataOnStdout = true // events
			return demo.Worker(cmd.Context(), a.in, a.out)
		},
	}
}

func (a *app) runDemo(ctx context.Context, opts demo.Options) error {
	if opts.Store != "" && opts.Storage != "" {
		return usagef("--store and --storage exclude each other").hinted("--storage chooses the embedded server, --store replaces it")
	}
	opts.Log, opts.Quiet = a.out, a.quiet
	if a.json {
		opts.Log = a.err // standard output is the document's
		if a.quiet {
			opts.Log = nil
		}
	}
	opts.Colour = showsColour(opts.Log)
	result, err := demo.Run(ctx, &opts)
	if input, ok := errors.AsType[*demo.InputError](err); ok {
		return usagef("%s", err).hinted(input.Hint())
	}
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(result); err != nil {
			return err
		}
	}
	if !result.OK {
		a.resultPrinted = true
		return errors.New("demo: the job did not come out as promised: " + result.Problems[0])
	}
	return nil
}

// showsColour is for terminals whose user did not ask for none (no-color.org).
func showsColour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
