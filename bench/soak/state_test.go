package soak

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func contentOf(t *testing.T, p part) []byte {
	t.Helper()
	b, err := io.ReadAll(p.reader(0))
	if err != nil || int64(len(b)) != p.size {
		t.Fatalf("%s has %d bytes of %d: %v", p.name, len(b), p.size, err)
	}
	return b
}

// A state follows from seed, kind and step alone; it goes on from step to step, and most of it stays.
func TestStateFollowsFromTheStep(t *testing.T) {
	for _, kind := range Kinds() {
		s := State{Seed: 7, Kind: kind}
		changed := false
		for _, p := range s.parts(100) {
			b := contentOf(t, p)
			if !bytes.Equal(b, contentOf(t, p)) {
				t.Errorf("%s: %s is not the same twice", kind, p.name)
			}
			if i := p.size / 3; !bytes.Equal(b[i:], func() []byte { rest, _ := io.ReadAll(p.reader(i)); return rest }()) {
				t.Errorf("%s: %s read from %d on is not its rest", kind, p.name, i)
			}
			found := false
			for _, next := range s.parts(101) {
				if next.name != p.name {
					continue
				}
				found = true
				changed = changed || !bytes.Equal(b, contentOf(t, next))
			}
			changed = changed || !found
			for _, other := range (State{Seed: 8, Kind: kind}).parts(100) {
				if other.name == p.name && bytes.Equal(b, contentOf(t, other)) {
					t.Errorf("%s: %s is the same for another seed", kind, p.name)
				}
			}
		}
		if !changed {
			t.Errorf("%s: nothing changes in a step", kind)
		}
	}
}

func TestPagesChangeFewAtATime(t *testing.T) {
	s := State{Seed: 7, Kind: KindPages}
	a, b := contentOf(t, s.parts(100)[0]), contentOf(t, s.parts(101)[0])
	changed := 0
	for i := 0; i < len(a); i += blockSize {
		if !bytes.Equal(a[i:i+blockSize], b[i:i+blockSize]) {
			changed++
		}
	}
	if changed == 0 || changed > 16 {
		t.Errorf("%d of %d pages changed", changed, len(a)/blockSize)
	}
}

func TestTreeIsItsState(t *testing.T) {
	for _, kind := range []string{KindFiles, KindPages, KindAppend, KindContent, KindSealed} {
		tr := &tree{dir: filepath.Join(t.TempDir(), "state"), state: State{Seed: 3, Kind: kind}}
		for _, step := range []uint64{1, 2, 5, 46, 47, 48, 49, 99} {
			if err := tr.advance(step); err != nil {
				t.Fatal(err)
			}
			if err := compareTree(tr.dir, tr.state, step); err != nil {
				t.Errorf("%s at step %d: %v", kind, step, err)
			}
			tr.have = nil // as after a restore
		}
	}
}

func TestEveryDifferenceIsFound(t *testing.T) {
	const step = 50
	state := State{Seed: 3, Kind: KindAppend}
	for name, damage := range map[string]func(dir string) error{
		"a byte at the end": func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "000001.log"), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			var b [1]byte
			const at = 3*growth - 1
			_, err = f.ReadAt(b[:], at)
			b[0] ^= 1
			_, werr := f.WriteAt(b[:], at)
			return errors.Join(err, werr, f.Close())
		},
		"too short":   func(dir string) error { return os.Truncate(filepath.Join(dir, "000001.log"), 3*growth-1) },
		"too long":    func(dir string) error { return os.Truncate(filepath.Join(dir, "000001.log"), 3*growth+1) },
		"a file gone": func(dir string) error { return os.Remove(filepath.Join(dir, "000000.log")) },
		"a file more": func(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o644) },
		"the step before": func(dir string) error {
			return (&tree{dir: dir, state: state}).advance(step + 1)
		},
	} {
		tr := &tree{dir: t.TempDir(), state: state}
		if err := tr.advance(step); err != nil {
			t.Fatal(err)
		}
		if err := damage(tr.dir); err != nil {
			t.Fatal(err)
		}
		if err := compareTree(tr.dir, state, step); !errors.As(err, new(*wrongError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
