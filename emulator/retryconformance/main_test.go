package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func list(t *testing.T, text string) ([]string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "retry_tests.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readCases(file)
}

// TestNothingIsOverlooked: a case that fails, is skipped or does not come up is a problem, and a method of objects that the
// list has not had is one too.
func TestNothingIsOverlooked(t *testing.T) {
	wanted, err := list(t, `{"retryTests": [
		{"id": 1, "cases": [{"instructions": ["return-503", "return-503"]}], "methods": [
			{"name": "storage.objects.get"}, {"name": "storage.objects.list"}, {"name": "storage.objects.patch"}, {"name": "storage.hmacKey.get"}]},
		{"id": 7, "cases": [{"instructions": ["return-408"]}], "methods": [
			{"name": "storage.objects.insert", "group": "storage.resumable.upload"},
			{"name": "storage.objects.insert", "group": "storage.appendable.upload"}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	passed, problems := judge(wanted, map[string]string{
		"http-1-[return-503_return-503]-storage.objects.get-0":  "pass",
		"http-1-[return-503_return-503]-storage.objects.get-1":  "skip",
		"http-1-[return-503_return-503]-storage.objects.list-0": "fail",
		"http-7-[return-408]-storage.resumable.upload-0":        "pass",
	})
	want := []string{
		"fail: http-1-[return-503_return-503]-storage.objects.list-0",
		"not run: http-1-[return-503_return-503]-storage.objects.patch-",
		"skip: http-1-[return-503_return-503]-storage.objects.get-1",
	}
	if passed != 2 || !slices.Equal(problems, want) {
		t.Errorf("%d passed, problems: %q, want 2 and %q", passed, problems, want)
	}

	for name, text := range map[string]string{
		"a new method": `{"retryTests": [{"id": 1, "cases": [{"instructions": []}], "methods": [{"name": "storage.objects.move"}]}]}`,
		"no case":      `{"retryTests": []}`,
		"not JSON":     `<html>`,
	} {
		if wanted, err := list(t, text); err == nil {
			t.Errorf("%s: no error, and %q is wanted", name, wanted)
		}
	}
}
