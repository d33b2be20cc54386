package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestKinds keeps every kind of state for three rounds and looks at the size of its snapshots.
func TestKinds(t *testing.T) {
	const rows = 3000
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			for round, updates := range []string{"first", "clustered", "uniform"} {
				if err := run([]string{kind, dir, string(rune('0' + round)), updates, "3000"}); err != nil {
					t.Fatal(err)
				}
				files, err := filepath.Glob(filepath.Join(dir, "snapshot", "*"))
				if err != nil {
					t.Fatal(err)
				}
				var size int64
				for _, f := range files {
					st, err := os.Stat(f)
					if err != nil {
						t.Fatal(err)
					}
					size += st.Size()
				}
				// Pebble compresses; trees have pages that are not full.
				if least := int64(rows * noiseSize); size < least || size > 20*least {
					t.Errorf("round %d: the snapshot has %d bytes in %d files", round, size, len(files))
				}
			}
		})
	}
}

func TestChanged(t *testing.T) {
	for _, updates := range []string{"clustered", "uniform"} {
		rows, err := changed(1, updates, 100_000)
		if err != nil || len(rows) != 1000 || !slices.IsSorted(rows) {
			t.Fatalf("%s: %d rows, %v", updates, len(rows), err)
		}
		neighbours := 0
		for i := range rows[1:] {
			if rows[i+1] == rows[i]+1 {
				neighbours++
			}
		}
		if clustered := neighbours > 900; clustered != (updates == "clustered") {
			t.Errorf("%s: %d rows lie beside the one before", updates, neighbours)
		}
	}
	if _, err := changed(1, "sideways", 10); err == nil {
		t.Error("unknown updates were accepted")
	}
	if err := run([]string{"coffee", t.TempDir(), "0", "first", "10"}); err == nil {
		t.Error("an unknown kind was accepted")
	}
}
