package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzSize and FuzzDuration: what is taken is in range, and comes back if it is printed and given again.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{"0", "512MiB", "1070000GiB", "1.5 GiB", "8TiB", "99999999999TiB", "1e9", "-1", "KiB", "", "0x10", "1 B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again byteSize
		if s.Set(text) != nil {
			return
		}
		if s < 0 || strings.HasPrefix(text, "-") {
			t.Errorf("%q is %d bytes", text, s)
		}
		if printed := s.String(); printed != "" && again.Set(printed) != nil {
			t.Errorf("%q prints as %q, which is not taken", text, printed)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"0", "90s", "1d12h", "2w", "2w-1h", "1.5d", "99999999999999w", "106751d23h47m16.854775807s", "-5m", "1d-3h", "d", "1d1d", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d, again duration
		if d.Set(text) != nil {
			return
		}
		if d < 0 && !strings.HasPrefix(text, "-") {
			t.Errorf("%q is %v", text, time.Duration(d))
		}
		if printed := d.String(); printed != "" && (again.Set(printed) != nil || again != d) {
			t.Errorf("%q is %v, which is taken for %v", text, time.Duration(d), time.Duration(again))
		}
	})
}

// FuzzFaultsFile reads YAML, which has more ways to be hostile than JSON.
func FuzzFaultsFile(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "- {match: {server: storage}, then: {effect: close}}", "a: &a [*a]", "- &a {then: {effect: close}}\n- *a\n", "? {a: b}\n: c", "- !!binary aGk=", "- 2026-01-01", "{1: 2}", "\xff",
		"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d,*d]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "faults.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readFaults(file); err != nil && !errors.As(err, new(*usageError)) {
			t.Errorf("%v is not the user's mistake", err)
		}
	})
}

// FuzzRedactURL: no user, no query.
func FuzzRedactURL(f *testing.F) {
	for _, seed := range []string{"gs://b/p?endpoint=secret", "s3://user:secret@host/a", "?secret", "secret", "://secret@", "a://b@c@d/e?f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, _, query := strings.Cut(text, "?")
		got := redactURL(text)
		if query && strings.Contains(got, "?") && !strings.HasPrefix(got, `"`) {
			t.Errorf("%q is shown as %q", text, got)
		}
		host := func(s string) string {
			_, rest, _ := strings.Cut(s, "://")
			host, _, _ := strings.Cut(rest, "/")
			return host
		}
		if user, _, at := strings.Cut(host(before), "@"); at && len(user) > 4 && strings.Contains(host(got), user) {
			t.Errorf("%q is shown as %q", text, got)
		}
	})
}
