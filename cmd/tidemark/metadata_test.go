package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

type sidecarKey struct{}

// scriptSidecar is the `tidemark metadata serve` of one script, if it has one.
type scriptSidecar struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ready  sidecarReady
}

// startSidecar runs `tidemark metadata serve ARG...` beside the script: sidecar ARG... It writes the line that it prints to
// the file ready.json, and sets $SIDECAR to its address.
func startSidecar(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: sidecar ARG...")
	}
	s := ts.Value(sidecarKey{}).(*scriptSidecar)
	if s.cmd != nil {
		ts.Fatalf("there is a sidecar already")
	}
	s.stderr.Reset()
	cmd := exec.Command("tidemark", append([]string{"metadata", "serve"}, args...)...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), &s.stderr
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "GORACE=" + noSleepAtExit}
	for _, name := range []string{"GCE_METADATA_HOST", "GOOGLE_APPLICATION_CREDENTIALS"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s.cmd = cmd
	ts.Defer(func() {
		if s.cmd != nil {
			ts.Check(s.stop())
		}
	})
	s.ready = sidecarReady{}
	if err := json.NewDecoder(stdout).Decode(&s.ready); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s.cmd = nil
		ts.Fatalf("the sidecar's first line: %v: %s", err, &s.stderr)
	}
	line, err := json.Marshal(s.ready)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ready.json"), line, 0o600))
	ts.Setenv("SIDECAR", s.ready.Address)
}

func (s *scriptSidecar) stop() error {
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("tidemark metadata serve: %w: %s", err, &s.stderr)
	}
	return nil
}

// stopSidecar ends the sidecar, leaves its log in the file sidecar.log, and fails unless it ended well: stop-sidecar
func stopSidecar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: stop-sidecar")
	}
	s := ts.Value(sidecarKey{}).(*scriptSidecar)
	ts.Check(s.stop())
	ts.Check(os.WriteFile(ts.MkAbs("sidecar.log"), s.stderr.Bytes(), 0o600))
}

// askSidecar sends a request to the sidecar and checks its status: ask STATUS PATH [Header:value...]. The body goes to the file
// body. A PATH that starts with status: goes to the address of --status.
func askSidecar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ask STATUS PATH [Header:value...]")
	}
	s := ts.Value(sidecarKey{}).(*scriptSidecar)
	base, path := s.ready.URL, args[1]
	if rest, ok := strings.CutPrefix(path, "status:"); ok {
		base, path = s.ready.StatusURL, rest
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if socket, ok := strings.CutPrefix(s.ready.Address, "unix:"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", ts.MkAbs(socket))
		}
	}
	req, err := http.NewRequest(http.MethodGet, base+path, nil)
	ts.Check(err)
	req.Header.Set("Metadata-Flavor", "Google")
	for _, line := range args[2:] {
		name, value, _ := strings.Cut(line, ":")
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	res, err := client.Do(req)
	ts.Check(err)
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(res.Body.Close())
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
	if fmt.Sprint(res.StatusCode) != args[0] {
		ts.Fatalf("%s: HTTP %d, want %s: %s", path, res.StatusCode, args[0], body)
	}
}

// TestOperatorsGuide holds docs/sidecar.md against the program: its manifests are YAML, and the commands in it are understood.
func TestOperatorsGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`tidemark (metadata serve .*?)(?: &)?\n`).FindAllStringSubmatch(string(text), -1)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		var manifest any
		if err := yaml.Unmarshal([]byte(block[1]), &manifest); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
		for _, args := range regexp.MustCompile(`args: (\[metadata.*\])`).FindAllStringSubmatch(block[1], -1) {
			var words []string
			if err := yaml.Unmarshal([]byte(args[1]), &words); err != nil {
				t.Error(err)
			}
			commands = append(commands, []string{"", strings.Join(words, " ")})
		}
	}
	if len(commands) < 5 {
		t.Fatalf("the guide has only %d commands", len(commands))
	}
	for _, command := range commands {
		cmd, flags, err := newRootCommand(&app{}).Find(strings.Fields(command[1]))
		if err != nil || cmd.Name() != "metadata" {
			t.Errorf("%s: %v", command[1], err)
			continue
		}
		if err := cmd.ParseFlags(flags); err != nil {
			t.Errorf("%s: %v", command[1], err)
		}
	}
}
