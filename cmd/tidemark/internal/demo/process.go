package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// maxStderr is how much of a worker's standard error is kept: the end, where a panic says what it was.
const maxStderr = 4 << 10

// process is a worker as its parent sees it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	events chan event // closed at the end of the worker's output
	stderr tail
	broken error // why reading events ended early; valid once events is closed
}

// startProcess runs this program again, with the arguments that make it call Worker.
func startProcess(args, env []string, a assignment) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	p := &process{cmd: exec.Command(self, args...), events: make(chan event)}
	p.cmd.Env = env
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	p.stdin = stdin
	go p.read(stdout)
	if err := json.NewEncoder(stdin).Encode(a); err != nil {
		p.kill()
		_ = p.wait(nil) // that it was killed is no news
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	return p, nil
}

func (p *process) read(stdout io.Reader) {
	defer close(p.events)
	dec := json.NewDecoder(stdout)
	for {
		var e event
		if err := dec.Decode(&e); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) { // a killed worker stops in the middle of a line
				p.broken = err
			}
			// Whatever else comes must not block the worker.
			_, _ = io.Copy(io.Discard, stdout)
			return
		}
		p.events <- e
	}
}

// kill ends the worker as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if the process has ended
}

// wait takes the remaining events and returns when nothing of the worker is left.
func (p *process) wait(take func(event)) error {
	for e := range p.events {
		if take != nil {
			take(e)
		}
	}
	err := p.cmd.Wait()
	_ = p.stdin.Close() // Wait has closed it if the worker ended by itself
	if err != nil {
		return fmt.Errorf("the worker ended: %w%s", err, p.stderr.text())
	}
	return p.broken
}

// pid is the worker's process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > maxStderr {
		t.b = t.b[len(t.b)-maxStderr:]
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.b)); s != "" {
		return "; it wrote: " + s
	}
	return ""
}
