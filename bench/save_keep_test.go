package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// interrupter ends a run when it tells of something.
type interrupter struct {
	bytes.Buffer
	at   string
	stop context.CancelFunc
}

func (i *interrupter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(i.at)) {
		i.stop()
	}
	return i.Buffer.Write(p)
}

func TestAnInterruptedRunGoesOn(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	o := SaveOptions{Quick: true, Dir: t.TempDir(), Out: out, Only: []string{subject}, Cases: []string{"D", growthFiles}, Delays: []time.Duration{0, time.Millisecond}}
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = &interrupter{at: "0s, round 1", stop: cancel}
	if _, err := RunSave(ctx, &o); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), out) {
		t.Fatalf("interrupted: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != "save-D-restore-D-0s.json" {
		t.Fatalf("kept: %v, %v", left, err)
	}
	kept, err := ReadSaves(out)
	if err != nil {
		t.Fatal(err)
	}

	var said bytes.Buffer
	o.Progress = &said
	r, err := RunSave(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 4 || !reflect.DeepEqual(r.Cases[:2], kept.Cases) || r.Cases[2].Delay == 0 || len(r.Curves) != 1 {
		t.Errorf("after the interruption: %+v", r.Cases)
	}
	if n := strings.Count(said.String(), "was measured before"); n != 1 {
		t.Errorf("%d parts were taken from before:\n%s", n, said.String())
	}
	all, err := ReadSaves(out)
	if err != nil || !reflect.DeepEqual(all.Cases, r.Cases) || !reflect.DeepEqual(all.Curves, r.Curves) {
		t.Errorf("read back, %v: %+v\nmeasured: %+v", err, all, r)
	}

	for name, change := range map[string]func(*SaveOptions){
		"another size":       func(o *SaveOptions) { o.Size = 8 << 20 },
		"more rounds":        func(o *SaveOptions) { o.Repeat = 2 },
		"another contender":  func(o *SaveOptions) { o.Only = []string{small} },
		"one contender more": func(o *SaveOptions) { o.Only = []string{subject, small} },
	} {
		other := o
		change(&other)
		if _, err := RunSave(t.Context(), &other); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "take another directory") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadSavesMerges(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, r *SaveReport) string {
		t.Helper()
		r.Settings.Size = cmp.Or(r.Settings.Size, 1<<30)
		if r.Savers == nil {
			r.Savers = []SaverAbout{{Name: subject}, {Name: PeerRestic}}
		}
		for i := range r.Cases {
			r.Cases[i].compare()
		}
		file := filepath.Join(dir, name)
		if err := writeReport(file, r); err != nil {
			t.Fatal(err)
		}
		return file
	}
	save := func(name string, delay, own, restic float64) SaveCase {
		return SaveCase{Verb: VerbSave, Name: name, Delay: delay,
			Results: []SaveResult{{Saver: subject, Rounds: []Measure{{Wall: own}}}, {Saver: PeerRestic, Rounds: []Measure{{Wall: restic}}}}}
	}
	first := write("1.json", &SaveReport{Cases: []SaveCase{save("D", 0, 1, 2), save("A", 0, 1, 3)}, Curves: []Curve{{Name: "workers"}}, Environment: Environment{Revision: "aaa"}})
	second := write("2.json", &SaveReport{Cases: []SaveCase{save("A", 0.04, 1, 9), save("A", 0, 1, 7)}, Curves: []Curve{{Name: "size"}}, Environment: Environment{Revision: "bbb"}})
	r, err := ReadSaves(first, second)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 3 || r.Cases[0].Name != "A" || r.Cases[0].Delay != 0 || r.Cases[1].Delay != 0.04 || r.Cases[2].Name != "D" || len(r.Curves) != 2 || r.Curves[0].Name != "size" {
		t.Errorf("cases %+v, curves %+v", r.Cases, r.Curves)
	}
	if s, err := r.find(VerbSave, "A", 0, PeerRestic); err != nil || s.Ratio != 7 {
		t.Errorf("the later report counts: %+v, %v", s, err)
	}
	if len(r.Goals) == 0 || r.Goals[0].Measured != 7 || r.Environment.Revision != "aaa, bbb" {
		t.Errorf("goals %+v, revision %q", r.Goals[:1], r.Environment.Revision)
	}
	third := write("3.json", &SaveReport{Savers: []SaverAbout{{Name: PeerRestic, Absent: "not here"}, {Name: PeerRclone}}})
	if r, err = ReadSaves(first, third); err != nil || len(r.Savers) != 3 || r.Savers[1].Absent != "" || r.Savers[2].Name != PeerRclone {
		t.Errorf("contenders of both: %+v, %v", r.Savers, err)
	}
	smaller := write("4.json", &SaveReport{Settings: SaveSettings{Size: 1 << 20}})
	elsewhere := write("5.json", &SaveReport{Environment: Environment{CPU: "another"}})
	alien := filepath.Join(dir, "6.json")
	if err := os.WriteFile(alien, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{first, smaller}, {first, elsewhere}, {alien}, {filepath.Join(dir, "none")}, {t.TempDir()}} {
		if _, err := ReadSaves(names...); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v", names, err)
		}
	}
}
