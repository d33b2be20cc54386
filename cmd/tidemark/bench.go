package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/bench"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	cases, contenders []string
	quick, realTime   bool
	repeat            int
	html              string
}

func newBenchCommand(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench token",
		Short: "Measure how programs get their tokens",
		Long: `Measure how long a token takes to get, what the metadata server is asked, and who is held up or left without a token when
that server is slow, repeats itself, throttles or is away: this project's cache beside golang.org/x/oauth2 and what one writes
by hand. The metadata server is this program's own; nothing outside this machine is asked.

It takes about six minutes. What takes minutes in life is shortened; with --real-time it takes them, about an hour in all.
The module bench/peers runs the same with the libraries of other vendors.`,
		Example: `  tidemark bench token --quick --cases hot-*,cold
  tidemark bench token --quick --cases clients-100 --html tokens.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != "token" {
				return usagef("bench takes one argument, what to measure: token").hinted("see `tidemark help bench`")
			}
			return nil
		},
		ValidArgs: []string{"token"},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.cases, "cases", nil, "only these cases, separated by commas; outage-* stands for several")
	flags.StringSliceVar(&f.contenders, "contenders", nil, "only these contenders, separated by commas")
	flags.BoolVar(&f.quick, "quick", false, "a smoke test: counts mean something, times do not")
	flags.BoolVar(&f.realTime, "real-time", false, "let outages and the lives of tokens take as long as in life")
	flags.IntVar(&f.repeat, "repeat", 0, "rounds of each case (default each case's own)")
	flags.StringVar(&f.html, "html", "", "also write a page with plots to this file")
	cmd.RunE = a.action(func(ctx context.Context, _ []string) error { return a.benchToken(ctx, f) })
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func (a *app) benchToken(ctx context.Context, f benchFlags) error {
	if f.repeat < 0 {
		return usagef("--repeat %d is negative", f.repeat).hinted("see `tidemark help bench`")
	}
	o := &bench.Options{Only: f.contenders, Cases: f.cases, Quick: f.quick, RealTime: f.realTime, Repeat: f.repeat}
	if !a.quiet {
		o.Progress = a.err
	}
	report, err := bench.Run(ctx, o)
	if errors.Is(err, bench.ErrUsage) {
		return usagef("%s", err).hinted("see `tidemark help bench`")
	}
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := report.WriteHTMLFile(f.html); err != nil {
			return err
		}
	}
	if a.json {
		return report.WriteJSON(a.out)
	}
	return report.WriteText(a.out)
}
