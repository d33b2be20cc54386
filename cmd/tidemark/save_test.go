package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// TestOnlyDeclaredFilesAreTakenUnread saves the same files twice: only those that --immutable names may be taken over by
// their identity; all others have to be read, since a database changes in place.
func TestOnlyDeclaredFilesAreTakenUnread(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags []string
		want  map[string]bool // part: taken over unread
	}{
		{"no flag", nil, map[string]bool{"db/orders.db": false, "db/000001.sst": false, "offsets": false}},
		{"base name", []string{"--immutable", "*.sst"}, map[string]bool{"db/orders.db": false, "db/000001.sst": true, "offsets": false}},
		{"two, one with a path", []string{"--immutable", "db/*.sst", "--immutable", "offsets"},
			map[string]bool{"db/orders.db": false, "db/000001.sst": true, "offsets": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := "file://" + filepath.ToSlash(t.TempDir())
			state := stateDir(t, t.TempDir())
			save := append([]string{"save", state, store, "-j", "orders"}, test.flags...)
			mustRun(t, save...)
			mustRun(t, save...)
			var checkpoint shown
			if err := json.Unmarshal([]byte(mustRun(t, "show", store, "--json")), &checkpoint); err != nil {
				t.Fatal(err)
			}
			for _, part := range checkpoint.Parts {
				if want, ok := test.want[part.Name]; ok && (part.Method == "identity") != want {
					t.Errorf("%s was saved by %s (%s), want by identity: %t", part.Name, part.Method, part.Reason, want)
				}
			}
			if checkpoint.NewBytes != 0 {
				t.Errorf("%d new bytes in a checkpoint of the same files", checkpoint.NewBytes)
			}
		})
	}
}
