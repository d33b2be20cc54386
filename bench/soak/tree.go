package soak

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// tree keeps a job's state in a directory, changed from step to step as such a program would change it.
type tree struct {
	dir   string
	state State
	have  map[string]int64 // names and sizes; nil until the directory has been read
}

// onDisk tells whether the jobs of a kind keep their state in files.
func onDisk(kind string) bool { return kind != KindStreams && kind != KindWorkers }

// advance brings the directory to a step.
func (t *tree) advance(step uint64) error {
	if t.have == nil {
		if err := t.look(); err != nil {
			return err
		}
	}
	now := map[string]int64{}
	for _, p := range t.state.parts(step) {
		now[p.name] = p.size
		if err := t.write(&p); err != nil {
			return err
		}
	}
	for name := range t.have {
		if _, ok := now[name]; !ok {
			if err := os.Remove(filepath.Join(t.dir, name)); err != nil {
				return err
			}
		}
	}
	t.have = now
	return nil
}

func (t *tree) look() error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	t.have = map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		t.have[e.Name()] = info.Size()
	}
	return nil
}

// write makes a file what it has to be: a table is written once, a log grows, everything else is written over, so that a page that stays the same
// is the same page.
func (t *tree) write(p *part) error {
	had, ok := t.have[p.name]
	var from int64
	switch {
	case ok && had == p.size && filepath.Ext(p.name) == ".sst":
		return nil
	case ok && had <= p.size && filepath.Ext(p.name) == ".log":
		from = had
	}
	f, err := os.OpenFile(filepath.Join(t.dir, p.name), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, from), p.reader(from))
	return errors.Join(err, f.Truncate(p.size), f.Close())
}
