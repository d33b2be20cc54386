package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/json-fields.golden anew")

// TestJSONFields compares the JSON of every verb, as the paths and types of its fields, with a golden file: a field that
// goes away or changes its type breaks somebody's script.
func TestJSONFields(t *testing.T) {
	store := "file://" + filepath.ToSlash(t.TempDir())
	state := stateDir(t, t.TempDir())
	lost := "file://" + filepath.ToSlash(t.TempDir())
	mustRun(t, "save", state, lost, "-j", "orders")
	if err := os.RemoveAll(filepath.Join(strings.TrimPrefix(lost, "file://"), "orders", "data")); err != nil {
		t.Fatal(err)
	}
	headless, noManifests := "file://"+filepath.ToSlash(t.TempDir()), "file://"+filepath.ToSlash(t.TempDir())
	for of, what := range map[string]string{headless: "HEAD", noManifests: "manifests"} {
		mustRun(t, "save", state, of, "-j", "orders")
		mustRun(t, "save", state, of, "-j", "orders")
		if err := os.RemoveAll(filepath.Join(strings.TrimPrefix(of, "file://"), "orders", what)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOOGLE_SERVICE_ACCOUNT", "")
	t.Setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(state, "no-such-key.json"))

	var got strings.Builder
	for _, test := range []struct {
		exit int
		args []string
	}{
		{exitDone, []string{"save", state, store, "-j", "orders", "--tag", "golden"}},
		{exitDone, []string{"save", state, store, "-j", "orders"}},
		{exitDone, []string{"save", state, store, "-j", "orders"}},
		{exitDone, []string{"restore", store, filepath.Join(t.TempDir(), "out")}},
		{exitDone, []string{"jobs", store}},
		{exitDone, []string{"ls", store}},
		{exitDone, []string{"show", store}},
		{exitDone, []string{"verify", store, "--data"}},
		{exitCorrupt, []string{"verify", lost}},
		{exitDone, []string{"tag", store, "latest", "t"}},
		{exitDone, []string{"untag", store, "t"}},
		{exitDone, []string{"retain", store, "--keep-last", "1", "--dry-run"}},
		{exitDone, []string{"gc", store}},
		{exitDone, []string{"repair", headless}},
		{exitCorrupt, []string{"repair", noManifests, "--dry-run"}},
		{exitDone, []string{"repair", noManifests, "--retire-lost"}},
		{exitCredentials, []string{"token"}},
		{exitDone, []string{"doctor", store}},
		{exitCredentials, []string{"doctor"}},
		{exitDone, []string{"version"}},
		{exitNotFound, []string{"ls", store, "-j", "nobody"}},
	} {
		code, stdout, stderr := tidemarkRun(t, append(test.args, "--json")...)
		if code != test.exit {
			t.Fatalf("tidemark %q: exit code %d, want %d\n%s", test.args, code, test.exit, stderr)
		}
		fmt.Fprintf(&got, "%s, exit code %d\n", test.args[0], code)
		fields := map[string]bool{}
		for dec := json.NewDecoder(strings.NewReader(stdout)); ; {
			var doc any
			err := dec.Decode(&doc)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("tidemark %q: %v in %s", test.args, err, stdout)
			}
			collectFields(fields, "", doc)
		}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			fmt.Fprintf(&got, "    %s\n", field)
		}
	}
	const golden = "testdata/json-fields.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the fields are\n%s\nwant (go test -update writes %s)\n%s", &got, golden, want)
	}
}

func collectFields(fields map[string]bool, path string, doc any) {
	switch v := doc.(type) {
	case map[string]any:
		for name, value := range v {
			collectFields(fields, path+"."+name, value)
		}
		if len(v) == 0 {
			fields[path+" object"] = true
		}
	case []any:
		fields[path+" list"] = true
		for _, value := range v {
			collectFields(fields, path+"[]", value)
		}
	case string:
		fields[path+" string"] = true
	case float64:
		fields[path+" number"] = true
	case bool:
		fields[path+" bool"] = true
	case nil:
		fields[path+" null"] = true
	}
}
