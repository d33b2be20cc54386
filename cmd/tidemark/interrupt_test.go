package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// stalledStorage serves everything but the upload of packs, which it takes note of and leaves hanging.
type stalledStorage struct {
	*emulator.Storage
	uploading chan struct{}
}

func (s *stalledStorage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/upload/") {
		select {
		case s.uploading <- struct{}{}:
		default:
		}
		<-r.Context().Done()
		return
	}
	s.Storage.ServeHTTP(w, r)
}

// TestInterruptedSave presses Ctrl-C during an upload that would hang for ever.
func TestInterruptedSave(t *testing.T) {
	storage := &stalledStorage{uploading: make(chan struct{}, 1)}
	cloud := emulator.Start(t, &emulator.Options{StorageHandler: func(authorize func(string) error) http.Handler {
		storage.Storage = emulator.NewStorage(&emulator.StorageOptions{Authorize: authorize})
		return storage
	}})
	storeURL := cloud.StoreURL("checkpoints", "flows")

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	save := exec.CommandContext(ctx, "tidemark", "save", stateDir(t, t.TempDir()), storeURL, "--job", "orders", "--json")
	save.Env = append(append(os.Environ(), "GORACE="+noSleepAtExit), cloud.Env()...)
	var stdout, stderr bytes.Buffer
	save.Stdout, save.Stderr = &stdout, &stderr
	if err := save.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-storage.uploading:
	case <-ctx.Done():
		t.Fatalf("no upload was started: %s", &stderr)
	}
	pressed := time.Now()
	if err := save.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := save.Wait()
	if took := time.Since(pressed); took > time.Second {
		t.Errorf("it took %s to stop", took)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("it ended with %v, want exit code %d\n%s", err, exitInterrupted, &stderr)
	}
	if !strings.Contains(stdout.String(), `"code":"interrupted"`) || !strings.HasPrefix(stderr.String(), "tidemark: interrupted\n") {
		t.Errorf("it said\n%s%s", &stdout, &stderr)
	}

	// Nothing is visible of it.
	ls := exec.CommandContext(ctx, "tidemark", "ls", storeURL, "--job", "orders")
	ls.Env = save.Env
	if err := ls.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitNotFound {
		t.Errorf("after the interrupted save ls ends with %v, want exit code %d", err, exitNotFound)
	}
}
