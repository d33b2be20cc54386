package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchToken(t *testing.T) {
	page := filepath.Join(t.TempDir(), "tokens.html")
	code, stdout, stderr := tidemarkRun(t, "bench", "token", "--quick", "--cases", "clients-1,clients-100", "--contenders", "tidemark,mutex",
		"--html", page, "--json")
	if code != exitDone {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var report struct {
		Environment struct{ Go string }
		Cases       []struct {
			Name    string
			Results []struct {
				Contender string
				Fetches   int
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Cases) != 2 || report.Environment.Go == "" {
		t.Fatalf("the report is %+v", report)
	}
	got := map[string]int{}
	for _, r := range report.Cases[1].Results {
		got[r.Contender] = r.Fetches
	}
	if got["tidemark"] != 1 || got["mutex"] != 100 {
		t.Errorf("fetches of 100 clients: %v", got)
	}
	if !strings.Contains(stderr, "[2/2] clients-100") {
		t.Errorf("progress: %q", stderr)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<svg") {
		t.Errorf("the page: %v", err)
	}
}

func TestBenchWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"bench"},
		{"bench", "coffee"},
		{"bench", "token", "save"},
		{"bench", "token", "--cases", "coffee"},
		{"bench", "token", "--contenders", "coffee"},
		{"bench", "token", "--quick", "--real-time"},
		{"bench", "token", "--repeat", "-1"},
	} {
		if code, _, stderr := tidemarkRun(t, args...); code != exitUsage || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
}
