package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/bench"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	cases, contenders []string
	quick, realTime   bool
	repeat            int
	html              string

	// Of save and restore.
	size          byteSize
	delays        []time.Duration
	dir, profiles string
	markdown      bool
	out           string
	merge         []string
}

func newBenchCommand(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench token|save|restore|soak",
		Short: "Measure tokens, saves and restores beside what one would use instead, and endurance",
		Long: `Measure. Nothing outside this machine is asked: servers are this program's own, on loopback.

token: how long a token takes to get, what the metadata server is asked, and who is held up or left without a token when
that server is slow, repeats itself, throttles or is away: this project's cache beside golang.org/x/oauth2 and what one writes
by hand. It takes about six minutes. What takes minutes in life is shortened; with --real-time it takes them, about an hour in all.

save, restore: what a checkpoint of a directory costs in time, processor time, memory, bytes, requests and money: a first one (A), one after 1 % of
the pages changed (B), one after 3 of 64 files were replaced (C), one of many small files (D), and how that grows. Each is measured in a process of
its own against a store in memory, with 0 and 40 ms added to every request. The two words can be given together.

soak: an hour in which everything goes wrong, see ` + "`tidemark help bench soak`" + `.

The module bench/peers runs the same with what others have made. docs/benchmarks.md explains cases and columns.`,
		Example: `  tidemark bench token --quick --cases hot-*,cold
  tidemark bench token --quick --cases clients-100 --html tokens.html
  tidemark bench save --quick --cases A,B --delays 0s
  tidemark bench save restore --quick --cases D --html saves.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if isBenchOfSaves(args) || len(args) == 1 && args[0] == "token" {
				return nil
			}
			return usagef("bench takes an argument, what to measure: token, save, restore or soak").hinted("see `tidemark help bench`")
		},
		ValidArgs: []string{"token", bench.VerbSave, bench.VerbRestore},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.cases, "cases", nil, "only these cases, separated by commas; outage-* stands for several")
	flags.StringSliceVar(&f.contenders, "contenders", nil, "only these contenders, separated by commas")
	flags.BoolVar(&f.quick, "quick", false, "a smoke test: counts mean something, times do not")
	flags.IntVar(&f.repeat, "repeat", 0, "rounds of each case (default each case's own)")
	flags.StringVar(&f.html, "html", "", "also write a page with plots to this file")
	flags.BoolVar(&f.realTime, "real-time", false, "token: let outages and the lives of tokens take as long as in life")
	flags.Var(&f.size, "size", "save, restore: size of the state, e.g. 256MiB (default 1GiB)")
	flags.DurationSliceVar(&f.delays, "delays", nil, "save, restore: added to every request (default 0s,40ms)")
	flags.StringVar(&f.dir, "dir", "", "save, restore: where the state lies, with room for four times its size (default that of temporary files)")
	flags.StringVar(&f.profiles, "cpuprofile", "", "save, restore: write a CPU profile of each contender that is a library into this directory")
	flags.BoolVar(&f.markdown, "markdown", false, "save, restore: print the tables for a document in Markdown")
	flags.StringVar(&f.out, "out", "", "save, restore: keep what is finished in this directory, and do not measure again what is there")
	flags.StringSliceVar(&f.merge, "merge", nil, "save, restore: measure nothing; report what is in these directories and JSON files")
	cmd.RunE = a.action(func(ctx context.Context, args []string) error {
		if f.repeat < 0 {
			return usagef("--repeat %d is negative", f.repeat).hinted("see `tidemark help bench`")
		}
		if isBenchOfSaves(args) {
			return a.benchSaves(ctx, args, f)
		}
		return a.benchToken(ctx, f)
	})
	cmd.DisableFlagsInUseLine = true
	cmd.AddCommand(newBenchSoakCommand(a))
	return cmd
}

// isBenchOfSaves tells whether save, restore or both are to be measured.
func isBenchOfSaves(args []string) bool {
	for _, arg := range args {
		if arg != bench.VerbSave && arg != bench.VerbRestore {
			return false
		}
	}
	return len(args) == 1 || len(args) == 2 && args[0] != args[1]
}

func (a *app) benchToken(ctx context.Context, f benchFlags) error {
	if f.size != 0 || f.delays != nil || f.dir != "" || f.profiles != "" || f.markdown || f.out != "" || f.merge != nil {
		return usagef("--size, --delays, --dir, --cpuprofile, --markdown, --out and --merge are for save and restore").hinted("see `tidemark help bench`")
	}
	o := &bench.Options{Only: f.contenders, Cases: f.cases, Quick: f.quick, RealTime: f.realTime, Repeat: f.repeat}
	if !a.quiet {
		o.Progress = a.err
	}
	if program, err := os.Executable(); err == nil {
		o.Sidecar = []string{program, "metadata", "serve"}
	}
	report, err := bench.Run(ctx, o)
	if errors.Is(err, bench.ErrUsage) {
		return usagef("%s", err).hinted("see `tidemark help bench`")
	}
	if err != nil {
		return err
	}
	return a.printReport(report, f.html)
}

// printReport prints what was measured, and writes its page if there is to be one.
func (a *app) printReport(report interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
	WriteHTMLFile(string) error
}, page string) error {
	if page != "" {
		if err := report.WriteHTMLFile(page); err != nil {
			return err
		}
	}
	if a.json {
		return report.WriteJSON(a.out)
	}
	return report.WriteText(a.out)
}
