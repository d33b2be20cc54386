package emulator

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The server must not share code with the clients that it tests, and must cost a program nothing but the standard library.
func TestStorageImportsTheStandardLibraryAlone(t *testing.T) {
	checked := 0
	for _, part := range []string{"storage*.go", "object*.go", "upload*.go", "list*.go", "s3*.go"} {
		files, err := filepath.Glob(part)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range parsed.Imports {
				if first, _, _ := strings.Cut(imported.Path.Value, "/"); strings.Contains(first, ".") {
					t.Errorf("%s imports %s", file, imported.Path.Value)
				}
			}
			checked++
		}
	}
	if checked < 20 {
		t.Errorf("only %d files were found", checked)
	}
}
