package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestMain(m *testing.M) {
	if env := os.Getenv(workerEnv); env != "" {
		if err := beWorker(env); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// openMem opens a Store on a connection to memory.
func openMem(t testing.TB, s objstore.Store) *Store {
	t.Helper()
	store, err := newStore(s, false, withDefaults(&Options{MemoryBudget: smallBudget}))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// files is the content of a directory by relative name.
type files map[string][]byte

// noise is content that does not compress.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func (f files) write(t testing.TB, dir string) string {
	t.Helper()
	for name, b := range f {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readDir(t testing.TB, dir string) files {
	t.Helper()
	out := files{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(rel)], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// diff says how two directories differ, in few words.
func (f files) diff(other files) string {
	for name, b := range f {
		o, ok := other[name]
		switch {
		case !ok:
			return fmt.Sprintf("%s is missing", name)
		case !bytes.Equal(b, o):
			return fmt.Sprintf("%s differs (%d and %d bytes)", name, len(b), len(o))
		}
	}
	for name := range other {
		if _, ok := f[name]; !ok {
			return fmt.Sprintf("%s is too much", name)
		}
	}
	return ""
}

// addAll saves f as parts from memory.
func addAll(f files) func(*Writer) error {
	return func(w *Writer) error {
		for name, b := range f {
			if err := w.Add(name, bytes.NewReader(b)); err != nil {
				return err
			}
		}
		return nil
	}
}

func mustSave(t testing.TB, s *Store, job string, f files) Info {
	t.Helper()
	info, err := s.Save(context.Background(), job, addAll(f), nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func mustJob(t testing.TB, s *Store, name string) *Job {
	t.Helper()
	j, err := s.Job(name)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// restored reads a checkpoint back through RestoreDir.
func restored(t testing.TB, c *Checkpoint) files {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := c.RestoreDir(context.Background(), "", dir, nil); err != nil {
		t.Fatalf("restore of checkpoint %d: %v", c.Info().Checkpoint, err)
	}
	return readDir(t, dir)
}

func mustFind(t testing.TB, j *Job, ref string) *Checkpoint {
	t.Helper()
	c, err := j.Find(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantKind fails unless err is of the kind, says something for each text, and has a hint if it is one of a user's making.
func wantKind(t testing.TB, err, kind error) *Error {
	t.Helper()
	var e *Error
	if !errors.Is(err, kind) || !errors.As(err, &e) {
		t.Fatalf("error is %v (%T), want kind %q", err, err, kind)
	}
	return e
}

func noViolations(t testing.TB, s *memstore.Store) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Error(v)
	}
}

// measuresAmounts leaves a test out of short runs, such as the one under the race detector: it pushes hundreds of MiB through one goroutine, for minutes there,
// and the paths that it takes are those of other tests.
func measuresAmounts(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("measures how much is stored; without -short")
	}
}
