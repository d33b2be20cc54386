package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// SaveOptions of [RunSave]. The zero value and a nil pointer run every case of save and restore with [Savers].
type SaveOptions struct {
	Savers []Saver // those there are; default [Savers]

	States []State // kinds of state; default none

	Only  []string // names of contenders to run; default all
	Verbs []string // save, restore; default both
	Cases []string // names of cases to run; a name that ends in * stands for all that begin so; default all

	Size   int64           // bytes of the state of A to C; the files of D scale with it; default 1 GiB
	Delays []time.Duration // added to every storage request; default none and 40 ms
	Repeat int             // rounds; default 3
	Quick  bool            // a smoke test of a few MiB: counts mean something, times do not
	Dir    string          // for the state and what is restored, about four times Size; default that of temporary files

	// Out is a directory for what is finished: each chain of cases with a delay, each kind of state and each curve is written there as a report of its own, and not
	// measured again by a run that finds it. [ReadSaves] makes one report of several. Default none.
	Out string

	Profiles string    // directory for CPU profiles of the contenders that are libraries; default none
	Progress io.Writer // told of each turn in a line; default nobody
}

const (
	defaultSize = 1 << 30
	quickSize   = 4 << 20
	bulkFiles   = 64     // of cases A to C
	manyFiles   = 10_000 // of case D at the default size
	benchSeed   = 20250614
	saveRounds  = 3

	// patience is how long a contender is measured in one case in all: one that takes 30 s for a turn has fewer rounds than one that takes a second.
	patience = 30 * time.Second
)

// withDefaults checks the options and fills them in.
func (o *SaveOptions) withDefaults() (SaveOptions, error) {
	var own SaveOptions
	if o != nil {
		own = *o
	}
	if own.Savers == nil {
		own.Savers = Savers()
	}
	if own.Progress == nil {
		own.Progress = io.Discard
	}
	if own.Size == 0 {
		own.Size = defaultSize
		if own.Quick {
			own.Size = quickSize
		}
	}
	if own.Size < bulkFiles*pageSize {
		return own, fmt.Errorf("%w: a state of %d bytes is too small, at least %d are needed", ErrUsage, own.Size, bulkFiles*pageSize)
	}
	if own.Repeat == 0 {
		own.Repeat = saveRounds
		if own.Quick {
			own.Repeat = 1
		}
	}
	if own.Delays == nil {
		own.Delays = []time.Duration{0, 40 * time.Millisecond}
	}
	if own.Verbs == nil {
		own.Verbs = []string{VerbSave, VerbRestore}
	}
	for _, v := range own.Verbs {
		if v != VerbSave && v != VerbRestore {
			return own, fmt.Errorf("%w: there is no %q to measure; there are save and restore", ErrUsage, v)
		}
	}
	return own, nil
}

// saveStage is where saves are measured.
type saveStage struct {
	SaveOptions
	server  *process
	cloud   serverAnswer // where its present store is
	dir     string       // removed at the end
	memory  int64        // of the server
	present []*Saver
	began   time.Time
}

// RunSave measures. It starts this same program for every contender that is a library, and once more for the store: see [Child]. What cannot be
// measured is reported in its [SaveResult]; the error is for wrong names, for a machine without room or loopback and for the end of ctx.
func RunSave(ctx context.Context, o *SaveOptions) (_ *SaveReport, err error) {
	own, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	savers, err := choose("contender", own.Savers, own.Only, func(s Saver) string { return s.Name })
	if err != nil {
		return nil, err
	}
	cases, err := choose("case", own.allCases(), own.Cases, func(c saveCaseName) string { return c.name })
	if err != nil {
		return nil, err
	}
	if own.Out != "" {
		if err := os.MkdirAll(own.Out, 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(own.Dir, "tidemark-bench-")
	if err != nil {
		return nil, err
	}
	s := &saveStage{SaveOptions: own, dir: dir, memory: max(8*own.Size, 8<<30), began: time.Now()}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	report := &SaveReport{Environment: environment(), Settings: own.settings(), Savers: s.find(ctx, savers), Cases: []SaveCase{}, Curves: []Curve{}, Goals: []Goal{}}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if s.server, err = startRole(ctx, program, roleServer, []string{"HOME=" + dir, "TMPDIR=" + dir}, dir); err != nil {
		return nil, fmt.Errorf("bench: start the server: %w", err)
	}
	defer func() { err = errors.Join(err, s.server.stop()) }()
	for _, g := range s.groups() {
		if err := g(ctx, s, cases, report); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if own.Out != "" && !errors.Is(err, ErrUsage) {
				err = fmt.Errorf("%w; what is finished is in %s, where the same command goes on", err, own.Out)
			}
			return nil, fmt.Errorf("bench: stopped: %w", err)
		}
	}
	if !own.Quick {
		report.judge()
	}
	report.Settings.Seconds = time.Since(s.began).Round(time.Millisecond).Seconds()
	report.Environment.LoadAfter = loadAverage()
	return report, nil
}

func (o *SaveOptions) settings() SaveSettings {
	prices := emulator.DefaultPrices
	s := SaveSettings{Quick: o.Quick, Size: o.Size, Files: o.manyFiles(), Rounds: o.Repeat, Seed: benchSeed, Prices: &prices}
	s.S2, s.Zstd = compressibility()
	return s
}

// manyFiles is how many files case D has.
func (o *SaveOptions) manyFiles() int {
	return int(max(64, manyFiles*o.Size/defaultSize))
}

// find looks for the contenders, and keeps those that are there.
func (s *saveStage) find(ctx context.Context, savers []Saver) []SaverAbout {
	var all []SaverAbout
	for i := range savers {
		c := &savers[i]
		a := SaverAbout{Name: c.Name, About: c.About}
		if c.Find != nil {
			s.say("looking for %s", c.Name)
			version, err := c.Find(ctx, s.toolsOf(c))
			if err != nil {
				a.Absent = err.Error()
			}
			a.Version = version
		}
		if a.Absent == "" {
			s.present = append(s.present, c)
		}
		all = append(all, a)
	}
	return all
}

// toolsOf is a directory of a contender's own that lasts.
func (s *saveStage) toolsOf(c *Saver) string {
	dir := filepath.Join(s.dir, "tools", c.Name)
	_ = os.MkdirAll(dir, 0o755) // what is missing shows when it is used
	return dir
}

// profileOf is the file for a profile; empty for none.
func (s *saveStage) profileOf(c *Saver, verb, name string) string {
	if s.Profiles == "" || c.Open == nil {
		return ""
	}
	abs, err := filepath.Abs(s.Profiles)
	if err != nil {
		return ""
	}
	return filepath.Join(abs, fmt.Sprintf("%s-%s-%s.pprof", c.Name, verb, name))
}

// say tells of progress, which is worth no failure.
func (s *saveStage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Progress, "%4.0f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// turn is a contender's place in the order of a round: everybody is first once.
func turn[T any](all []T, round int) []T {
	k := round % max(len(all), 1)
	return append(slices.Clone(all[k:]), all[:k]...)
}
