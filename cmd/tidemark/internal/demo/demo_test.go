package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// small is a demo of little more than a second, with directories of its own.
func small(t *testing.T) *Options {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var csv bytes.Buffer
	csv.WriteString("date,from,to,n\n")
	for i := range 2000 {
		fmt.Fprintf(&csv, "2001-01-%02d,city%d,city%d,%d\n", 1+i/100, i%17, i%13, i*i%1000)
	}
	input := filepath.Join(t.TempDir(), "trips.csv")
	if err := os.WriteFile(input, csv.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Options{Input: input, Kills: 1, Pace: 1200 * time.Millisecond, Interval: 80 * time.Millisecond, WorkerArgs: []string{workerArg}}
}

// seedFor finds a seed whose one kill is at that moment, in the first half of small's records.
func seedFor(t *testing.T, at moment) uint64 {
	t.Helper()
	for seed := uint64(1); seed < 1000; seed++ {
		if k := planKills(rand.New(rand.NewPCG(seed, 0)), 1, 2000, at != whileCommitting)[0]; k.at == at && k.after < 1000 {
			return seed
		}
	}
	t.Fatalf("no seed kills %s", at)
	return 0
}

func checkNothingLeft(t *testing.T) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestKilledInACommitAndRestored(t *testing.T) {
	for _, c := range []struct {
		name, storage string
		at            moment
	}{
		{"before", StorageTidemark, beforeCommit},
		{"after", StorageTidemark, afterCommit},
		{"fake-gcs", StorageFakeGCS, afterCommit},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := small(t)
			// A user's own credentials, and the variable that does without, must not be found.
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "missing.json"))
			t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
			var story bytes.Buffer
			o.Storage, o.Seed, o.Log = c.storage, seedFor(t, c.at), &story
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Fatalf("%v\n%s", err, story.String())
			}
			if !r.OK || !r.ExactlyOnce || r.Records != 2000 || r.Kills != 1 || r.CommitKills != 1 || r.Restores != 1 || r.Workers != 2 {
				t.Errorf("result %+v\n%s", r, story.String())
			}
			if r.Digest != r.RestoredDigest || r.Digest != r.ReferenceDigest || r.State != (summary{Sequence: 2000, Keys: 17, Windows: 340, Pairs: 221}) {
				t.Errorf("state %+v, digests %s, %s, %s", r.State, r.Digest, r.RestoredDigest, r.ReferenceDigest)
			}
			// Each worker opened at least its writer, three readers and one monitor per checkpoint, and used the one token.
			if r.Clients < r.Checkpoints || r.Clients < 8 || r.TokenLives < 2 || r.TokenFetches < 2 || r.MostFetches > maxFetches || r.Credentials == "" {
				t.Errorf("clients %d, token fetches %d, lives %d, at most %d, from %q", r.Clients, r.TokenFetches, r.TokenLives, r.MostFetches, r.Credentials)
			}
			if r.Bytes <= r.NewBytes || r.NewBytes <= 0 || r.StoredBytes <= 0 {
				t.Errorf("bytes %d, new %d, stored %d", r.Bytes, r.NewBytes, r.StoredBytes)
			}
			if unheard := strings.Contains(story.String(), "never heard of"); unheard != (c.at == afterCommit) {
				t.Errorf("a commit that the worker never heard of: %t\n%s", unheard, story.String())
			}
			checkNothingLeft(t)
		})
	}
}

func TestStoreOfTheUsersOwn(t *testing.T) {
	o := small(t)
	dir := t.TempDir()
	o.Store, o.Seed = "file://"+filepath.ToSlash(dir), seedFor(t, whileCommitting)
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || r.CommitKills != 1 || r.TokenFetches != 0 || !strings.HasPrefix(r.Job, "demo-") {
		t.Errorf("result %+v", r)
	}
	if want := "rm -r " + filepath.Join(dir, r.Job); r.Remove != want {
		t.Errorf("removal %q, want %q", r.Remove, want)
	}
	if _, err := os.Stat(filepath.Join(dir, r.Job)); err != nil {
		t.Errorf("what is to be removed: %v", err)
	}
	checkNothingLeft(t)
}

// cancelOn ends a context when a text is written.
type cancelOn struct {
	text   string
	cancel context.CancelFunc
}

func (c *cancelOn) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return len(p), nil
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		during string
		pace   time.Duration
	}{
		{"SIGKILL", time.Second},
		// A job that would take too long for this test, were it not stopped.
		{"checkpoint 1", 2 * time.Minute},
		{"owns the job", 2 * time.Minute},
	} {
		o := small(t)
		ctx, cancel := context.WithCancel(t.Context())
		o.Seed, o.Pace, o.Log = seedFor(t, beforeCommit), c.pace, &cancelOn{c.during, cancel}
		began := time.Now()
		if r, err := Run(ctx, o); !errors.Is(err, context.Canceled) || time.Since(began) > time.Minute {
			t.Errorf("at %q, after %s: %+v, %v", c.during, time.Since(began), r, err)
		}
		cancel()
		checkNothingLeft(t)
	}
}

// A worker whose parent was killed must not go on writing checkpoints.
func TestWorkerEndsWithItsParent(t *testing.T) {
	b := newBroker(t, 100)
	p, err := startProcess([]string{workerArg}, os.Environ(), assignment{
		Store: "mem://orphan", Job: "j", Broker: b.address(), Schema: schema{Key: "n"}, Records: 100, Rate: 1, Interval: time.Second, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	running := false
	err = p.wait(func(e event) {
		if e.Kind == eventRunning {
			running = true
			_ = p.stdin.Close() // as the end of the parent does
		}
	})
	if !running || err == nil || !strings.Contains(err.Error(), errOrphan.Error()) {
		t.Errorf("running %t, error %v", running, err)
	}
}

func TestWrongOptions(t *testing.T) {
	for _, o := range []Options{
		{Kills: -1},
		{Storage: "s3"},
		{Store: "mem://x"},
		{Store: "nonsense"},
		{Store: "s4://bucket"},
	} {
		o.WorkerArgs = []string{workerArg}
		if _, err := Run(t.Context(), &o); !errors.Is(err, checkpoint.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	o := small(t)
	o.Kills = 1000
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "need at least 20020") {
		t.Errorf("error %v", err)
	}
}

func TestRemoval(t *testing.T) {
	for store, want := range map[string]string{
		"gs://bucket/a/b":  "gcloud storage rm --recursive gs://bucket/a/b/demo-1",
		"gs://bucket/a/b/": "gcloud storage rm --recursive gs://bucket/a/b/demo-1",
		"gs://bucket":      "gcloud storage rm --recursive gs://bucket/demo-1",
		"file:///data":     "rm -r " + filepath.Join("/data", "demo-1"),
	} {
		if got := removal(store, "demo-1"); got != want {
			t.Errorf("%s: %q, want %q", store, got, want)
		}
	}
}
