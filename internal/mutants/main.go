// Command mutants asks whether the simulation of checkpoint would notice: it takes one guard of the code away at a time and counts the seeds that fail.
//
//	go run ./internal/mutants                   all of them, in minutes
//	go run ./internal/mutants -seeds 10000      with more seeds for each
//	go run ./internal/mutants -run fence        those whose description matches
//
// Nothing in the working tree is touched: each mutant is an overlay of the build. It fails if a mutant that has to be caught is not, if one is that nothing is
// expected to catch, and if the code that a mutant changes is not there any more.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// patience bounds the seeds of one mutant: code without a guard may run in circles.
const patience = 3 * time.Minute

func main() {
	seeds := flag.Int("seeds", 2000, "how many seeds each mutant gets")
	match := flag.String("run", "", "try only mutants whose file and description match this regular expression")
	flag.Parse()
	if err := run(*seeds, *match); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(seeds int, match string) error {
	wanted, err := regexp.Compile(match)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var wrong int
	for _, m := range mutants {
		if !wanted.MatchString(m.file + " " + m.what) {
			continue
		}
		bin, err := m.build(root, dir)
		if err != nil {
			fmt.Println(err)
			wrong++
			continue
		}
		caught := try(bin, seeds)
		verdict := "caught: " + caught
		switch {
		case caught == "" && m.why == "":
			verdict, wrong = "NOT CAUGHT", wrong+1
		case caught == "":
			verdict = "not caught, because " + m.why
		case m.why != "" && !strings.HasPrefix(m.why, rare):
			verdict, wrong = "UNEXPECTED: "+verdict, wrong+1
		}
		fmt.Printf("%-32s %s\n%32s %s\n", m.file, m.what, "", verdict)
	}
	if wrong > 0 {
		return fmt.Errorf("%d mutants are not what the list says", wrong)
	}
	return nil
}

func moduleRoot() (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// mutate returns the file without the guard.
func (m mutant) mutate(root string) (path string, body []byte, err error) {
	path = filepath.Join(root, "checkpoint", filepath.FromSlash(m.file))
	b, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	if n := bytes.Count(b, []byte(m.old)); n != 1 {
		return "", nil, fmt.Errorf("%s: what the mutant %q changes is there %d times, not once: the list has to follow the code", m.file, m.what, n)
	}
	return path, bytes.Replace(b, []byte(m.old), []byte(m.new), 1), nil
}

// build makes the test binary of checkpoint without the guard.
func (m mutant) build(root, dir string) (bin string, err error) {
	path, body, err := m.mutate(root)
	if err != nil {
		return "", err
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(changed, body, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return "", err
	}
	bin = filepath.Join(dir, "checkpoint.test")
	c := exec.CommandContext(context.Background(), "go", "test", "-vet=off", "-ldflags=-s -w", "-overlay="+overlay, "-c", "-o", bin, "./checkpoint")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %s: %w\n%s", m.file, m.what, err, out)
	}
	return bin, nil
}

var counted = regexp.MustCompile(`(?m)^\s*\S+: (\d+) of \d+ seeds failed.*$`)

// try runs the simulation and returns how it noticed; empty if it did not.
func try(bin string, seeds int) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, bin, "-test.run=TestSimulation$", "-sim.count", fmt.Sprintf("-sim.seeds=%d", seeds))
	out, err := c.CombinedOutput()
	switch found := counted.FindSubmatch(out); {
	case ctx.Err() != nil:
		return fmt.Sprintf("it did not end within %s", patience)
	case found != nil && string(found[1]) != "0":
		line := strings.TrimSpace(string(found[0]))
		return line[strings.Index(line, ": ")+2:]
	case err != nil:
		first, _, _ := bytes.Cut(out, []byte("\n"))
		return fmt.Sprintf("the test died: %s", first)
	}
	return ""
}
