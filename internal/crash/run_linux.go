package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a program to run.
type Command struct {
	Args   []string // the program, looked for as a shell does, and its arguments
	Env    []string
	Output io.Writer // takes what it prints, on both streams; nil: nobody does
}

// End is how a program ended.
type End struct {
	Killed bool
	Code   int // of its exit, if it was not killed
	Calls  int // that changed files, begun
}

// Run runs a program to its end, and calls at before and after each of its system calls that change a file, of all threads together. The thread that calls is
// stopped meanwhile, others go on. When at returns false, the program is killed with SIGKILL on the spot: of a call that has not begun, nothing happens. The end of ctx kills it too, and is an
// error.
func Run(ctx context.Context, c Command, at func(Call) (goOn bool)) (End, error) {
	// Every request of a tracer has to come from the thread that started the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, copied, err := c.start()
	if err != nil {
		return End{}, err
	}
	t := &tracer{pid: p.Pid, at: at, threads: map[int]*thread{}}
	// The tracer waits in the kernel, where no context reaches it; a dead program does. It is not reaped before stop has returned.
	reaped := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			_ = p.Kill() // ended already, at worst
		case <-reaped:
		}
	}()
	err = t.loop()
	close(reaped)
	<-stopped
	_ = p.Release() // it was waited for by the tracer
	<-copied
	if ctx.Err() != nil {
		return t.end, fmt.Errorf("run %q: %w", c.Args, context.Cause(ctx))
	}
	if err != nil {
		return t.end, fmt.Errorf("trace %q: %w", c.Args, err)
	}
	return t.end, nil
}

// start starts the program stopped at its first instruction. copied is closed when all of its output has been taken.
func (c Command) start() (p *os.Process, copied chan struct{}, err error) {
	path, err := exec.LookPath(c.Args[0])
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p, err = os.StartProcess(path, c.Args, &os.ProcAttr{Env: c.Env, Files: []*os.File{nil, w, w}, Sys: &unix.SysProcAttr{Ptrace: true, Setpgid: true}})
	_ = w.Close() // the child has its own
	copied = make(chan struct{})
	if err != nil {
		_ = r.Close() // nothing was read
		return nil, nil, err
	}
	go func() {
		defer close(copied)
		out := c.Output
		if out == nil {
			out = io.Discard
		}
		_, _ = io.Copy(out, r) // whoever asserts on the output sees what is missing
		_ = r.Close()
	}()
	return p, copied, nil
}

// tracer follows one program and its threads.
type tracer struct {
	pid     int
	at      func(Call) bool
	threads map[int]*thread
	end     End
}

type thread struct {
	call *Call // that it is in; nil: none, or one that changes no file
}

// options: calls are told from signals, new threads are traced, and no program outlives its tracer.
const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC |
	unix.PTRACE_O_EXITKILL

const callStop = unix.SIGTRAP | 0x80

func (t *tracer) loop() error {
	for first := true; ; {
		var ws unix.WaitStatus
		// By its process group: other children are others' to wait for.
		pid, err := unix.Wait4(-t.pid, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if ws.Exited() || ws.Signaled() {
			delete(t.threads, pid)
			if pid == t.pid {
				t.end.Killed, t.end.Code = ws.Signaled(), ws.ExitStatus()
				return nil
			}
			continue
		}
		if first {
			first = false
			if err := unix.PtraceSetOptions(pid, options); err != nil {
				return errors.Join(fmt.Errorf("set options: %w", err), unix.Kill(t.pid, unix.SIGKILL))
			}
		}
		signal, err := t.stopped(pid, ws)
		if err != nil {
			return errors.Join(err, unix.Kill(t.pid, unix.SIGKILL))
		}
		_ = unix.PtraceSyscall(pid, signal) // a thread that was killed meanwhile is past resuming; wait tells its end
	}
}

// stopped handles one stop, and returns the signal to go on with.
func (t *tracer) stopped(pid int, ws unix.WaitStatus) (signal int, err error) {
	th, known := t.threads[pid]
	if !known {
		th = new(thread)
		t.threads[pid] = th
	}
	switch sig := ws.StopSignal(); {
	case sig == callStop:
		return 0, t.callStop(pid, th)
	case sig == unix.SIGTRAP, sig == unix.SIGSTOP && !known:
		return 0, nil // an event of tracing, or the stop in which a new thread begins
	default:
		return int(sig), nil
	}
}

func (t *tracer) callStop(pid int, th *thread) error {
	info, err := syscallInfo(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil // it was killed just now
	}
	if err != nil {
		return err
	}
	c := th.call
	th.call = nil
	switch {
	case info.op == opEntry:
		if c = t.describe(info); c == nil {
			return nil
		}
		t.end.Calls++
		c.N = t.end.Calls
		th.call = c
	case info.op != opExit || c == nil:
		return nil
	default:
		c.Done, c.Failed = true, info.failed()
	}
	if !t.at(*c) {
		return unix.Kill(t.pid, unix.SIGKILL) // it cannot have been reaped yet
	}
	return nil
}

// patience bounds a program's time where the caller's context does not.
const patience = time.Minute

// Timeout is a context for one run.
func Timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, fmt.Errorf("the program takes longer than %s", patience))
}
