package demo

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func newSupervisor() *supervisor {
	return &supervisor{screen: &screen{out: io.Discard, elapsed: func() time.Duration { return 0 }}}
}

// newLife is one without a process that could run: this test's own, to have a number.
func newLife(t *testing.T) *life {
	t.Helper()
	p := &process{cmd: &exec.Cmd{}}
	var err error
	if p.cmd.Process, err = os.FindProcess(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	return &life{process: p}
}

func TestSupervisorCountsWhatWorkersTell(t *testing.T) {
	s := newSupervisor()
	s.current = 1
	l := newLife(t)
	for _, e := range []event{
		{Kind: eventRunning, Clients: 2, Credentials: "metadata"},
		{Kind: eventProgress, Sequence: 90, Clients: 2},
		{Kind: eventCommitted, Sequence: 80, Checkpoint: 1, Bytes: 100, NewBytes: 100, StoredBytes: 50, Clients: 2},
		{Kind: eventProgress, Sequence: 130, Clients: 3},
	} {
		s.take(l, e)
	}
	s.account(l)
	// The second worker finds a commit that the first one could not tell of.
	s.current = 2
	l = newLife(t)
	s.take(l, event{Kind: eventRunning, Sequence: 120, Checkpoint: 2, Bytes: 110, NewBytes: 20, StoredBytes: 10, Clients: 3})
	s.account(l)
	// The third restores the same one again.
	s.current = 3
	l = newLife(t)
	s.take(l, event{Kind: eventRunning, Sequence: 120, Checkpoint: 2, Bytes: 110, NewBytes: 20, StoredBytes: 10, Clients: 3})
	s.account(l)

	got := s.seen
	want := tallies{checkpoints: 2, restores: 2, bytes: 210, newBytes: 120, storedBytes: 60, done: 130, replayed: 20, last: 2, clients: 9}
	if got != want {
		t.Errorf("tallies %+v, want %+v", got, want)
	}
}

// A checkpoint that was reported as committed has to be there for the next worker.
func TestSupervisorNoticesALostCheckpoint(t *testing.T) {
	for _, found := range []uint64{0, 4} {
		s := newSupervisor()
		s.current, s.seen.last = 2, 5
		l := newLife(t)
		s.take(l, event{Kind: eventRunning, Sequence: 10, Checkpoint: found})
		if l.failure == nil || !strings.Contains(l.failure.Error(), "5 was committed: it is lost") {
			t.Errorf("checkpoint %d restored after 5 was committed: %v", found, l.failure)
		}
	}
}

func TestWorkerThatCannotStart(t *testing.T) {
	s := newSupervisor()
	s.dir, s.args = t.TempDir(), []string{"-no-such-flag-of-a-test-binary"}
	err := s.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error %v does not say what the worker wrote", err)
	}
}
