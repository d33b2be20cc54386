// Command peers runs the benchmarks of the package bench with what others have made beside this project: caches of tokens, programs and libraries that
// bring files into an object store.
//
//	cd bench/peers && go run . -h
//	cd bench/peers && go run . --bench save,restore --html saves.html
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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tidemark-go/tidemark/bench"
)

func main() {
	bench.Child(savers())
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

// savers are those of bench, played by a program of their own, and the peers.
func savers() []bench.Saver {
	own := bench.Savers()
	for i := range own {
		own[i].Find = func(ctx context.Context, tools string) (string, error) {
			return "", build(ctx, "child", childIn(tools))
		}
		own[i].Program = childIn
	}
	return slices.Concat(own, []bench.Saver{rclone(), restic()}, loops())
}

// childIn is beside the directories of the contenders: one program is theirs together.
func childIn(tools string) string { return filepath.Join(filepath.Dir(tools), "child") }

// settings are the flags.
type settings struct {
	bench, cases, only string
	quick, realTime    bool
	repeat             int
	asJSON, markdown   bool
	html               string
	size, delays       string
	dir, profiles      string
	out, merge         string
}

func run(ctx context.Context, args []string, out, errw io.Writer) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(errw)
	var f settings
	flags.StringVar(&f.bench, "bench", "token", "what to measure: token; save, restore or save,restore")
	flags.StringVar(&f.cases, "cases", "", "cases to run, separated by commas; outage-* stands for several")
	flags.StringVar(&f.only, "contenders", "", "contenders to run, separated by commas")
	flags.BoolVar(&f.quick, "quick", false, "a smoke test: counts mean something, times do not")
	flags.IntVar(&f.repeat, "repeat", 0, "rounds of each case")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	flags.StringVar(&f.html, "html", "", "also write a page with plots to this file")
	flags.BoolVar(&f.realTime, "real-time", false, "token: let outages and lives of tokens take as long as in life")
	flags.StringVar(&f.size, "size", "", "save, restore: size of the state in MiB (default 1024)")
	flags.StringVar(&f.delays, "delays", "", "save, restore: added to every request (default 0s,40ms)")
	flags.StringVar(&f.dir, "dir", "", "save, restore: where the state lies, with room for four times its size")
	flags.StringVar(&f.profiles, "cpuprofile", "", "save, restore: write CPU profiles of libraries into this directory")
	flags.BoolVar(&f.markdown, "markdown", false, "save, restore: print the tables for a document in Markdown")
	flags.StringVar(&f.out, "out", "", "save, restore: keep what is finished in this directory, and do not measure again what is there")
	flags.StringVar(&f.merge, "merge", "", "save, restore: measure nothing; report what is in these directories and JSON files, separated by commas")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", bench.ErrUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: there are no arguments, only flags", bench.ErrUsage)
	}
	measure := f.saves
	if f.bench == "token" {
		measure = f.token
	}
	report, err := measure(ctx, errw)
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := report.WriteHTMLFile(f.html); err != nil {
			return err
		}
	}
	if f.asJSON {
		return report.WriteJSON(out)
	}
	if m, ok := report.(interface{ WriteMarkdown(io.Writer) error }); ok && f.markdown {
		return m.WriteMarkdown(out)
	}
	return report.WriteText(out)
}

// report is that of either benchmark.
type report interface {
	WriteJSON(io.Writer) error
	WriteText(io.Writer) error
	WriteHTMLFile(name string) error
}

func (f *settings) token(ctx context.Context, progress io.Writer) (report, error) {
	return bench.Run(ctx, &bench.Options{
		Contenders: contenders(), Only: names(f.only), Cases: names(f.cases),
		Quick: f.quick, RealTime: f.realTime, Repeat: f.repeat, Progress: progress,
	})
}

func (f *settings) saves(ctx context.Context, progress io.Writer) (report, error) {
	if f.merge != "" {
		return bench.ReadSaves(strings.Split(f.merge, ",")...)
	}
	o := &bench.SaveOptions{
		Savers: savers(), States: states(), Only: names(f.only), Cases: names(f.cases), Verbs: names(f.bench),
		Quick: f.quick, Repeat: f.repeat, Dir: f.dir, Profiles: f.profiles, Out: f.out, Progress: progress,
	}
	if f.size != "" {
		n, err := strconv.Atoi(f.size)
		if err != nil {
			return nil, fmt.Errorf("%w: --size %s is no number of MiB", bench.ErrUsage, f.size)
		}
		o.Size = int64(n) << 20
	}
	for _, text := range names(f.delays) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%w: --delays: %w", bench.ErrUsage, err)
		}
		o.Delays = append(o.Delays, d)
	}
	if f.profiles != "" {
		if err := os.MkdirAll(f.profiles, 0o755); err != nil {
			return nil, err
		}
	}
	return bench.RunSave(ctx, o)
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
