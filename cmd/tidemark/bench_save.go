package main

import (
	"context"
	"errors"
	"os"

	"github.com/tidemark-go/tidemark/bench"
)

// benchSaves measures saves, restores, or both.
func (a *app) benchSaves(ctx context.Context, verbs []string, f benchFlags) error {
	if f.realTime {
		return usagef("--real-time is for token").hinted("see `tidemark help bench`")
	}
	if f.profiles != "" {
		if err := os.MkdirAll(f.profiles, 0o755); err != nil {
			return fileError("make directory", f.profiles, err)
		}
	}
	o := &bench.SaveOptions{
		Only: f.contenders, Verbs: verbs, Cases: f.cases, Quick: f.quick, Repeat: f.repeat,
		Size: int64(f.size), Delays: f.delays, Dir: f.dir, Profiles: f.profiles, Out: f.out,
	}
	if !a.quiet {
		o.Progress = a.err
	}
	var report *bench.SaveReport
	var err error
	if f.merge != nil {
		report, err = bench.ReadSaves(f.merge...)
	} else {
		report, err = bench.RunSave(ctx, o)
	}
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
	switch {
	case a.json:
		return report.WriteJSON(a.out)
	case f.markdown:
		return report.WriteMarkdown(a.out)
	}
	return report.WriteText(a.out)
}
