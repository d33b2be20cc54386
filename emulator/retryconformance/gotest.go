package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

const testName = "TestRetryConformance"

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// test runs the cases in the copy at dir and returns what became of each. What failing ones said goes to standard error.
func test(ctx context.Context, dir, storageURL string, verbose bool) (map[string]string, error) {
	names := make([]string, len(served))
	for i, name := range served {
		names[i] = regexp.QuoteMeta(name)
	}
	pattern := "^" + testName + "$/^http-.*-(" + strings.Join(names, "|") + `)-\d+$`
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-short", "-count=1", "-vet=off", "-mod=mod", "-timeout=5m", "-run", pattern, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STORAGE_EMULATOR_HOST="+storageURL, "STORAGE_EMULATOR_HOST_GRPC=", "GOWORK=off", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run the client's test: %w", err)
	}
	outcomes := make(map[string]string)
	said := make(map[string]string)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20) // a failing case may print what it read
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(os.Stderr, lines.Text())
			continue
		}
		name, isCase := strings.CutPrefix(e.Test, testName+"/")
		switch e.Action {
		case "output", "build-output":
			said[e.Test] += e.Output
		case "pass", "fail", "skip":
			if isCase {
				outcomes[name] = e.Action
			}
			if verbose || e.Action != "pass" {
				fmt.Fprint(os.Stderr, said[e.Test])
			}
			delete(said, e.Test)
		}
	}
	scanErr := lines.Err()
	_, _ = io.Copy(io.Discard, stdout) // or a test that still writes would never end
	err = cmd.Wait()
	switch {
	case scanErr != nil:
		return nil, fmt.Errorf("read what the client's test says: %w", scanErr)
	case err != nil && len(outcomes) == 0:
		return nil, fmt.Errorf("run the client's test: %w\n%s", err, said[""])
	}
	return outcomes, nil
}
