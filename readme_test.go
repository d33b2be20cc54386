package tidemark_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The README's example is a function of example_test.go, so that it compiles and runs.
func TestReadmeExampleCompiles(t *testing.T) {
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(read(t, "README.md"))
	if block == nil {
		t.Fatal("the README has no Go example")
	}
	var indented strings.Builder
	for line := range strings.Lines(block[1]) {
		indented.WriteString("\t" + line)
	}
	if !strings.Contains(read(t, "example_test.go"), indented.String()) {
		t.Error("the README's example is not the body of saveOnce in example_test.go")
	}
	if n := strings.Count(block[1], "\n"); n != 10 {
		t.Errorf("the ten-line example has %d lines", n)
	}
}

// The two commands of the Quick start are the main job and the tests; CI runs the same ones.
func TestQuickStartIsWhatCIRuns(t *testing.T) {
	block := regexp.MustCompile("(?s)## Quick start.*?```sh\n(.*?)```").FindStringSubmatch(read(t, "README.md"))
	if block == nil {
		t.Fatal("the README has no Quick start")
	}
	ci := read(t, ".ci/run")
	lines := strings.Split(strings.TrimSpace(block[1]), "\n")
	if len(lines) != 2 {
		t.Fatalf("the Quick start has %d commands", len(lines))
	}
	for _, line := range lines {
		command, _, _ := strings.Cut(line, "#")
		if command = strings.TrimSpace(command); !strings.Contains(ci, "\n"+command) {
			t.Errorf("CI does not run %q", command)
		}
	}
}

// Links inside the documentation lead somewhere.
func TestDocumentationLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	for _, dir := range []string{".", "docs"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".md") {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(read(t, dir+"/"+e.Name()), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				if _, err := os.Stat(dir + "/" + m[1]); err != nil {
					t.Errorf("%s/%s links to %s: %v", dir, e.Name(), m[1], err)
				}
			}
		}
	}
}
