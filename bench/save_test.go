package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSaveSmoke plays every case with this project's contenders and asserts what was counted.
func TestSaveSmoke(t *testing.T) {
	dir := t.TempDir()
	var progress bytes.Buffer
	r, err := RunSave(t.Context(), &SaveOptions{Quick: true, Dir: dir, Delays: []time.Duration{0, 5 * time.Millisecond}, Progress: &progress, Cases: []string{"A", "B", "C", "D"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Cases {
		for _, s := range c.Results {
			if s.Error != "" || len(s.Rounds) != 1 || s.Median.Wall <= 0 {
				t.Errorf("%s, %s: %q, %d rounds", c.title(), s.Saver, s.Error, len(s.Rounds))
			}
			if c.Delay > 0 && s.Saver == resident && s.Median.Wall < 2*c.Delay {
				t.Errorf("%s, %s took %.4f s: too short for requests of %g s each", c.title(), s.Saver, s.Median.Wall, c.Delay)
			}
		}
	}
	a, errA := r.find(VerbSave, "A", 0, resident)
	b, errB := r.find(VerbSave, "B", 0, resident)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if b.Median.In <= 0 || b.Median.In > a.Median.In/10 {
		t.Errorf("1 %% of the pages changed, and %d bytes were sent after %d", b.Median.In, a.Median.In)
	}
	if n := b.Median.Requests(); n < 2 || n > 4 {
		t.Errorf("a small save of a job took %d requests", n)
	}
	if b.Median.Outcome.NewBytes < pageSize || a.Median.Outcome.Bytes != quickSize {
		t.Errorf("outcomes %+v and %+v", a.Median.Outcome, b.Median.Outcome)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	var text, page, asJSON, markdown bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteHTML(&page), r.WriteJSON(&asJSON), r.WriteMarkdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"save A: first save of 4 MiB in 64 files", "restore D, 5 ms a request", "tidemark-job"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	if !strings.Contains(page.String(), "<svg") || !strings.Contains(markdown.String(), "\n### save B\n") {
		t.Error("the page has no plot, or the document no heading")
	}
	var back SaveReport
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || len(back.Cases) != len(r.Cases) {
		t.Errorf("read back: %v, %d cases", err, len(back.Cases))
	}
}

// liar restores nothing.
func liar() Saver {
	return Saver{Name: "liar", Open: func(context.Context, Place) (Session, error) { return idleSession{}, nil }}
}

// A contender that restores something else than what was saved must not have a figure.
func TestWrongRestoreIsNoResult(t *testing.T) {
	r, err := RunSave(t.Context(), &SaveOptions{Savers: []Saver{liar(), idle()}, Only: []string{"liar"}, Quick: true, Cases: []string{"D"}, Verbs: []string{VerbRestore},
		Delays: []time.Duration{0}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 1 || len(r.Cases[0].Results) != 1 || !strings.Contains(r.Cases[0].Results[0].Error, "0 files were restored, 64 were saved") || len(r.Cases[0].Results[0].Rounds) != 0 {
		t.Errorf("cases %+v", r.Cases)
	}
}

func TestDatasetChangesWhatItSays(t *testing.T) {
	d := dataset{dir: t.TempDir(), seed: 1, files: 8, pages: 25}
	if err := d.create(); err != nil {
		t.Fatal(err)
	}
	read := func() [][]byte {
		var all [][]byte
		for i := range d.files {
			b, err := os.ReadFile(filepath.Join(d.dir, d.name(i)))
			if err != nil || len(b) != d.pages*pageSize {
				t.Fatalf("file %d: %d bytes, %v", i, len(b), err)
			}
			all = append(all, b)
		}
		return all
	}
	differ := func(a, b [][]byte) (pages int) {
		for i := range a {
			for p := range d.pages {
				if !bytes.Equal(a[i][p*pageSize:(p+1)*pageSize], b[i][p*pageSize:(p+1)*pageSize]) {
					pages++
				}
			}
		}
		return pages
	}
	first := read()
	if err := d.touchPages(0.05, 1); err != nil {
		t.Fatal(err)
	}
	if n := differ(first, read()); n != 10 {
		t.Errorf("5 %% of 200 pages are 10, and %d changed", n)
	}
	before := read()
	if err := d.replaceFiles(2, 2); err != nil {
		t.Fatal(err)
	}
	if n := differ(before, read()); n != 2*d.pages {
		t.Errorf("2 files have %d pages, and %d changed", 2*d.pages, n)
	}
	if err := d.revert(); err != nil {
		t.Fatal(err)
	}
	if n := differ(first, read()); n != 0 {
		t.Errorf("%d pages stayed changed", n)
	}
	seen := map[string]bool{}
	for _, f := range first {
		for p := range slices.Chunk(f, pageSize) {
			if seen[string(p)] {
				t.Fatal("a page is there twice: it would be stored once")
			}
			seen[string(p)] = true
		}
	}
	if s2, zstd := compressibility(); s2 < 0.45 || s2 > 0.65 || zstd < 0.45 || zstd > s2 {
		t.Errorf("the state shrinks to %.2f and %.2f; about half is promised", s2, zstd)
	}
}

func TestSameTree(t *testing.T) {
	write := func(dir, name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want := t.TempDir()
	write(want, "a", "one")
	write(want, "b/c", "two")
	for name, spoil := range map[string]func(dir string){
		"":          func(string) {},
		"shorter":   func(dir string) { write(dir, "a", "on") },
		"longer":    func(dir string) { write(dir, "a", "one more") },
		"different": func(dir string) { write(dir, "b/c", "twe") },
		"too many":  func(dir string) { write(dir, "d", "") },
		"moved": func(dir string) {
			if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "e")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		got := t.TempDir()
		write(got, "a", "one")
		write(got, "b/c", "two")
		spoil(got)
		if err := sameTree(want, got); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestGoals(t *testing.T) {
	r := &SaveReport{Savers: []SaverAbout{{Name: subject}, {Name: PeerRestic}, {Name: PeerLoop + "slow"}, {Name: PeerLoop + "fast"}}}
	c := SaveCase{Verb: VerbSave, Name: "A"}
	for saver, wall := range map[string]float64{subject: 1, PeerRestic: 7, PeerLoop + "slow": 5, PeerLoop + "fast": 1.2} {
		c.Results = append(c.Results, SaveResult{Saver: saver, Rounds: []Measure{{Wall: wall}, {Wall: 2 * wall}, {Wall: wall}}})
	}
	c.compare()
	r.Cases = []SaveCase{c}
	r.judge()
	got := map[string]Goal{}
	for _, g := range r.Goals {
		got[g.Name] = g
	}
	if g := got["save A, speed against restic"]; !g.Reached || g.Aimed || g.Measured != 7 {
		t.Errorf("against restic: %+v", g)
	}
	if g := got["save A, speed against the best plain loop"]; g.Reached || g.Measured != 1.2 {
		t.Errorf("against the best loop: %+v", g)
	}
	if g := got["save A, speed against rclone"]; g.Reached || g.Absent == "" {
		t.Errorf("against a peer that was not there: %+v", g)
	}
	if g := got["save B, requests of tidemark"]; g.Reached || g.Absent == "" {
		t.Errorf("of a case that was not run: %+v", g)
	}
}

func TestSaveWrongUsage(t *testing.T) {
	for _, o := range []SaveOptions{
		{Verbs: []string{"coffee"}}, {Cases: []string{"Z"}}, {Only: []string{"nobody"}}, {Size: 1}, {Verbs: []string{VerbRestore}, Cases: []string{"C"}},
	} {
		if _, err := RunSave(t.Context(), &o); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
