package tidemark_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/emulator/fakegcs"
)

func TestMain(m *testing.M) {
	// fake-gcs-server brings a package whose init starts a goroutine for good.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// servers are the two storage servers that the whole path runs against: each hides bugs that the other shows.
var servers = map[string]func(emulator.TB, *emulator.Options) *emulator.Cloud{
	"our server":      emulator.Start,
	"fake-gcs-server": fakegcs.Start,
}

// start starts a cloud and points this process's environment at its metadata server, and at nothing else.
func start(t *testing.T, o emulator.Options) *emulator.Cloud {
	t.Helper()
	return startServer(t, emulator.Start, o)
}

func startServer(t *testing.T, server func(emulator.TB, *emulator.Options) *emulator.Cloud, o emulator.Options) *emulator.Cloud {
	t.Helper()
	cloud := server(t, &o)
	for _, name := range []string{"GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	for _, kv := range cloud.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	return cloud
}

func open(t *testing.T, url string, opts *tidemark.Options) *tidemark.Store {
	t.Helper()
	s, err := tidemark.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// state writes a directory with a large file, a small one and an empty one.
func state(t *testing.T, seed byte) string {
	t.Helper()
	dir := t.TempDir()
	big := bytes.Repeat([]byte("0123456789abcdef"), 600_000)
	for i := 0; i < len(big); i += 4096 {
		big[i], big[i+1] = byte(i>>12), seed
	}
	for name, b := range map[string][]byte{"big": big, "sub/small": {seed}, "sub/empty": nil} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func equalDirs(t *testing.T, a, b string) {
	t.Helper()
	for _, name := range []string{"big", "sub/small", "sub/empty"} {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs", name)
		}
	}
}

// The whole path: metadata server, token, client, store, and back; one token for all of it.
func TestWholePath(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			cloud := startServer(t, server, emulator.Options{})
			url := cloud.StoreURL("state", "flows")
			job, err := open(t, url, nil).Acquire(ctx, "orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := job.Latest(ctx); !errors.Is(err, checkpoint.ErrNotFound) {
				t.Fatalf("latest of a new job: %v", err)
			}
			var dir string
			for seed := range byte(3) {
				dir = state(t, seed)
				w, err := job.Begin(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.AddDir("db", dir); err != nil {
					t.Fatal(err)
				}
				w.SetMetadata("offset", []byte{seed})
				if _, err := w.Commit(ctx); err != nil {
					t.Fatal(err)
				}
			}
			other, err := open(t, url, nil).Job("orders")
			if err != nil {
				t.Fatal(err)
			}
			last, err := other.Latest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			if _, err := last.RestoreDir(ctx, "db", out, nil); err != nil {
				t.Fatal(err)
			}
			equalDirs(t, dir, out)
			if _, err := other.Retain(ctx, checkpoint.Retention{KeepLast: 1}, false); err != nil {
				t.Fatal(err)
			}
			gone, err := other.Collect(ctx, nil)
			if err != nil || gone.DeletedObjects == 0 {
				t.Errorf("collected %+v, %v", gone, err)
			}
			report, err := other.Verify(ctx, &checkpoint.VerifyOptions{Data: true})
			if err != nil || !report.OK() {
				t.Errorf("verify: %+v, %v", report, err)
			}
			if n := cloud.Metadata().Stats().TokenRequests; n != 1 {
				t.Errorf("%d tokens were asked for", n)
			}
		})
	}
}

// The failure that this project exists for: many clients at once, one token.
func TestManyStoresShareOneToken(t *testing.T) {
	cloud := start(t, emulator.Options{Metadata: &emulator.MetadataOptions{Latency: 100 * time.Millisecond}})
	url := cloud.StoreURL("state", "")
	var wg sync.WaitGroup
	for range 100 {
		s := open(t, url, nil)
		wg.Go(func() {
			j, err := s.Job("none")
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := j.Latest(t.Context()); !errors.Is(err, checkpoint.ErrNotFound) {
				t.Errorf("latest of no job: %v", err)
			}
		})
	}
	wg.Wait()
	if st := cloud.Metadata().Stats(); st.TokenRequests != 1 {
		t.Errorf("100 stores asked for %d tokens over %d connections", st.TokenRequests, st.Connections)
	}
}

// Sharing can be switched off: each store then fetches for itself.
func TestPrivateCredentials(t *testing.T) {
	cloud := start(t, emulator.Options{})
	for range 3 {
		s := open(t, cloud.StoreURL("state", ""), &tidemark.Options{PrivateCredentials: true})
		for name, err := range s.Jobs(t.Context()) {
			t.Errorf("in an empty store: job %q, %v", name, err)
		}
	}
	if n := cloud.Metadata().Stats().TokenRequests; n != 3 {
		t.Errorf("three stores with caches of their own asked for %d tokens", n)
	}
}

// A revoked token costs one refresh, not the checkpoint.
func TestRevokedTokenIsReplaced(t *testing.T) {
	cloud := start(t, emulator.Options{})
	s := open(t, cloud.StoreURL("state", ""), nil)
	save := func() error {
		_, err := s.Save(t.Context(), "j", func(w *checkpoint.Writer) error { return w.Add("a", strings.NewReader("1")) }, nil)
		return err
	}
	if err := save(); err != nil {
		t.Fatal(err)
	}
	cloud.Issuer().RevokeAll()
	if err := save(); err != nil {
		t.Errorf("after the token was revoked: %v", err)
	}
	if n := s.Credentials().Fetches; n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// The kinds of trouble of the real path, each told apart.
func TestTroubleIsToldApart(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name  string
		fault []emulator.Fault
		kind  error
		says  string
	}{
		{"403", []emulator.Fault{{Match: emulator.Match{Server: "storage"}, Then: emulator.Then{Effect: "status", Status: 403}}}, checkpoint.ErrPermission, ""},
		{"401 for ever", []emulator.Fault{{Match: emulator.Match{Server: "storage"}, Then: emulator.Then{Effect: "status", Status: 401}}}, checkpoint.ErrCredentials, ""},
		{"a proxy's page", []emulator.Fault{{Match: emulator.Match{Server: "storage"}, Then: emulator.Then{Effect: "html", Status: 502}}}, checkpoint.ErrUnavailable, "502"},
		{"a proxy's 404 page", []emulator.Fault{{Match: emulator.Match{Server: "storage"}, Then: emulator.Then{Effect: "html", Status: 404}}}, checkpoint.ErrUnavailable, ""},
		{"token refused", []emulator.Fault{{Match: emulator.Match{Server: "metadata"}, Then: emulator.Then{Effect: "status", Status: 400}}}, checkpoint.ErrCredentials, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud := start(t, emulator.Options{Faults: tt.fault})
			s, err := tidemark.Open(ctx, cloud.StoreURL("state", ""), &tidemark.Options{Options: checkpoint.Options{RetryFor: 300 * time.Millisecond}})
			if err == nil {
				t.Cleanup(func() { _ = s.Close() })
				var j *checkpoint.Job
				if j, err = s.Job("j"); err != nil {
					t.Fatal(err)
				}
				_, err = j.Latest(ctx)
			}
			var e *checkpoint.Error
			if !errors.Is(err, tt.kind) || !errors.As(err, &e) || e.Hint == "" || !strings.Contains(e.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.kind)
			}
		})
	}
}

