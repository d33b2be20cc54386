package bench

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	r, err := RunSave(t.Context(), &SaveOptions{Quick: true, Dir: t.TempDir(), Cases: []string{"growth-*"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Curves) != 3 {
		t.Fatalf("%d curves", len(r.Curves))
	}
	for _, c := range r.Curves {
		if len(c.Points) < 3 || c.Note != "" {
			t.Errorf("%s: %d points, %s", c.Name, len(c.Points), c.Note)
		}
		for _, p := range c.Points {
			if len(p.Series) != len(c.Points[0].Series) {
				t.Errorf("%s at %s: %d series", c.Name, p.Label, len(p.Series))
			}
			for _, s := range p.Series {
				if s.Measure.Wall <= 0 || s.Measure.Requests() == 0 {
					t.Errorf("%s at %s, %s: %+v", c.Name, p.Label, s.Name, s.Measure)
				}
			}
		}
	}
	for _, name := range []string{"commit", "latest"} {
		// A job that is new takes a request or two more than one that has a base.
		first, last := r.Curves[2].Points[1].Series, r.Curves[2].Points[len(r.Curves[2].Points)-1].Series
		for i := range first {
			if first[i].Name == name && last[i].Measure.Requests() > first[i].Measure.Requests() {
				t.Errorf("%s takes %d requests with 10 checkpoints, and %d with more", name, first[i].Measure.Requests(), last[i].Measure.Requests())
			}
		}
	}
	var text, page bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "growth: history") || !strings.Contains(page.String(), "<polyline") {
		t.Errorf("the curves are not drawn:\n%s", text.String())
	}
}

// shellState changes one byte in a file of a mebibyte each round.
func shellState(name, script string) State {
	return State{Name: name, About: "a file", Command: func(_, dir string, _ int, updates string, _ int64) Command {
		return Command{Args: []string{"/bin/sh", "-c", script, "sh", updates}, Dir: dir}
	}}
}

func TestStates(t *testing.T) {
	gone := State{Name: "gone", About: "no such database", Find: func(context.Context, string) (string, error) { return "", errors.New("not to be had") }}
	r, err := RunSave(t.Context(), &SaveOptions{
		Quick: true, Dir: t.TempDir(), Cases: []string{"state-*"}, Only: []string{subject, resident}, Delays: []time.Duration{0},
		States: []State{
			shellState("file", `mkdir -p snapshot && { [ -f snapshot/f ] || head -c 1048576 /dev/urandom >snapshot/f; } && printf %s "$1" | dd of=snapshot/f conv=notrunc bs=1 seek=70000 2>/dev/null`),
			shellState("broken", "echo no room >&2; exit 3"), gone,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 3 || r.Cases[2].Name != "state-file-uniform" || r.Cases[2].Bytes != 1<<20 {
		t.Fatalf("cases %+v", r.Cases)
	}
	for i, c := range r.Cases {
		for _, s := range c.Results {
			if s.Error != "" || len(s.Rounds) != 1 {
				t.Fatalf("%s, %s: %q", c.Name, s.Saver, s.Error)
			}
			if sent := s.Median.In; (i == 0) != (sent > 1<<20) || sent == 0 {
				t.Errorf("%s, %s: %d bytes were sent", c.Name, s.Saver, sent)
			}
		}
	}
	absent := map[string]string{}
	for _, a := range r.Absent {
		absent[a.Name] = a.Absent
	}
	if len(absent) != 2 || !strings.Contains(absent["state-broken"], "no room") || absent["state-gone"] != "not to be had" {
		t.Errorf("absent: %v", absent)
	}
}
