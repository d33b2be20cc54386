package main

import (
	"io"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// TestSaveThatLosesTheRace has another save come between as often as told: once is made good by starting over, always is exit code 5.
func TestSaveThatLosesTheRace(t *testing.T) {
	for _, test := range []struct {
		name   string
		losses int
		exit   int
		want   string
	}{
		{"once", 1, exitDone, `"checkpoint":2,`},
		{"always", saveAttempts, exitFenced, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			a := &app{out: &out, err: io.Discard, json: true, quiet: true}
			store, err := tidemark.Open(t.Context(), "mem://race-"+test.name, nil)
			if err != nil {
				t.Fatal(err)
			}
			content := func(text string) func(*checkpoint.Writer) error {
				return func(w *checkpoint.Writer) error { return w.Add("part", strings.NewReader(text)) }
			}
			attempts := 0
			err = a.save(t.Context(), store, "orders", "", func(w *checkpoint.Writer) error {
				if attempts++; attempts <= test.losses {
					if _, err := store.Save(t.Context(), "orders", content("theirs"), nil); err != nil {
						return err
					}
				}
				return content("ours")(w)
			})
			if code := exitCode(t.Context(), err); code != test.exit || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit code %d, %v, printed %s", code, err, out.String())
			}
			if want := min(test.losses+1, saveAttempts); attempts != want {
				t.Errorf("%d attempts, want %d", attempts, want)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
