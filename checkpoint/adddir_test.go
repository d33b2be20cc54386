//go:build unix

package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// duringSave runs change while a file of the directory is being saved: when the save reads the base's manifest, each file has been opened and looked at already.
func duringSave(t *testing.T, dir string, change func()) error {
	t.Helper()
	mem := memstore.New()
	if _, err := openMem(t, mem).Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil); err != nil {
		t.Fatal(err)
	}
	done := false
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		if !done && op.Method == "get" && strings.Contains(op.Key, "/manifests/") {
			done = true
			change()
		}
		return memstore.OK
	})
	s := openMem(t, mem)
	_, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil)
	if !done {
		t.Fatal("the save did not read its base")
	}
	if err == nil {
		out := t.TempDir()
		if err := restoreQuietly(mustFind(t, mustJob(t, s, "j"), "latest"), out); err != nil {
			t.Fatal(err)
		}
		if want, got := listing(t, dir), listing(t, out); !slices.Equal(want, got) || readDir(t, dir).diff(readDir(t, out)) != "" {
			t.Errorf("saved something that never was: %q, it is %q", got, want)
		}
	}
	return err
}

func TestFileThatChangesWhileSavedIsReadAgain(t *testing.T) {
	dir := files{"a": noise(1, 100_000)}.write(t, t.TempDir())
	for i, size := range []int{90_000, 90_000} { // another length, and then the same
		if err := duringSave(t, dir, func() { files{"a": noise(uint64(2+i), size)}.write(t, dir) }); err != nil {
			t.Errorf("one change was not survived: %v", err)
		}
	}
}

func TestFileThatVanishesWhileSaved(t *testing.T) {
	dir := files{"a": noise(1, 100_000)}.write(t, t.TempDir())
	err := duringSave(t, dir, func() {
		if err := os.Remove(filepath.Join(dir, "a")); err != nil {
			t.Error(err)
		}
	})
	if e := wantKind(t, err, ErrChanged); e.Part != "a" || e.Hint == "" {
		t.Errorf("the error says too little: %+v", e)
	}
}

func TestDirectoryThatGrowsWhileSaved(t *testing.T) {
	dir := files{"sub/a": noise(1, 100_000)}.write(t, t.TempDir())
	err := duringSave(t, dir, func() { files{"sub/b": {1}}.write(t, dir) })
	if e := wantKind(t, err, ErrChanged); e.Part != "sub" {
		t.Errorf("the error does not name the directory: %+v", e)
	}
}

func TestSaveRefusesWhatItCannotRestore(t *testing.T) {
	tests := map[string]func(dir string) error{
		"fifo":          func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "bad"), 0o600) },
		"link out":      func(dir string) error { return os.Symlink("../elsewhere", filepath.Join(dir, "bad")) },
		"absolute link": func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "bad")) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			dir := files{"good": {1}}.write(t, t.TempDir())
			if err := make(dir); err != nil {
				t.Fatal(err)
			}
			s := openMem(t, memstore.New())
			_, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil)
			if e := wantKind(t, err, ErrInvalid); e.Part != "bad" || e.Hint == "" {
				t.Errorf("the error says too little: %+v", e)
			}
			_, err = mustJob(t, s, "j").Latest(context.Background())
			wantKind(t, err, ErrNotFound)
		})
	}
}

func TestSaveOfBadNames(t *testing.T) {
	s := openMem(t, memstore.New())
	for _, name := range []string{"", "/a", "../a", "a/../b", "a//b", ".", "a\x00b", strings.Repeat("x", 5000)} {
		_, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.Add(name, strings.NewReader("x")) }, nil)
		wantKind(t, err, ErrInvalid)
	}
	_, err := s.Save(context.Background(), "j", func(w *Writer) error {
		if err := w.Add("a", strings.NewReader("1")); err != nil {
			t.Fatal(err)
		}
		return w.Add("a", strings.NewReader("2"))
	}, nil)
	wantKind(t, err, ErrInvalid)
	dir := filepath.Join(t.TempDir(), "missing")
	_, err = s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil)
	if e := wantKind(t, err, ErrInvalid); !strings.Contains(e.Error(), dir) {
		t.Errorf("the error does not name the directory: %v", e)
	}
}
