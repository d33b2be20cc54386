package demo

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// tell is a whole story, with every kind of line.
func tell(s *screen, r *Result) {
	now := time.Duration(0)
	s.elapsed = func() time.Duration { now += 1250 * time.Millisecond; return now }
	s.header(scene{
		records: 20_000, name: "flights.csv", about: "flights", storage: "embedded", tokens: "a token lives 20 s", job: testSchema.String(),
		kills: 1, commitKills: 1, seed: 42, interval: 400 * time.Millisecond, publish: 812 * time.Millisecond,
	})
	s.started(1, 4711)
	s.committed(event{Sequence: 1200, Checkpoint: 1, Bytes: 92 << 10, NewBytes: 92 << 10, Took: 21 * time.Millisecond})
	s.committed(event{Sequence: 12_000, Checkpoint: 2, Bytes: 3 << 20, NewBytes: 700, Took: 1021 * time.Millisecond})
	s.killed(1, 12_345, afterCommit)
	s.restored(2, event{Sequence: 12_300, Epoch: 2, Checkpoint: 3, Bytes: 3 << 20, Took: 17 * time.Millisecond}, 45, true)
	s.finished(event{Sequence: 20_000})
	s.compared(20_000, 218*time.Millisecond)
	s.verdict(r)
}

func TestScreen(t *testing.T) {
	good := Result{
		OK: true, Records: 20_000, Checkpoints: 3, Kills: 1, CommitKills: 1, Restores: 1, Replayed: 45, ExactlyOnce: true,
		TokenFetches: 4, TokenLives: 2, MostFetches: 2, Clients: 17, Workers: 2, Bytes: 7 << 20, NewBytes: 1 << 20, StoredBytes: 300 << 10,
		State:  summary{Sequence: 20_000, Keys: 220, Windows: 6901, Pairs: 2977},
		Digest: "d1ca6bbc", RestoredDigest: "d1ca6bbc", ReferenceDigest: "d1ca6bbc", Seconds: 17.25, Credentials: "metadata", counted: true,
	}
	bad := good
	bad.OK, bad.ExactlyOnce, bad.Digest, bad.counted = false, false, "ffffffff", false
	bad.Problems = []string{"the states differ from line 2 on:\n  never killed  a\n  killed        b"}
	bad.Remove = "rm -r /state/demo-1"
	var b bytes.Buffer
	tell(&screen{out: &b}, &good)
	b.WriteString("\n--- a run that went wrong, in colours, quiet ---\n")
	tell(&screen{out: &b, colour: true, quiet: true}, &bad)

	const golden = "testdata/screen.golden"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the screen shows\n%s\nwant\n%s", b.Bytes(), want)
	}
}

// brokenPipe fails from the second write on.
type brokenPipe struct{ writes int }

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.writes++; p.writes > 1 {
		return 0, errors.New("broken pipe")
	}
	return len(b), nil
}

func TestScreenKeepsItsFirstError(t *testing.T) {
	p := &brokenPipe{}
	s := &screen{out: p, elapsed: func() time.Duration { return 0 }}
	for range 5 {
		s.started(1, 1)
	}
	if s.err == nil || p.writes != 2 {
		t.Errorf("error %v after %d writes", s.err, p.writes)
	}
}

func TestFigures(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 20_000: "20,000", 1_234_567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 3 << 30: "3.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 processes", 1: "1 process", 2: "2 processes"} {
		if got := counted(n, "process"); got != want {
			t.Errorf("counted(%d) = %q, want %q", n, got, want)
		}
	}
	if got := counted(1000, "fetch"); got != "1,000 fetches" {
		t.Errorf("counted = %q", got)
	}
}
