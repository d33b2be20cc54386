package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/bench"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	bench.Child(savers())
	// Linked in by the storage client, started by its package's init, ended by nobody.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// TestSaves lets the contenders that need no installation save and restore a little: that what they restored is what was saved is checked by the benchmark.
func TestSaves(t *testing.T) {
	kept := t.TempDir()
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"--bench", "save,restore", "--quick", "--json", "--delays", "0s", "--cases", "A,D", "--contenders", "tidemark,loop-*",
		"--dir", t.TempDir(), "--out", kept}, &out, &progress)
	if err != nil {
		t.Fatal(err)
	}
	var merged bytes.Buffer
	if err := run(t.Context(), []string{"--bench", "save", "--merge", kept, "--markdown"}, &merged, &progress); err != nil || !strings.Contains(merged.String(), "loop-gocloud  ") {
		t.Errorf("merged, %v: %s", err, merged.String())
	}
	var report bench.SaveReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	writes := map[string]int64{}
	for _, about := range report.Savers {
		if about.Absent != "" {
			t.Errorf("%s is absent: %s", about.Name, about.Absent)
		}
	}
	for _, c := range report.Cases {
		for _, r := range c.Results {
			if r.Error != "" || len(r.Rounds) == 0 {
				t.Errorf("%s %s, %s: not measured: %s", c.Verb, c.Name, r.Saver, r.Error)
			}
			writes[c.Verb+" "+c.Name+" "+r.Saver] = r.Median.ClassA
		}
	}
	if len(report.Cases) != 4 {
		t.Fatalf("%d cases, want 4", len(report.Cases))
	}
	for _, peer := range []string{"loop-default", "loop-chunk0", "loop-gocloud"} {
		if a, d := writes["save A "+peer], writes["save D "+peer]; a != 64 || d != int64(report.Settings.Files) {
			t.Errorf("%s wrote %d and %d objects, one for a file is %d and %d", peer, a, d, 64, report.Settings.Files)
		}
	}
	if d := writes["save D tidemark"]; d < 2 || d > 4 {
		t.Errorf("tidemark wrote %d objects for %d small files", d, report.Settings.Files)
	}
	if _, measured := writes["save A loop-transfer"]; measured {
		t.Error("loop-transfer has a figure for a save, which it cannot do")
	}
}

// TestAbsentPeer is about a peer that cannot be had: it is named with the reason, and nothing else is.
func TestAbsentPeer(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no restic here
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"--bench", "save", "--quick", "--delays", "0s", "--cases", "D", "--contenders", "restic,loop-chunk0", "--dir", t.TempDir()}, &out, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "ABSENT, restic is not installed") || !strings.Contains(text, "loop-chunk0  ") {
		t.Errorf("the report is\n%s", text)
	}
}

// TestPeers runs every peer through short cases and asserts what was counted: that each is set up as a cache that works.
func TestPeers(t *testing.T) {
	// go/auth looks for files before it asks the metadata server.
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	page := filepath.Join(t.TempDir(), "page.html")
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"--quick", "--json", "--html", page, "--cases", "hot-1,authorize,cold,clients-100,throttle"}, &out, &progress)
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	fetches := map[string]map[string]int{}
	for _, c := range report.Cases {
		fetches[c.Name] = map[string]int{}
		for _, r := range c.Results {
			if r.Error != "" {
				t.Errorf("%s, %s: %s", c.Name, r.Contender, r.Error)
			}
			if r.Fetches != nil {
				fetches[c.Name][r.Contender] = *r.Fetches
			}
			if c.Name == "cold" && *r.Errors != 0 {
				t.Errorf("cold, %s: %d callers who had time got no token: %s", r.Contender, *r.Errors, r.LastError)
			}
		}
	}
	for _, peer := range []string{"goauth", "goauth-blocking", "aws", "smithy", "azcore"} {
		if n := fetches["clients-100"][peer]; n != 100 {
			t.Errorf("%s: 100 clients made %d fetches", peer, n)
		}
		if n := fetches["cold"][peer]; n < 1 || n > 20 {
			t.Errorf("%s: 1,000 callers of one client made %d fetches", peer, n)
		}
		if n := fetches["throttle"][peer]; n <= 3 {
			t.Errorf("%s: it asks a server that throttles %d times; does it see Retry-After now?", peer, n)
		}
	}
	if n := fetches["clients-100"]["tidemark"]; n != 1 {
		t.Errorf("tidemark: 100 clients made %d fetches", n)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "goauth-blocking") {
		t.Errorf("the page: %v", err)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"--frob"}, {"token"}, {"--cases", "coffee"}, {"--bench", "coffee"}, {"--bench", "save", "--cases", "coffee"},
		{"--bench", "save", "--size", "much"}, {"--bench", "save", "--merge", "nothing"}, {"--bench", "save", "--delays", "long"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, bench.ErrUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}
