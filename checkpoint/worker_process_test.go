package checkpoint

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// workerEnv makes this test binary a worker: it holds the store's directory, the assignment, the worker's name, and how it ends.
const workerEnv = "TIDEMARK_TEST_WORKER"

// beWorker is what the processes of TestWorkersInProcesses run instead of tests.
func beWorker(env string) error {
	f := strings.Split(env, "|")
	assignment, err := hex.DecodeString(f[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := Open(ctx, "file://"+f[0], nil)
	if err != nil {
		return err
	}
	j, err := s.Job("j")
	if err != nil {
		return err
	}
	w, err := j.Join(ctx, assignment, f[2])
	if err != nil {
		return err
	}
	if err := w.Add(f[2], bytes.NewReader(noise(uint64(f[2][0]), 20<<20))); err != nil {
		return err
	}
	handle, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	if f[3] == "dies" { // everything is stored, and nobody will ever know
		p, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		if err := p.Kill(); err != nil {
			return err
		}
		select {} // the signal is on its way
	}
	fmt.Printf("handle=%x\n", handle)
	return nil
}

// Three workers in processes of their own; one is killed while it saves and started again.
func TestWorkersInProcesses(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	s, err := Open(ctx, "file://"+dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := mustAcquire(t, s, nil)
	c := mustBegin(t, o, files{"source": []byte("17")})
	assignment := mustAssignment(t, c)
	run := func(name, end string) (handle []byte, err error) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%x|%s|%s", workerEnv, dir, assignment, name, end))
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), "handle=")
		line, _, _ := strings.Cut(rest, "\n")
		return hex.DecodeString(line)
	}
	if _, err := run("b", "dies"); err == nil {
		t.Fatal("the worker did not die")
	}
	want := files{"source": []byte("17")}
	for _, name := range []string{"a", "b", "c"} {
		handle, err := run(name, "finishes")
		if err != nil {
			t.Fatal(err)
		}
		mustTake(t, c, handle)
		want[name] = noise(uint64(name[0]), 20<<20)
	}
	mustCommit(t, c)
	if d := want.diff(restored(t, mustFind(t, o.Job, "latest"))); d != "" {
		t.Error(d)
	}
	report, err := o.Collect(ctx, nil)
	if err != nil || report.DeletedObjects == 0 {
		t.Errorf("what the dead worker left was not collected: %+v, %v", report, err)
	}
	r, err := o.Verify(ctx, &VerifyOptions{Data: true})
	if err != nil || !r.OK() {
		t.Errorf("%v %+v", err, r.Problems)
	}
}