func TestMissingBucketIsNamed(t *testing.T) {
	cloud := start(t, emulator.Options{})
	url := strings.Replace(cloud.StoreURL("state", ""), "gs://state", "gs://no-such-bucket", 1)
	s := open(t, url, nil)
	_, err := s.Acquire(t.Context(), "j", nil)
	if err == nil || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("acquire in a bucket that does not exist: %v", err)
	}
	j, err := s.Job("j")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Latest(t.Context()); errors.Is(err, checkpoint.ErrNotFound) && !strings.Contains(err.Error(), "bucket") {
		t.Errorf("a missing bucket looks like a job without checkpoints: %v", err)
	}
}

func TestNoCredentialsListsWhatWasTried(t *testing.T) {
	for _, name := range []string{"GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	s, err := tidemark.Open(ctx, "gs://b/p", nil)
	if err == nil {
		j, _ := s.Job("j")
		_, err = j.Latest(ctx)
		_ = s.Close()
	}
	if !errors.Is(err, checkpoint.ErrCredentials) && !errors.Is(err, checkpoint.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("no credentials look like no checkpoint: %v", err)
	}
}

// A client of the caller's own is used as it is, and no credentials are looked for.
func TestOwnHTTPClient(t *testing.T) {
	cloud := start(t, emulator.Options{Storage: &emulator.StorageOptions{Authorize: func(string) error { return nil }}})
	s := open(t, cloud.StoreURL("state", ""), &tidemark.Options{Options: checkpoint.Options{HTTPClient: http.DefaultClient}})
	if _, err := s.Acquire(t.Context(), "j", nil); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if n := cloud.Metadata().Stats().Requests; n != 0 {
		t.Errorf("the metadata server was asked %d times", n)
	}
}
