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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	for _, args := range [][]string{{"--frob"}, {"token"}, {"--cases", "coffee"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, bench.ErrUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}
