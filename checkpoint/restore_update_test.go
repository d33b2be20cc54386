package checkpoint

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// saveDir saves a directory as the next checkpoint of "j" and returns it.
func saveDir(t *testing.T, s *Store, dir string) *Checkpoint {
	t.Helper()
	if _, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil); err != nil {
		t.Fatal(err)
	}
	return mustFind(t, mustJob(t, s, "j"), "latest")
}

// mustRestore restores and compares: names, content, modes and times are those of want.
func mustRestore(t *testing.T, c *Checkpoint, dir, want string, o *RestoreOptions) RestoreReport {
	t.Helper()
	if o == nil {
		o = &RestoreOptions{}
	}
	o.Progress = new(Progress)
	report, err := c.RestoreDir(context.Background(), "", dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if p := o.Progress; p.Bytes.Load() != report.Bytes || p.Total.Load() != report.Bytes || p.Parts.Load() != report.Parts {
		t.Errorf("progress ends at %d of %d bytes, %d parts; restored were %d and %d", p.Bytes.Load(), p.Total.Load(), p.Parts.Load(), report.Bytes, report.Parts)
	}
	if d := readDir(t, want).diff(readDir(t, dir)); d != "" {
		t.Error(d)
	}
	if want, got := listing(t, want), listing(t, dir); !slices.Equal(want, got) {
		t.Errorf("want:\n%s\nrestored:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	return report
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestUpdateFetchesOnlyWhatDiffers(t *testing.T) {
	big := noise(1, 20<<20)
	src := files{"big": big, "same": noise(2, 3<<20), "small": []byte("s"), "tiny": []byte("new"), "sub/x": noise(3, 400_000), "longer": noise(4, 500_000), "shorter": noise(5, 500_000),
		"gone": noise(6, 300_000), "holes": make([]byte, 2<<20), "empty": {}}.write(t, t.TempDir())
	s := openMem(t, memstore.New())
	c := saveDir(t, s, src)
	dir := copyDir(t, src)
	// What became of the state since: one page of a large file, lengths, contents, a file too many, one that is missing, holes that were written.
	files{"big": changed(big, 9<<20), "longer": append(noise(4, 500_000), "more"...), "shorter": noise(5, 300_000), "stranger/y": {1},
		"holes": changed(make([]byte, 2<<20), 1<<20), "empty": []byte("no more"), "tiny": []byte("old")}.write(t, dir)
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1e9, 0)
	want := copyWith(t, src, files{"stranger/y": {1}})
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "same"), 0o600), os.Chtimes(filepath.Join(dir, "small"), old, old),
		os.Chtimes(filepath.Join(dir, "stranger", "y"), old, old), os.Chtimes(filepath.Join(dir, "stranger"), old, old),
		os.Chtimes(filepath.Join(want, "stranger", "y"), old, old), os.Chtimes(filepath.Join(want, "stranger"), old, old),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(filepath.Join(dir, "same"))
	if err != nil {
		t.Fatal(err)
	}
	report := mustRestore(t, c, dir, want, &RestoreOptions{Update: true})
	if report.Unchanged != 3 { // same, small, sub/x
		t.Errorf("%d files unchanged", report.Unchanged)
	}
	// A page of big and of holes, the rest of shorter, all of gone.
	if fetched := report.Bytes - report.KeptBytes; fetched > int64(200_000+300_000+2*4096+len(zeroBytes)) {
		t.Errorf("%d bytes fetched anew", fetched)
	}
	after, err := os.Stat(filepath.Join(dir, "same"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("a file that is equal was replaced")
	}
	// Again: nothing to do, nothing fetched but the manifest and tables that the store remembers.
	report = mustRestore(t, c, dir, src, &RestoreOptions{Update: true, Delete: true})
	if report.KeptBytes != report.Bytes || report.Deleted != 2 {
		t.Errorf("the second time: %+v", report)
	}
}

// copyWith is a directory like another one, with more files. Times of directories are those of the checkpoint.
func copyWith(t *testing.T, dir string, more files) string {
	t.Helper()
	to := copyDir(t, dir)
	more.write(t, to)
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		if err := os.Chmod(filepath.Join(to, rel), st.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, rel), time.Time{}, st.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Older checkpoints of pages that changed here and there: what is good of the present file serves, whatever the tables look like by now.
func TestUpdateBetweenCheckpoints(t *testing.T) {
	src := t.TempDir()
	s := openMem(t, memstore.New())
	content := noise(1, 18<<20)
	var checkpoints []*Checkpoint
	var states []string
	for i := range 4 {
		files{"db": content, "other": content[:100_000*(i+1)]}.write(t, src)
		checkpoints = append(checkpoints, saveDir(t, s, src))
		states = append(states, copyWith(t, src, nil))
		for k := range 20 {
			content = changed(content, (i*7919*4096+k*917_503)%len(content))
		}
	}
	dir := copyDir(t, src)
	for _, i := range []int{0, 3, 1, 2, 0} {
		report := mustRestore(t, checkpoints[i], dir, states[i], &RestoreOptions{Update: true})
		if fetched := report.Bytes - report.KeptBytes; fetched > 60*4096+400_000 {
			t.Errorf("to checkpoint %d: %d bytes fetched", i+1, fetched)
		}
	}
}

func TestUpdateMeetsOtherKinds(t *testing.T) {
	src := files{"dir/file": []byte("1"), "file": []byte("2"), "to": []byte("3")}.write(t, t.TempDir())
	if err := os.Symlink("to", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	s := openMem(t, memstore.New())
	c := saveDir(t, s, src)
	outside := files{"precious": []byte("p")}.write(t, t.TempDir())
	dir := files{"file/inner": []byte("x"), "dir": []byte("y"), "link": []byte("z")}.write(t, t.TempDir())
	if err := os.Symlink(filepath.Join(outside, "precious"), filepath.Join(dir, "to")); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	_, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Update: true})
	if err == nil {
		t.Fatal("a directory was replaced by a file without Delete")
	}
	if got := listing(t, dir); !slices.Equal(before, got) {
		t.Errorf("a refused update changed\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(got, "\n"))
	}
	mustRestore(t, c, dir, src, &RestoreOptions{Update: true, Delete: true})
	if got := readDir(t, outside); string(got["precious"]) != "p" {
		t.Error("written through a link")
	}
}

// A directory that stands where a file belongs is somebody's: it is removed only when told so.
func TestNoDirectoryIsReplacedByAFile(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"x": {1}})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	for _, o := range []RestoreOptions{{Force: true}, {Update: true}} {
		dir := files{"x/precious": {2}}.write(t, t.TempDir())
		_, err := c.RestoreDir(context.Background(), "", dir, &o)
		if err == nil || !strings.Contains(err.Error(), "is a directory") {
			t.Errorf("%+v: %v", o, err)
		}
		if d := (files{"x/precious": {2}}).diff(readDir(t, dir)); d != "" {
			t.Errorf("%+v: %s", o, d)
		}
	}
}

// Delete removes only what the pattern selects, and never without Update.
func TestDeleteKeepsToItsPattern(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"db/1.sst": {1}, "log/a": {2}})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	dir := files{"db/9.sst": {9}, "db/deep/8.sst": {8}, "db/README": {7}, "log/z": {6}, "odd \xff.sst": {5}}.write(t, t.TempDir())
	_, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Delete: true})
	wantKind(t, err, ErrInvalid)
	report, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Update: true, Delete: true, Match: "*.sst"})
	if err != nil {
		t.Fatal(err)
	}
	if d := (files{"db/1.sst": {1}, "db/README": {7}, "log/z": {6}}).diff(readDir(t, dir)); d != "" {
		t.Error(d)
	}
	if report.Deleted != 4 { // three files, and the directory that became empty
		t.Errorf("%d deleted", report.Deleted)
	}
}

