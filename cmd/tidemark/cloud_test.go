package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

type cloudKey struct{}

// scriptCloud is the `tidemark emulator` of one script, if it has one.
type scriptCloud struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ready  cloudReady
}

// startCloud runs `tidemark emulator ARG...` beside the script: cloud ARG... It sets what it takes to use it, $GS for a
// store in it and $NOBUCKET for one in a bucket that does not exist.
func startCloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: cloud ARG...")
	}
	cloud := ts.Value(cloudKey{}).(*scriptCloud)
	if cloud.cmd != nil {
		ts.Fatalf("there is a cloud already")
	}
	cmd := exec.Command("tidemark", append([]string{"emulator", "--bucket", "checkpoints"}, args...)...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), &cloud.stderr
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	cloud.cmd = cmd
	ts.Defer(func() {
		if cloud.cmd != nil {
			ts.Check(cloud.stop(os.Interrupt))
		}
	})
	if err := json.NewDecoder(stdout).Decode(&cloud.ready); err != nil {
		ts.Fatalf("the emulator's first line: %v", err)
	}
	for name, value := range cloud.ready.Env {
		ts.Setenv(name, value)
	}
	ts.Setenv("GS", cloud.ready.Stores[0])
	if s3 := cloud.ready.S3; s3 != nil {
		ts.Setenv("S3", s3.Stores[0])
	}
	ts.Setenv("NOBUCKET", "gs://no-such-bucket/flows?endpoint="+url.QueryEscape(cloud.ready.StorageURL))
}

// stop tells the emulator to end and expects that it does so without complaint.
func (c *scriptCloud) stop(signal os.Signal) error {
	cmd := c.cmd
	c.cmd = nil
	if err := cmd.Process.Signal(signal); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil || c.stderr.Len() > 0 {
		return fmt.Errorf("tidemark emulator: %w: %s", err, &c.stderr)
	}
	return nil
}

// stopCloud ends the script's emulator before its time: stop-cloud SIGNAL
func stopCloud(signals map[string]os.Signal) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 || signals[args[0]] == nil {
			ts.Fatalf("usage: stop-cloud SIGNAL")
		}
		ts.Check(ts.Value(cloudKey{}).(*scriptCloud).stop(signals[args[0]]))
	}
}

// setFaults replaces the cloud's rules by those of a file in JSON: faults FILE
func setFaults(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: faults FILE")
	}
	control := ts.Value(cloudKey{}).(*scriptCloud).ready.StorageURL + "/_emulator/faults"
	req, err := http.NewRequest(http.MethodPut, control, bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	ts.Check(err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	ts.Check(err)
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(res.Body.Close())
	if res.StatusCode != http.StatusOK {
		ts.Fatalf("set faults: %s: %s", res.Status, body)
	}
}
