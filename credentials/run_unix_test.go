//go:build unix

package credentials

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A command that hangs is killed with what it has started, whoever holds its output open.
func TestCommandHangs(t *testing.T) {
	held := filepath.Join(t.TempDir(), "held")
	if err := syscall.Mkfifo(held, 0o600); err != nil {
		t.Fatal(err)
	}
	dead := make(chan error, 1)
	go func() { // reads the end of the pipe when nobody is left who holds it
		pipe, err := os.Open(held)
		if err == nil {
			defer func() { _ = pipe.Close() }()
			_, err = io.Copy(io.Discard, pipe)
		}
		dead <- err
	}()
	src, err := Command([]string{"/bin/sh", "-c", "exec 3>" + held + "; sleep 600 & sleep 600"}, &CommandOptions{Allow: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = src.Fetch(ctx)
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	select {
	case err := <-dead:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("what the command has started still runs")
	}
}
