package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// endless are the verbs whose examples run until somebody stops them, or for a minute; scripts and tests of their own run them.
var endless = map[string]bool{"emulator": true, "metadata": true, "demo": true, "token": true}

// TestExamplesWork runs the examples of every verb's help, in the order of the verbs, on one store.
func TestExamplesWork(t *testing.T) {
	const storeInHelp = "file:///tmp/checkpoints"
	store := "file://" + filepath.ToSlash(t.TempDir())
	t.Chdir(t.TempDir())
	stateDir(t, "state")
	root := newRootCommand(&app{out: io.Discard, err: io.Discard})
	seen := map[string]bool{}
	for _, cmd := range root.Commands() {
		if seen[cmd.Name()] {
			t.Errorf("%s is registered twice", cmd.Name())
		}
		seen[cmd.Name()] = true
		lines := strings.Split(cmd.Example, "\n")
		if cmd.Example == "" {
			t.Errorf("tidemark help %s has no example", cmd.Name())
			continue
		}
		for _, line := range lines {
			args := strings.Fields(line)
			if len(args) < 2 || args[0] != "tidemark" || args[1] != cmd.Name() {
				t.Errorf("example %q of %s is no call of it", line, cmd.Name())
				continue
			}
			if endless[cmd.Name()] {
				continue
			}
			for i := range args {
				args[i] = strings.Trim(strings.Replace(args[i], storeInHelp, store, 1), "'")
			}
			if code, _, stderr := tidemarkRun(t, args[1:]...); code != exitDone {
				t.Errorf("%s: exit code %d\n%s", strings.TrimSpace(line), code, stderr)
			}
		}
	}
}
