// Command peers runs the token benchmark of the package bench with the caches of other vendors beside this project's:
//
//	cd bench/peers && go run . -h
//
// It is a module of its own so that none of them enters the library's dependencies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tidemark-go/tidemark/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, bench.ErrUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// contenders are those of bench and the peers.
func contenders() []bench.Contender {
	return append(bench.Contenders(), goAuth(false), goAuth(true), awsCache(), smithyCache(), azure())
}

func run(ctx context.Context, args []string, out, errw io.Writer) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(errw)
	var (
		cases    = flags.String("cases", "", "cases to run, separated by commas; outage-* stands for several")
		only     = flags.String("contenders", "", "contenders to run, separated by commas")
		quick    = flags.Bool("quick", false, "a smoke test: counts mean something, times do not")
		realTime = flags.Bool("real-time", false, "let outages and lives of tokens take as long as in life")
		repeat   = flags.Int("repeat", 0, "rounds of each case")
		asJSON   = flags.Bool("json", false, "print JSON")
		html     = flags.String("html", "", "also write a page with plots to this file")
	)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", bench.ErrUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: there are no arguments, only flags", bench.ErrUsage)
	}
	report, err := bench.Run(ctx, &bench.Options{
		Contenders: contenders(), Only: names(*only), Cases: names(*cases),
		Quick: *quick, RealTime: *realTime, Repeat: *repeat, Progress: errw,
	})
	if err != nil {
		return err
	}
	if *html != "" {
		if err := report.WriteHTMLFile(*html); err != nil {
			return err
		}
	}
	if *asJSON {
		return report.WriteJSON(out)
	}
	return report.WriteText(out)
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
