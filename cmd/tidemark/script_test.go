package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// noSleepAtExit keeps processes built with -race from sleeping a second before they end.
const noSleepAtExit = "atexit_sleep_ms=0"

// TestScripts runs testdata/script: the command as its users meet it, in a process of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":        exits,
			"flip":         flip,
			"random":       random,
			"cloud":        startCloud,
			"stop-cloud":   stopCloud(map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}),
			"faults":       setFaults,
			"sidecar":      startSidecar,
			"ask":          askSidecar,
			"stop-sidecar": stopSidecar,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("STORE", "file://"+filepath.ToSlash(filepath.Join(env.WorkDir, "store")))
			// No script may find the credentials of the machine that it runs on.
			env.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", noSleepAtExit)
			env.Values[cloudKey{}] = &scriptCloud{}
			env.Values[sidecarKey{}] = &scriptSidecar{}
			return nil
		},
	})
}

// exits runs tidemark and checks its exit code: exits CODE ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("tidemark", args[1:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("tidemark: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// flip turns one bit in the middle of every file that matches a pattern: flip GLOB
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip GLOB")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("nothing matches %s", args[0])
	}
	for _, file := range files {
		ts.Check(flipMiddle(file))
	}
}

// random writes a file of hexadecimal digits that is the same in every run, to be too large for a manifest: random FILE BYTES
func random(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: random FILE BYTES")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), randomText(size), 0o600))
}

func randomText(size int) []byte {
	content := make([]byte, size/2)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	return hex.AppendEncode(nil, content)
}

func flipMiddle(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(content) == 0 {
		return fmt.Errorf("%s is empty", file)
	}
	content[len(content)/2] ^= 1
	if err := os.Chmod(file, 0o600); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}
