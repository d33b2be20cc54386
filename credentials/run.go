package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"
)

// runTime is how long a command may take by default. Tools that log in by the network take seconds.
const runTime = 30 * time.Second

// errFlood is the end of a command that prints more than any token is long.
var errFlood = fmt.Errorf("it printed more than %d bytes", maxBody)

// missing reports that there is no such program, or none that may be run.
func missing(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// run executes a program without a shell and returns what it printed. It is killed with everything that it
// has started when the context ends. What it prints to standard error goes nowhere: tools print tokens there.
func run(ctx context.Context, argv, environment []string) ([]byte, error) {
	var out bounded
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout = &out
	// A grandchild that keeps the pipe open must not keep us waiting.
	cmd.WaitDelay = time.Second
	killAll(cmd)
	err := cmd.Run()
	switch exit, exited := errors.AsType[*exec.ExitError](err); {
	case out.flooded:
		return nil, errFlood
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it was stopped: %w", ctx.Err())
	case exited && exit.ExitCode() >= 0:
		return nil, fmt.Errorf("it ended with exit code %d", exit.ExitCode())
	case err != nil:
		return nil, err
	}
	return out.text.Bytes(), nil
}

// bounded keeps what a command prints, up to a limit. It has no ReadFrom, by which a copy would pass the limit.
type bounded struct {
	text    bytes.Buffer
	flooded bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > maxBody {
		b.flooded = true
		return 0, errFlood
	}
	return b.text.Write(p)
}
