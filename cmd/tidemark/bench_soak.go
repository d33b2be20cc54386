package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/bench"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// soakFlags are the flags of bench soak.
type soakFlags struct {
	length, pace duration
	seed         uint64
	memory       byteSize
	dir, out     string
	html         string
}

func newBenchSoakCommand(a *app) *cobra.Command {
	var f soakFlags
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run jobs for an hour in which everything goes wrong",
		Long: `Run stream jobs of every kind in a process with 64 MiB, readers and collectors beside them, while the store and the metadata server
(in a process of their own, on loopback) fail in every way they know: errors, pages of proxies, resets, lost and late replies, wrong bytes, throttling,
outages, expiring and revoked tokens. Owners are taken over, abandoned and killed.

Every checkpoint that is restored is compared bit for bit with what was saved. Memory, goroutines, file descriptors and connections are sampled, and their
growth is bounded. The exit code is 0 if nothing was broken, 4 if a checkpoint was lost or wrong, 1 if anything else was broken.
docs/benchmarks.md explains what happens and what is judged.`,
		Example: `  tidemark bench soak --for 10s
  tidemark bench soak --for 1h --html soak.html --out soak`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.Var(&f.length, "for", "how long faults befall the jobs (default 1h)")
	flags.Var(&f.pace, "pace", "time from one save of a job to its next (default 2s)")
	flags.Uint64Var(&f.seed, "seed", 0, "of the states and the faults (default drawn)")
	flags.Var(&f.memory, "memory", "what the process under test may have, e.g. 96MiB (default 64MiB)")
	flags.StringVar(&f.dir, "dir", "", "where the jobs keep their states (default that of temporary files)")
	flags.StringVar(&f.out, "out", "", "also write report.json and report.html into this directory")
	flags.StringVar(&f.html, "html", "", "also write a page with plots to this file")
	cmd.RunE = a.action(func(ctx context.Context, _ []string) error { return a.benchSoak(ctx, f) })
	return cmd
}

func (a *app) benchSoak(ctx context.Context, f soakFlags) error {
	o := &bench.SoakOptions{For: time.Duration(f.length), Pace: time.Duration(f.pace), Seed: f.seed, Memory: int64(f.memory), Dir: f.dir, Out: f.out}
	if !a.quiet {
		o.Progress = a.err
	}
	report, err := bench.RunSoak(ctx, o)
	if errors.Is(err, bench.ErrUsage) {
		return usagef("%s", err).hinted("see `tidemark help bench soak`")
	}
	if err != nil {
		return err
	}
	if err := a.printReport(report, f.html); err != nil || report.OK {
		return err
	}
	a.resultPrinted = true
	failed := fmt.Errorf("soak: %s", report.Verdict())
	hint := fmt.Sprintf("the report says what was broken; `tidemark bench soak --seed %d` begins alike", report.Settings.Seed)
	if report.Lost() {
		return &checkpoint.Error{Kind: checkpoint.ErrCorrupt, Op: "soak", Err: failed, Hint: hint}
	}
	return failed
}
