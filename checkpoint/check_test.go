package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// outcome is findings in a form that tests compare: name=ok, name=skipped, name=the code of its error.
func outcome(findings []Finding) []string {
	out := make([]string, len(findings))
	for i, f := range findings {
		state := "ok"
		var e *Error
		switch {
		case f.Skipped:
			state = "skipped"
		case errors.As(f.Err, &e):
			state = e.Code()
		case f.Err != nil:
			state = "failed"
		}
		out[i] = f.Name + "=" + state
	}
	return out
}

// healthy is the outcome for a store in a bucket but for what other says, in words such as "create=permission".
func healthy(other ...string) []string {
	all := outcome([]Finding{{Name: "reach"}, {Name: "bucket"}, {Name: "create"}, {Name: "create-if-absent"}, {Name: "compare-and-swap"},
		{Name: "read"}, {Name: "list"}, {Name: "delete"}})
	for i := range all {
		name, _, _ := strings.Cut(all[i], "=")
		for _, o := range other {
			if strings.HasPrefix(o, name+"=") {
				all[i] = o
			}
		}
	}
	return all
}

func TestCheckAgainstGCS(t *testing.T) {
	forbid := func(permissions ...string) *emulator.StorageOptions {
		return &emulator.StorageOptions{Forbid: func(method, _, object string) (string, bool) {
			needed := map[string]string{http.MethodPost: "storage.objects.create", http.MethodDelete: "storage.objects.delete", http.MethodGet: "storage.objects.get"}[method]
			if method == http.MethodGet && object == "" {
				needed = "storage.objects.list"
			}
			return "", slices.Contains(permissions, needed)
		}}
	}
	fault := func(m emulator.Match, status int, body string) []emulator.Fault {
		m.Server = emulator.ServerStorage
		return []emulator.Fault{{Match: m, Then: emulator.Then{Effect: emulator.EffectStatus, Status: status, Body: body}}}
	}
	denied := func(text string) string {
		return fmt.Sprintf(`{"error":{"code":403,"message":%q,"errors":[{"reason":"forbidden"}]}}`, text)
	}
	const account = "tidemark@emulator-project.iam.gserviceaccount.com"
	for _, c := range []struct {
		name    string
		storage *emulator.StorageOptions
		faults  []emulator.Fault
		bucket  string
		opts    *CheckOptions
		want    []string
		finding string   // the name of the one that
		says    []string // says this, in Detail or hint
		remains int      // objects left behind
	}{
		{name: "healthy", want: healthy()},
		{name: "one change a second", storage: &emulator.StorageOptions{RateLimit: true}, want: healthy()},
		{name: "no bucket", bucket: "nowhere",
			want:    healthy("bucket=invalid", "create=skipped", "create-if-absent=skipped", "compare-and-swap=skipped", "read=skipped", "list=skipped", "delete=skipped"),
			finding: "bucket", says: []string{"does not exist", "create the bucket"}},
		{name: "no create", storage: forbid("storage.objects.create"), want: healthy("create=permission", "create-if-absent=skipped", "compare-and-swap=skipped"),
			finding: "create", says: []string{"grant storage.objects.create to " + account, "roles/storage.objectUser"}},
		{name: "no read", storage: forbid("storage.objects.get"), want: healthy("read=permission"),
			finding: "read", says: []string{"grant storage.objects.get to " + account}},
		{name: "no list", storage: forbid("storage.objects.list"), want: healthy("list=permission"),
			finding: "list", says: []string{"grant storage.objects.list to " + account}},
		{name: "no delete", storage: forbid("storage.objects.delete"), want: healthy("delete=permission"), remains: 1,
			finding: "delete", says: []string{"grant storage.objects.delete to " + account, "the probe object .tidemark-probe-", "remains"}},
		{name: "read only", storage: forbid("storage.objects.create", "storage.objects.delete"),
			want: healthy("create=permission", "create-if-absent=skipped", "compare-and-swap=skipped", "delete=permission")},
		{name: "nothing allowed", storage: forbid("storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list"),
			want: healthy("create=permission", "create-if-absent=skipped", "compare-and-swap=skipped", "read=permission", "list=permission", "delete=permission")},
		{name: "unnamed permission", faults: fault(emulator.Match{Methods: []string{"DELETE"}}, 403, ""), want: healthy("delete=permission"), remains: 1,
			finding: "delete", says: []string{"grant storage.objects.delete to the job's account"}},
		{name: "retention", faults: fault(emulator.Match{Methods: []string{"POST"}, Nth: 3}, 403, denied("Object 'b/o' is subject to bucket's retention policy or object retention and cannot be deleted or overwritten until 2031-01-01T00:00:00Z")),
			want: healthy("compare-and-swap=unsupported"), finding: "compare-and-swap", says: []string{"take retention policies and holds off the bucket"}},
		{name: "a creation that replaces", storage: &emulator.StorageOptions{}, faults: fault(emulator.Match{Methods: []string{"POST"}, Nth: 2}, 200, `{"generation":"7","size":"6"}`),
			want: healthy("create-if-absent=unsupported", "compare-and-swap=unsupported", "read=unsupported"), finding: "create-if-absent", says: []string{"a second creation of an object was accepted", "two owners"}},
		{name: "401", faults: fault(emulator.Match{}, 401, ""),
			want: healthy("reach=credentials", "bucket=skipped", "create=skipped", "create-if-absent=skipped", "compare-and-swap=skipped", "read=skipped", "list=skipped", "delete=skipped")},
		{name: "503", faults: fault(emulator.Match{}, 503, ""),
			want:    healthy("reach=unavailable", "bucket=skipped", "create=skipped", "create-if-absent=skipped", "compare-and-swap=skipped", "read=skipped", "list=skipped", "delete=skipped"),
			finding: "bucket", says: []string{"not tried: reach failed"}},
		{name: "503 for uploads", faults: fault(emulator.Match{Methods: []string{"POST"}}, 503, ""), want: healthy("create=unavailable", "create-if-absent=skipped", "compare-and-swap=skipped")},
		{name: "hanging", faults: []emulator.Fault{{Match: emulator.Match{Methods: []string{"POST"}}, Then: emulator.Then{Effect: emulator.EffectStallRequest}}},
			opts: &CheckOptions{Timeout: 300 * time.Millisecond}, want: healthy("create=unavailable", "create-if-absent=skipped", "compare-and-swap=skipped"),
			finding: "create", says: []string{"no answer within 300ms"}},
		{name: "nothing written", opts: &CheckOptions{ReadOnly: true}, want: []string{"reach=ok", "bucket=ok", "read=ok", "list=ok"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.storage == nil {
				c.storage = &emulator.StorageOptions{}
			}
			c.storage.Authorize = func(string) error { return nil }
			cloud := emulator.Start(t, &emulator.Options{Storage: c.storage, Faults: c.faults})
			url := cloud.StoreURL("acme", "flows")
			if c.bucket != "" {
				url = strings.Replace(url, "acme", c.bucket, 1)
			}
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			s, err := Open(t.Context(), url, &Options{HTTPClient: &http.Client{Transport: transport}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			findings := s.Check(t.Context(), c.opts)
			if got := outcome(findings); !slices.Equal(got, c.want) {
				t.Errorf("found\n%q, want\n%q", got, c.want)
			}
			if left := cloud.Storage().Objects("acme"); len(left) != c.remains {
				t.Errorf("left behind: %v", left)
			}
			for _, f := range findings {
				var e *Error
				if errors.As(f.Err, &e) && e.Hint == "" {
					t.Errorf("%s has no remedy: %v", f.Name, f.Err)
				}
				if f.Name != c.finding {
					continue
				}
				text := f.Detail
				if e != nil {
					text += "\n" + e.Hint
				}
				for _, want := range c.says {
					if !strings.Contains(text, want) {
						t.Errorf("%s does not say %q:\n%s", f.Name, want, text)
					}
				}
			}
		})
	}
}

func TestCheckOfADirectory(t *testing.T) {
	want := []string{"reach=ok", "create=ok", "create-if-absent=ok", "compare-and-swap=ok", "read=ok", "list=ok", "delete=ok"}
	dir := t.TempDir()
	s, err := Open(t.Context(), "file://"+filepath.ToSlash(dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got := outcome(s.Check(t.Context(), nil)); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != ".tidemark" {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// A file where the store keeps those that it writes: works for root too, whom no permission bits stop.
	if err := os.RemoveAll(filepath.Join(dir, ".tidemark")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".tidemark"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Check(t.Context(), nil) {
		if f.Name == "create" && f.Err == nil {
			t.Error("a directory that cannot be written passed")
		}
	}
}

// TestCheckSeesBrokenConditions has a store break each promise.
func TestCheckSeesBrokenConditions(t *testing.T) {
	for _, c := range []struct {
		name string
		s    objstore.Store
		want string
	}{
		{"creates what exists", broken{Store: memstore.New(), ignoresAbsent: true}, "create-if-absent=unsupported"},
		{"ignores versions", broken{Store: memstore.New(), ignoresVersion: true}, "compare-and-swap=unsupported"},
		{"refuses versions", broken{Store: memstore.New(), refusesVersion: true}, "compare-and-swap=unsupported"},
		{"mints no versions", broken{Store: memstore.New(), sameVersion: true}, "compare-and-swap=unsupported"},
		{"reads what was", broken{Store: memstore.New(), stale: true}, "read=unsupported"},
		{"lists nothing", broken{Store: memstore.New(), blind: true}, "list=unsupported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outcome(openMem(t, c.s).Check(t.Context(), nil)); !slices.Contains(got, c.want) {
				t.Errorf("found %q, want %s", got, c.want)
			}
		})
	}
}

type broken struct {
	*memstore.Store
	ignoresAbsent, ignoresVersion, refusesVersion, sameVersion, stale, blind bool
}

func (b broken) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	if b.blind {
		prefix += "-nothing"
	}
	return b.Store.List(ctx, prefix)
}

func (b broken) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	info, err := b.Stat(ctx, key)
	switch {
	case err != nil: // the first
	case cond == objstore.Absent && b.ignoresAbsent, cond != objstore.Absent && b.ignoresVersion:
		cond = info.Version
	case cond != objstore.Absent && b.refusesVersion:
		cond = "another"
	}
	version, err := b.Store.Put(ctx, key, body, cond)
	if b.sameVersion && cond != objstore.Absent {
		version = cond
	}
	return version, err
}

func (b broken) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	body, version, err := b.Store.Get(ctx, key, limit)
	if b.stale && err == nil {
		return []byte("first"), version, nil
	}
	return body, version, err
}

// TestCheckIsBounded has every request hang: all of it takes as long as one check, and Ctrl-C ends it at once.
func TestCheckIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		s.SetFault(func(op memstore.Op) memstore.Outcome { return memstore.Outcome{Hang: true} })
		store := openMem(t, s)
		start := time.Now()
		if got := outcome(store.Check(t.Context(), nil)); got[0] != "reach=unavailable" || time.Since(start) != checkTimeout {
			t.Errorf("found %q after %s", got, time.Since(start))
		}
		// The writes hang and have been applied: the object is deleted, by a request that hangs too.
		s.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method == "stat" {
				return memstore.OK
			}
			return memstore.Outcome{Apply: true, Hang: true}
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start = time.Now()
		got := outcome(store.Check(ctx, nil))
		if took := time.Since(start); took > 1500*time.Millisecond || len(got) != 2 {
			t.Errorf("interrupted after a second, it found %q and ended after %s", got, took)
		}
		if keys := s.Keys(); len(keys) != 0 {
			t.Errorf("left behind: %q", keys)
		}
	})
}
