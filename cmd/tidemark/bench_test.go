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

func TestBenchSave(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "saves.html")
	code, stdout, stderr := tidemarkRun(t, "bench", "save", "restore", "--quick", "--cases", "A,B", "--contenders", "tidemark", "--delays", "0s",
		"--dir", dir, "--out", filepath.Join(dir, "out"), "--cpuprofile", filepath.Join(dir, "profiles"), "--html", page, "--json")
	if code != exitDone {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var report struct {
		Cases []struct {
			Verb, Name string
			Results    []struct {
				Contender, Error string
				Median           struct {
					Wall float64
					In   int64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	sent := map[string]int64{}
	for _, c := range report.Cases {
		if len(c.Results) != 1 || c.Results[0].Error != "" || c.Results[0].Median.Wall <= 0 {
			t.Errorf("%s %s: %+v", c.Verb, c.Name, c.Results)
			continue
		}
		sent[c.Verb+" "+c.Name] = c.Results[0].Median.In
	}
	if sent["save A"] < 2<<20 || sent["save B"] <= 0 || sent["save B"] > sent["save A"]/10 || sent["restore B"] != 0 {
		t.Errorf("bytes sent: %v", sent)
	}
	code, markdown, stderr := tidemarkRun(t, "bench", "save", "--merge", filepath.Join(dir, "out"), "--markdown")
	if code != exitDone || !strings.Contains(markdown, "### restore A\n") {
		t.Errorf("merged, exit code %d: %s%s", code, markdown, stderr)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<svg") {
		t.Errorf("the page: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "profiles", "tidemark-save-A.pprof")); err != nil || info.Size() == 0 {
		t.Errorf("the profile: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "tidemark-bench-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
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
		{"bench", "token", "--size", "1GiB"},
		{"bench", "save", "save"},
		{"bench", "save", "--cases", "coffee"},
		{"bench", "restore", "--cases", "C"},
		{"bench", "save", "--contenders", "coffee"},
		{"bench", "save", "--size", "much"},
		{"bench", "save", "--size", "4KiB"},
		{"bench", "save", "--real-time"},
		{"bench", "save", "--merge", "nothing"},
		{"bench", "token", "--out", "results"},
		{"bench", "soak", "--for", "1s"},
		{"bench", "soak", "--for", "soon"},
		{"bench", "soak", "--quick"},
		{"bench", "soak", "twice"},
	} {
		if code, _, stderr := tidemarkRun(t, args...); code != exitUsage || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
}
