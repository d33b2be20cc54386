package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// prefix is the name that the parts of every job are below.
const prefix = "state"

// wrongError says that what was restored is not what was saved.
type wrongError struct{ detail string }

func (e *wrongError) Error() string { return e.detail }

func wrongf(format string, args ...any) error {
	return &wrongError{fmt.Sprintf(format, args...)}
}

// compareTree compares a restored directory with a step, bit for bit. A difference is a *wrongError.
func compareTree(dir string, state State, step uint64) error {
	expected := state.parts(step)
	left := make(map[string]bool, len(expected))
	for i := range expected {
		left[expected[i].name] = true
		if err := compareFile(dir, &expected[i]); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !left[filepath.ToSlash(name)] {
			return wrongf("%s is there, and step %d has no such part", name, step)
		}
		return nil
	})
}

func compareFile(dir string, p *part) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(p.name)))
	if errors.Is(err, fs.ErrNotExist) {
		return wrongf("%s is missing", p.name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	return compare(f, p)
}

// compare reads r to its end, which has to be that of the part.
func compare(r io.Reader, p *part) error {
	var got, want [blockSize]byte
	expected := p.reader(0)
	for at := int64(0); at < p.size; {
		n := int(min(blockSize, p.size-at))
		if _, err := io.ReadFull(expected, want[:n]); err != nil {
			return err
		}
		switch _, err := io.ReadFull(r, got[:n]); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return wrongf("%s ends before byte %d of %d", p.name, at+int64(n), p.size)
		case err != nil:
			return err
		}
		if !bytes.Equal(got[:n], want[:n]) {
			return wrongf("%s differs in the block at %d", p.name, at)
		}
		at += int64(n)
	}
	if n, err := io.ReadFull(r, got[:1]); n > 0 {
		return wrongf("%s goes on behind its %d bytes", p.name, p.size)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// compareParts reads a checkpoint part by part, in sequence or at random places, and compares.
func compareParts(ctx context.Context, c *checkpoint.Checkpoint, state State, step uint64, random bool) error {
	expected := state.parts(step)
	listed, err := c.Parts(ctx)
	if err != nil {
		return err
	}
	files := 0
	for _, p := range listed {
		if p.Kind == checkpoint.KindFile || p.Kind == checkpoint.KindStream {
			files++
		}
	}
	if files != len(expected) {
		return wrongf("%d parts, and step %d has %d", files, step, len(expected))
	}
	for i := range expected {
		if err := comparePart(ctx, c, &expected[i], random); err != nil {
			return err
		}
	}
	return nil
}

func comparePart(ctx context.Context, c *checkpoint.Checkpoint, p *part, random bool) error {
	r, err := c.Open(ctx, prefix+"/"+p.name)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return wrongf("%s is missing: %v", p.name, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	if r.Size() != p.size {
		return wrongf("%s has %d bytes, not %d", p.name, r.Size(), p.size)
	}
	if !random {
		return compare(r, p)
	}
	got, want := make([]byte, 3*blockSize), make([]byte, 3*blockSize)
	for range 3 {
		n := int(min(int64(len(got)), p.size))
		off := rand.Int64N(p.size - int64(n) + 1)
		if _, err := r.ReadAt(got[:n], off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := io.ReadFull(p.reader(off), want[:n]); err != nil {
			return err
		}
		if !bytes.Equal(got[:n], want[:n]) {
			return wrongf("%s differs somewhere in %d bytes from %d on", p.name, n, off)
		}
	}
	return nil
}
