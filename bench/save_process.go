package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a child that runs this same program in a role and answers orders line by line.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	orders *json.Encoder
	out    *json.Decoder
	errors *tail
}

// startRole starts a program in a role; args follow its name.
func startRole(ctx context.Context, program, role string, env []string, dir string, args ...string) (_ *process, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append([]string{roleVariable + "=" + role}, env...)
	cmd.Dir = dir
	p := &process{cmd: cmd, errors: new(tail)}
	cmd.Stderr = p.errors
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.orders, p.out = json.NewEncoder(p.in), json.NewDecoder(out)
	return p, nil
}

// ask sends an order and waits for its answer.
func (p *process) ask(order, answer any) error {
	if err := p.orders.Encode(order); err != nil {
		return errors.Join(err, p.errors.err())
	}
	if err := p.out.Decode(answer); err != nil {
		return fmt.Errorf("a child process of the benchmark ended: %w", errors.Join(err, p.errors.err()))
	}
	return nil
}

// tell sends the server an order; answer may be nil.
func (p *process) tell(o serverOrder, answer *serverAnswer) error {
	if answer == nil {
		answer = new(serverAnswer)
	}
	if err := p.ask(o, answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("bench: the server: %s", answer.Error)
	}
	return nil
}

// stop ends the child's input and waits for it.
func (p *process) stop() error {
	err := p.in.Close()
	if waited := p.cmd.Wait(); waited != nil {
		return errors.Join(err, waited, p.errors.err())
	}
	return err
}

// tail keeps the end of what a child says on standard error.
type tail struct{ b bytes.Buffer }

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p)
	if over := t.b.Len() - tailSize; over > tailSize {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) err() error {
	text := strings.TrimSpace(t.b.String())
	if text == "" {
		return nil
	}
	return errors.New(text[max(0, len(text)-tailSize):])
}

// cleanEnv is what every contender's process has: no proxies, no credentials of this machine's user, and a metadata server on loopback.
func cleanEnv(p Place, metadata string) []string {
	env := []string{"HOME=" + p.Scratch, "XDG_CACHE_HOME=" + p.Scratch, "XDG_CONFIG_HOME=" + p.Scratch, "TMPDIR=" + p.Scratch,
		"GCE_METADATA_HOST=" + metadata, "NO_PROXY=*", "PATH=" + os.Getenv("PATH")}
	if n := os.Getenv("GOMAXPROCS"); n != "" {
		env = append(env, "GOMAXPROCS="+n)
	}
	return env
}

// usage is what a run of a child process cost.
type usage struct {
	wall float64
	cpu  cpu
	peak int64
}

// measured runs a program to its end. The peak of its memory is what the system noted for it, unless that is no more than what this process had when it
// started it, which Linux counts as the child's: then it is the highest of the samples.
func measured(cmd *exec.Cmd) (usage, error) {
	own := ownMemory("self").Peak
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	sampled := watchPeak(cmd.Process.Pid)
	err := cmd.Wait()
	u := usage{wall: time.Since(began).Seconds(), peak: sampled()}
	if s := cmd.ProcessState; s != nil {
		u.cpu = cpu{User: s.UserTime().Seconds(), System: s.SystemTime().Seconds()}
		if noted := peakOf(s); noted > own {
			u.peak = noted
		}
	}
	return u, err
}

// sampleEvery is how often a child's memory is looked at: often enough to see its peak, at a thousandth of a core.
const sampleEvery = 10 * time.Millisecond

// watchPeak watches the peak of a process's memory until the returned function is called, which tells it.
func watchPeak(pid int) func() int64 {
	over, told := make(chan struct{}), make(chan int64)
	go func() {
		ticks := time.NewTicker(sampleEvery)
		defer ticks.Stop()
		var peak int64
		name := fmt.Sprint(pid)
		for {
			select {
			case <-ticks.C:
				peak = max(peak, ownMemory(name).Peak)
			case <-over:
				told <- peak
				return
			}
		}
	}()
	return func() int64 {
		close(over)
		return <-told
	}
}
