package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dumpState is a map in memory that is written out whole and in order, with a row more here and there in later rounds, so that what follows moves.
type dumpState struct {
	live  string
	total int
	round map[int]int // by row: in which it was last written
	wrote int         // rounds so far
}

func openDump(live string, total int) (state, error) {
	s := &dumpState{live: live, total: total, round: map[int]int{}}
	text, err := os.ReadFile(filepath.Join(live, "rounds"))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	for l := range strings.Lines(string(text)) {
		var i, r int
		if _, err := fmt.Sscan(l, &i, &r); err != nil {
			return nil, err
		}
		s.round[i], s.wrote = r, max(s.wrote, r)
	}
	return s, err
}

func (s *dumpState) put(rows []row) error {
	for _, r := range rows {
		i, round, err := whichRow(r)
		if err != nil {
			return err
		}
		if round > 0 {
			s.round[i], s.wrote = round, max(s.wrote, round)
		}
	}
	return nil
}

// whichRow reads a row's number and round from its own text.
func whichRow(r row) (i, round int, err error) {
	if i, err = strconv.Atoi(strings.TrimPrefix(string(r.key), "order/")); err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(r.value), `"round":`)
	number, _, _ := strings.Cut(rest, ",")
	round, err = strconv.Atoi(number)
	return i, round, err
}

func (s *dumpState) snapshot(dir string) error {
	var notes strings.Builder
	for i, r := range s.round {
		fmt.Fprintln(&notes, i, r)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(s.live, "rounds"), []byte(notes.String()), 0o644), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	return writeRows(filepath.Join(dir, "state.dump"), func(write func(row) error) error {
		for i := range s.total {
			r := s.round[i]
			if err := write(rowAt(i, r)); err != nil {
				return err
			}
			if r > 0 { // an order that was changed has a line more each time
				for line := range r {
					if err := write(row{fmt.Appendf(nil, "order/%010d/%d", i, line), []byte("added")}); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// writeRows writes rows one after the other.
func writeRows(file string, each func(write func(row) error) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = each(func(r row) error {
		_, errKey := w.Write(r.key)
		_, errValue := w.Write(r.value)
		return errors.Join(errKey, errValue)
	})
	return errors.Join(err, w.Flush(), f.Close())
}

// deltaState is a map in memory whose owner knows which keys changed: a base, and a file of changed rows for each round since.
type deltaState struct {
	live  string
	round int
	rows  []row
}

func openDeltas(live string, _ int) (state, error) {
	files, err := filepath.Glob(filepath.Join(live, "*.sst"))
	return &deltaState{live: live, round: len(files)}, err
}

func (s *deltaState) put(rows []row) error {
	s.rows = append(s.rows, rows...)
	return nil
}

// snapshot links the files, none of which ever changes. Their names end as those of tables do, which everybody knows not to change.
func (s *deltaState) snapshot(dir string) error {
	err := writeRows(filepath.Join(s.live, fmt.Sprintf("%06d.sst", s.round)), func(write func(row) error) error {
		for _, r := range s.rows {
			if err := write(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(s.live, "*.sst"))
	for _, f := range files {
		err = errors.Join(err, os.Link(f, filepath.Join(dir, filepath.Base(f))))
	}
	return err
}
