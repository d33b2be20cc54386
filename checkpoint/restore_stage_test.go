package checkpoint

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// What a restore that died has left in a directory is no part of the state in it.
func TestStagesAreNotSaved(t *testing.T) {
	left := stagePrefix + "0123456789abcdef"
	mine := []string{stagePrefix + "0123", stagePrefix + "0123456789abcdeg", "my" + left}
	dir := files{"a": {1}, "sub/b": {2}, left + "/a": {3}, "sub/" + left + "/c/d": {4}}.write(t, t.TempDir())
	want := files{"a": {1}, "sub/b": {2}}
	for _, name := range mine { // that only look like it
		files{name + "/x": {5}}.write(t, dir)
		want[name+"/x"] = []byte{5}
	}
	var log bytes.Buffer
	s, err := newStore(memstore.New(), false, withDefaults(&Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := restoreQuietly(mustFind(t, mustJob(t, s, "j"), "latest"), out); err != nil {
		t.Fatal(err)
	}
	if d := want.diff(readDir(t, out)); d != "" {
		t.Error(d)
	}
	for _, name := range []string{left, filepath.Join("sub", left)} {
		if _, err := os.Lstat(filepath.Join(out, name)); err == nil {
			t.Errorf("%s was saved", name)
		}
		if !strings.Contains(log.String(), "directory="+filepath.ToSlash(name)+"\n") {
			t.Errorf("nobody is told that %s was left out: %s", name, &log)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings:\n%s", n, &log)
	}
}
