package filestore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// A contender is this test binary, started again in a process of its own.
const (
	contendEnv = "FILESTORE_CONTEND"
	keys       = 150
	increments = 40
)

type contention struct {
	Won    []string // the keys that this process created
	Swaps  int      // successful increments of the counter
	Failed string
}

// contend does a contender's part if this process is one.
func contend() bool {
	dir := os.Getenv(contendEnv)
	if dir == "" {
		return false
	}
	var c contention
	if err := c.run(context.Background(), dir); err != nil {
		c.Failed = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(c)
	return true
}

func (c *contention) run(ctx context.Context, dir string) error {
	s, err := Open(dir, nil)
	if err != nil {
		return err
	}
	me := []byte(strconv.Itoa(os.Getpid()))
	for i := range keys {
		key := fmt.Sprintf("create/%d/%d", i/10, i)
		_, err := s.Put(ctx, key, me, objstore.Absent)
		switch {
		case err == nil:
			c.Won = append(c.Won, key)
		case objstore.KindOf(err) != objstore.KindPrecondition:
			return err
		}
		// A directory that all processes fill and empty again and again.
		own := fmt.Sprintf("churn/%d/%s", i%2, me)
		if _, err := s.Put(ctx, own, me, objstore.Absent); err != nil {
			return fmt.Errorf("in a directory that comes and goes: %w", err)
		}
		if err := s.Delete(ctx, own); err != nil {
			return err
		}
	}
	for c.Swaps < increments {
		body, version, err := s.Get(ctx, "HEAD", 100)
		if err != nil {
			return err
		}
		count, _, _ := strings.Cut(string(body), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			return err
		}
		_, err = s.Put(ctx, "HEAD", fmt.Appendf(nil, "%d %s", n+1, rand.Text()), version)
		switch {
		case err == nil:
			c.Swaps++
		case objstore.KindOf(err) != objstore.KindPrecondition:
			return err
		}
	}
	return s.Close()
}

func TestProcessesRace(t *testing.T) {
	const processes = 4
	s := openTemp(t)
	if _, err := s.Put(t.Context(), "HEAD", []byte("0 start"), objstore.Absent); err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	outputs := make([]bytes.Buffer, processes)
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), contendEnv+"="+s.dir)
		cmd.Stdout, cmd.Stderr = &outputs[i], os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	winner := map[string]string{}
	for i, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		var c contention
		if err := json.Unmarshal(outputs[i].Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.Failed != "" || c.Swaps != increments {
			t.Errorf("process %d: %d swaps, %s", i, c.Swaps, c.Failed)
		}
		for _, key := range c.Won {
			if other, taken := winner[key]; taken {
				t.Errorf("%s was won by %s and by %d", key, other, cmd.Process.Pid)
			}
			winner[key] = strconv.Itoa(cmd.Process.Pid)
		}
	}
	if len(winner) != keys {
		t.Errorf("%d of %d keys have a winner", len(winner), keys)
	}
	for key, pid := range winner {
		if body, _, err := s.Get(t.Context(), key, 100); err != nil || string(body) != pid {
			t.Errorf("%s holds %q, %v; %s won", key, body, err, pid)
		}
	}
	body, _, err := s.Get(t.Context(), "HEAD", 100)
	if want := fmt.Sprintf("%d ", processes*increments); err != nil || !strings.HasPrefix(string(body), want) {
		t.Errorf("the counter is at %q, %v; %swere acknowledged", body, err, want)
	}
	for info, err := range s.List(t.Context(), "churn/") {
		t.Errorf("left behind: %v, %v", info.Key, err)
	}
	if entries, err := os.ReadDir(s.dir + "/" + temps); err != nil || len(entries) != 0 {
		t.Errorf("temporary files left: %v, %v", entries, err)
	}
}

// TestKilledWriterLeavesNothing kills writers at random moments: every object is whole, and the next Open sweeps.
func TestKilledWriterLeavesNothing(t *testing.T) {
	s := openTemp(t)
	if _, err := s.Put(t.Context(), "HEAD", []byte("0 start"), objstore.Absent); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+15*i)*time.Millisecond)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), contendEnv+"="+s.dir)
		_ = cmd.Run() // killed, or done already
		cancel()
	}
	// A lock of a dead process is free, and its last increment happened or did not.
	body, version, err := s.Get(t.Context(), "HEAD", 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "HEAD", append(body, '!'), version); err != nil {
		t.Error(err)
	}
	for info, err := range s.List(t.Context(), "create/") {
		if err != nil || info.Size == 0 {
			t.Errorf("%+v, %v", info, err)
		}
	}
	again, err := Open(s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(s.dir + "/" + temps); err != nil || len(entries) != 0 {
		t.Errorf("temporary files left: %v, %v", entries, err)
	}
}