// A failed update leaves every file as it was.
func TestFailedUpdateChangesNothing(t *testing.T) {
	mem := memstore.New()
	mustSave(t, openMem(t, mem), "j", files{"a": noise(1, 300_000), "b": noise(2, 300_000)})
	s := openMem(t, mem)
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	state := files{"a": changed(noise(1, 300_000), 5), "b": []byte("old"), "c": []byte("mine")}
	for _, resume := range []bool{false, true} {
		dir := state.write(t, t.TempDir())
		tamper(t, mem, "/data/", func(b []byte) []byte { b[len(b)/2]++; return b })
		_, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Update: true, Resume: resume})
		wantKind(t, err, ErrCorrupt)
		got := readDir(t, dir)
		for name := range got {
			if strings.HasPrefix(name, stagePrefix) && resume {
				delete(got, name)
			}
		}
		if d := state.diff(got); d != "" {
			t.Error(d)
		}
		tamper(t, mem, "/data/", func(b []byte) []byte { b[len(b)/2]--; return b })
		mustRestoreFiles(t, c, dir, files{"a": noise(1, 300_000), "b": noise(2, 300_000), "c": []byte("mine")}, &RestoreOptions{Update: true, Resume: resume})
	}
}

func mustRestoreFiles(t *testing.T, c *Checkpoint, dir string, want files, o *RestoreOptions) RestoreReport {
	t.Helper()
	report, err := c.RestoreDir(context.Background(), "", dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := want.diff(readDir(t, dir)); d != "" {
		t.Error(d)
	}
	return report
}

// Two names that are one on the file system: seen when the second is made, with nothing left behind.
func TestTwoPartsOfOneName(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": {1}, "b": noise(1, 300_000)})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	m, err := c.manifest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all := &selection{c: c, m: m, match: func(string) bool { return true }, local: func(string) string { return "a" }} // as a file system that ignores case makes of "A" and "a"
	dir := filepath.Join(t.TempDir(), "new")
	r := &restorer{selection: all, o: RestoreOptions{Progress: new(Progress)}}
	err = r.restoreInto(context.Background(), dir, "")
	if e := wantKind(t, err, ErrInvalid); !strings.Contains(e.Error(), "two parts have one name") {
		t.Error(e)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func TestOneRestoreAtATime(t *testing.T) {
	mem := memstore.New()
	mustSave(t, openMem(t, mem), "j", files{"a": noise(1, 300_000)})
	c := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest")
	dir := t.TempDir()
	entered, leave := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		if op.Method == "range" && strings.Contains(op.Key, "/data/") {
			enter()
			<-leave
		}
		return memstore.OK
	})
	first := make(chan error, 1)
	go func() {
		_, err := c.RestoreDir(context.Background(), "", dir, nil)
		first <- err
	}()
	<-entered
	peer := mustFind(t, mustJob(t, openMem(t, mem.Peer()), "j"), "latest")
	_, err := peer.RestoreDir(context.Background(), "", dir, &RestoreOptions{Force: true})
	wantKind(t, err, ErrConflict)
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := readDir(t, dir); !bytes.Equal(got["a"], noise(1, 300_000)) || len(got) != 1 {
		t.Errorf("%d files", len(got))
	}
}
