//go:build unix

package flock_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/internal/flock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOneHolder: the lock belongs to an open file, not to the process, and ends with it.
func TestOneHolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, file} {
		first, second := open(t, name), open(t, name)
		for i, step := range []struct {
			f    *os.File
			want bool
		}{{first, true}, {second, false}, {first, true}} {
			if got, err := flock.Try(step.f); err != nil || got != step.want {
				t.Errorf("%s, step %d: %v, %v", name, i, got, err)
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := flock.Try(second); err != nil || !got {
			t.Errorf("%s, after its holder closed it: %v, %v", name, got, err)
		}
		if got, err := flock.Try(first); err == nil || got {
			t.Errorf("%s: a closed file was locked: %v, %v", name, got, err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
