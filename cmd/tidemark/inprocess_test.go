package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// tidemarkRun runs the command in this process.
func tidemarkRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errw bytes.Buffer
	code = run(t.Context(), args, nil, &out, &errw)
	return code, out.String(), errw.String()
}

// mustRun is tidemarkRun of what has to work.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := tidemarkRun(t, args...)
	if code != exitDone {
		t.Fatalf("tidemark %q: exit code %d\n%s", args, code, stderr)
	}
	return stdout
}

// stateDir is a directory with a few files to save.
func stateDir(t *testing.T, dir string) string {
	t.Helper()
	for name, content := range map[string][]byte{"db/orders.db": randomText(400 << 10), "db/000001.sst": []byte("sorted"), "offsets": []byte("42")} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
