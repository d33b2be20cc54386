package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// kept measures a part of the benchmark, unless SaveOptions.Out has it from an earlier run, and adds it to the report. What is finished is
// written there at once, as a report of its own.
func (s *saveStage) kept(report *SaveReport, name string, measure func(*SaveReport) error) error {
	part := &SaveReport{Environment: environment(), Settings: report.Settings, Savers: report.Savers, Cases: []SaveCase{}, Curves: []Curve{}, Goals: []Goal{}}
	file := filepath.Join(s.Out, name+".json")
	known, err := s.known(part, file)
	if err != nil {
		return err
	}
	if known != nil {
		s.say("%s was measured before: %s", name, file)
		part = known
	} else {
		began := time.Now()
		if err := measure(part); err != nil {
			return err
		}
		part.Settings.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
		part.Environment.LoadAfter = loadAverage()
		// What could not be had may be had next time.
		if s.Out != "" && len(part.Absent) == 0 {
			if err := writeReport(file, part); err != nil {
				return err
			}
		}
	}
	report.Absent = append(report.Absent, part.Absent...)
	report.Cases = append(report.Cases, part.Cases...)
	report.Curves = append(report.Curves, part.Curves...)
	return nil
}

// known reads a part that was measured before; nil without one. One of another program or with other settings is refused: nobody would see that it is.
func (s *saveStage) known(now *SaveReport, file string) (*SaveReport, error) {
	if s.Out == "" {
		return nil, nil
	}
	then, err := readReport(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name := func(a SaverAbout) string { return a.Name + a.Absent }
	switch {
	case !then.Settings.alike(&now.Settings) || then.Settings.Rounds != now.Settings.Rounds:
		err = errors.New("with other settings")
	case !slices.EqualFunc(then.Savers, now.Savers, func(a, b SaverAbout) bool { return name(a) == name(b) }):
		err = errors.New("with other contenders")
	case !then.Environment.alike(&now.Environment):
		err = errors.New("on another machine")
	case then.Environment.Revision != now.Environment.Revision:
		err = fmt.Errorf("at revision %s", then.Environment.Revision)
	default:
		return then, nil
	}
	return nil, fmt.Errorf("%w: %s was measured %w; take another directory", ErrUsage, file, err)
}

// alike tells whether two settings make the same state.
func (s *SaveSettings) alike(o *SaveSettings) bool {
	return s.Quick == o.Quick && s.Size == o.Size && s.Files == o.Files && s.Seed == o.Seed
}

// alike tells whether two environments are one machine, as far as a report says.
func (e *Environment) alike(o *Environment) bool {
	return e.Go == o.Go && e.OS == o.OS && e.Arch == o.Arch && e.CPU == o.CPU && e.Cores == o.Cores && e.GOMAXPROCS == o.GOMAXPROCS
}

func readReport(file string) (*SaveReport, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(SaveReport)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%w: %s is no report of bench save: %w", ErrUsage, file, err)
	}
	if r.Settings.Size == 0 {
		return nil, fmt.Errorf("%w: %s is no report of bench save", ErrUsage, file)
	}
	return r, nil
}

// writeReport leaves the whole report under its name, or nothing.
func writeReport(file string, r *SaveReport) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".unfinished-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(r.WriteJSON(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
