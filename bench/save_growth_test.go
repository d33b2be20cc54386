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
	if len(r.Curves) != len(growthCases) {
		t.Fatalf("%d curves", len(r.Curves))
	}
	curve := map[string]Curve{}
	for _, c := range r.Curves {
		curve[c.Name] = c
		if len(c.Points) < 3 || (c.Note != "") != (c.Name == "retained") {
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
	for _, name := range []string{"history", "retained"} {
		for _, p := range curve[name].Points {
			commit, latest := p.Series[0].Measure, p.Series[1].Measure
			if commit.Requests() != 2 || latest.Requests() != 1 {
				t.Errorf("%s %s: a commit takes %d requests, the latest %d", p.Label, name, commit.Requests(), latest.Requests())
			}
		}
	}
	head := func(c Curve, i int) int64 { return c.Points[i].Series[1].Measure.Out }
	if c := curve["history"]; head(c, 2) > 2*head(c, 1) {
		t.Errorf("HEAD grew from %d to %d bytes by checkpoints that were retired", head(c, 1), head(c, 2))
	}
	c, n := curve["retained"], len(curve["retained"].Points)
	if head(c, n-1) < 5*head(c, 2) || !strings.Contains(c.Note, "16 MiB is at about 1") {
		t.Errorf("HEAD grew from %d to %d bytes by checkpoints that are retained: %s", head(c, 2), head(c, n-1), c.Note)
	}
	for i, p := range curve["workers"].Points {
		for _, s := range p.Series {
			m := s.Measure
			if strings.HasSuffix(s.Name, "commit") && (m.Requests() != 2 || m.Handles != 0) || strings.HasSuffix(s.Name, "shares") && (m.Requests() < 1<<i || m.Handles == 0) {
				t.Errorf("%s workers, %s: %d requests, handles of %d bytes", p.Label, s.Name, m.Requests(), m.Handles)
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
		Quick: true, Dir: t.TempDir(), Cases: []string{"state-*"}, Savers: append(Savers(), liar()), Only: []string{subject, resident, "liar"}, Delays: []time.Duration{0},
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
			if s.Saver == "liar" {
				if len(s.Rounds) != 0 || !strings.Contains(s.Error, "0 files were restored, 1 were saved") {
					t.Errorf("%s: who restores nothing has %d figures, %q", c.Name, len(s.Rounds), s.Error)
				}
				continue
			}
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
