package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirstDifference(t *testing.T) {
	for _, c := range []struct{ a, b, says string }{
		{"x\ny\n", "x\ny\n", ""},
		{"x\ny\n", "x\nz\n", "line 2"},
		{"x\ny\n", "x\n", "line 2"},
		{"x\n", "x\ny\n", "line 2"},
		{"", "x\n", "line 1"},
	} {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		for path, content := range map[string]string{a: c.a, b: c.b} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := firstDifference("killed", a, "never killed", b)
		if err != nil || (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%q and %q: %q, %v", c.a, c.b, got, err)
		}
		digestA, errA := digest(a)
		digestB, errB := digest(b)
		if errA != nil || errB != nil || (digestA == digestB) != (c.says == "") {
			t.Errorf("%q and %q: digests %s and %s, %v, %v", c.a, c.b, digestA, digestB, errA, errB)
		}
	}
}
