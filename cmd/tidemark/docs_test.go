package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReferenceIsComplete holds docs/cli.md against the program: every verb, every flag, every field of JSON.
func TestReferenceIsComplete(t *testing.T) {
	reference := readReference(t)
	root := newRootCommand(&app{})
	for _, cmd := range root.Commands() {
		if !regexp.MustCompile(`(?m)^###.*\b` + cmd.Name() + `\b`).MatchString(reference) {
			t.Errorf("docs/cli.md has no section on %s", cmd.Name())
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(cmd.LocalNonPersistentFlags().FlagUsages(), -1) {
			if cmd.Name() != "demo" && flag != "--help" && !strings.Contains(reference, flag) {
				t.Errorf("docs/cli.md says nothing of %s of %s", flag, cmd.Name())
			}
		}
	}
	golden, err := os.ReadFile("testdata/json-fields.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)\.([a-z_]+)(?:\[\])? [a-z]+$`).FindAllStringSubmatch(string(golden), -1) {
		if !strings.Contains(reference, "`"+m[1]+"`") && !strings.Contains(reference, `"`+m[1]+`"`) {
			t.Errorf("docs/cli.md does not explain the field %s", m[1])
		}
	}
}

// TestFaultsOfTheReference reads the example of a file of faults.
func TestFaultsOfTheReference(t *testing.T) {
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readReference(t))
	if example == nil {
		t.Fatal("docs/cli.md has no example of faults")
	}
	file := filepath.Join(t.TempDir(), "faults.yaml")
	if err := os.WriteFile(file, []byte(example[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if faults, err := readFaults(file); err != nil || len(faults) != 2 {
		t.Errorf("%d rules, %v", len(faults), err)
	}
}

func readReference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
