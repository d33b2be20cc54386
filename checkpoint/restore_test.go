package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestDirectoryRoundTrip(t *testing.T) {
	src := files{
		"plain": []byte("1"), "empty": {}, "a/b/c/deep": noise(1, 70_000), "odd \xff name\n": []byte("2"), "big": noise(2, 3<<20),
	}.write(t, t.TempDir())
	at := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	for _, step := range []error{
		os.Mkdir(filepath.Join(src, "hollow"), 0o750),
		os.Symlink("b/c/deep", filepath.Join(src, "a", "link")),
		os.Chmod(filepath.Join(src, "plain"), 0o640),
		os.Chtimes(filepath.Join(src, "plain"), at, at),
		os.Chtimes(filepath.Join(src, "hollow"), at, at),
		os.Chmod(filepath.Join(src, "a"), 0o700),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	s := openMem(t, memstore.New())
	if _, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("state", src) }, nil); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "new", "dir")
	report, err := mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(context.Background(), "state", dst, nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Parts != 10 {
		t.Errorf("restored %d parts", report.Parts)
	}
	if want, got := listing(t, src), listing(t, dst); !slices.Equal(want, got) {
		t.Errorf("saved:\n%s\nrestored:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	if d := readDir(t, src).diff(readDir(t, dst)); d != "" {
		t.Error(d)
	}
}

// listing describes every entry below dir but not the directory itself.
func listing(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%q %s", strings.TrimPrefix(p, dir), st.Mode())
		if st.Mode()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(p)
			out = append(out, line+" → "+to)
			return err
		}
		out = append(out, line+" "+st.ModTime().UTC().String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRestoreSelects(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"db/1.sst": {1}, "db/sub/2.sst": {2}, "db/log": {3}, "map": {4}, "dbx/5": {5}})
	tests := []struct{ prefix, match, want string }{
		{"", "", "db/1.sst db/log db/sub/2.sst dbx/5 map"},
		{"db", "", "1.sst log sub/2.sst"},
		{"db/", "*.sst", "1.sst sub/2.sst"},
		{"db", "sub/*", "sub/2.sst"},
		{"", "db/**", "db/1.sst db/log db/sub/2.sst"},
		{"", "**/*.sst", "db/1.sst db/sub/2.sst"},
		{"map", "", "map"},
		{"db/sub", "", "2.sst"},
		{"", "ma?", "map"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		_, err := mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(context.Background(), tt.prefix, dir, &RestoreOptions{Match: tt.match})
		if got := strings.Join(slices.Sorted(maps.Keys(readDir(t, dir))), " "); err != nil || got != tt.want {
			t.Errorf("prefix %q match %q: %q, want %q (%v)", tt.prefix, tt.match, got, tt.want, err)
		}
	}
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	_, err := c.RestoreDir(context.Background(), "", t.TempDir(), &RestoreOptions{Match: "none*"})
	wantKind(t, err, ErrNotFound)
	_, err = c.RestoreDir(context.Background(), "", t.TempDir(), &RestoreOptions{Match: "[x"})
	wantKind(t, err, ErrInvalid)
}

func TestRestoreIntoDirectoryInUse(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": []byte("new"), "sub/b": []byte("new")})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	dir := files{"a": []byte("old"), "other": []byte("mine")}.write(t, t.TempDir())
	_, err := c.RestoreDir(context.Background(), "", dir, nil)
	if e := wantKind(t, err, ErrInvalid); e.Hint == "" || !strings.Contains(e.Error(), dir) {
		t.Errorf("unhelpful: %v (%s)", e, e.Hint)
	}
	if d := (files{"a": []byte("old"), "other": []byte("mine")}).diff(readDir(t, dir)); d != "" {
		t.Error(d)
	}
	if _, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if d := (files{"a": []byte("new"), "sub/b": []byte("new"), "other": []byte("mine")}).diff(readDir(t, dir)); d != "" {
		t.Error(d)
	}
}

// A manifest from a hostile hand: names and links that would leave the directory are refused before anything is written.
func TestRestoreRefusesEscapes(t *testing.T) {
	c := &Checkpoint{job: &Job{name: "j"}, retained: &format.Retained{Id: &format.CheckpointID{Epoch: 1, Checkpoint: 1}}}
	hostile := map[string]*format.Part{
		"parent":        {Name: []byte("../x"), Kind: format.Part_FILE},
		"absolute":      {Name: []byte("/etc/x"), Kind: format.Part_FILE},
		"hidden parent": {Name: []byte("a/../../x"), Kind: format.Part_FILE},
		"link out":      {Name: []byte("l"), Kind: format.Part_SYMLINK, LinkTarget: []byte("../../etc")},
		"absolute link": {Name: []byte("l"), Kind: format.Part_SYMLINK, LinkTarget: []byte("/etc/passwd")},
	}
	for name, p := range hostile {
		var err error
		if p.Kind == format.Part_SYMLINK {
			p.Method = format.Part_FULL
			err = checkSelection(t, c, []*format.Part{p}, func(string) bool { return true })
		} else {
			err = c.checkName(p, string(p.Name))
		}
		if wantKind(t, err, ErrInvalid).Part != string(p.Name) {
			t.Errorf("%s: the error does not name the part: %v", name, err)
		}
	}
}

// Below a link that stands in the target directory already, nothing is written outside of it.
func TestRestoreDoesNotFollowLinksOut(t *testing.T) {
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"sub/a": []byte("1")})
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	_, err := mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(context.Background(), "", dir, &RestoreOptions{Force: true})
	if err == nil {
		t.Error("restored through a link that leaves the directory")
	}
	if got := readDir(t, outside); len(got) != 0 {
		t.Errorf("written outside: %v", got)
	}
}

// Whatever fails, and whenever: nothing is left of the restore, and the error says what it was.
func TestFailedRestoreLeavesNothing(t *testing.T) {
	state := files{"a": noise(1, 300_000), "d/b": noise(2, 9<<20), "e": {1}}
	tests := []struct {
		name  string
		spoil func(t *testing.T, mem *memstore.Store)
		kind  error
	}{
		{"pack flipped", func(t *testing.T, mem *memstore.Store) {
			tamper(t, mem, "/data/", func(b []byte) []byte { b[len(b)/2]++; return b })
		}, ErrCorrupt},
		{"pack cut", func(t *testing.T, mem *memstore.Store) {
			tamper(t, mem, "/data/", func(b []byte) []byte { return b[:len(b)/2] })
		}, ErrCorrupt},
		{"pack gone", func(t *testing.T, mem *memstore.Store) {
			for _, k := range mem.Keys() {
				if strings.Contains(k, "/data/") {
					if err := mem.Delete(context.Background(), k); err != nil {
						t.Fatal(err)
					}
				}
			}
		}, ErrCorrupt},
		{"forbidden", func(_ *testing.T, mem *memstore.Store) {
			mem.SetFault(func(op memstore.Op) memstore.Outcome {
				if op.Method == "range" && op.N > 1 {
					return memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindPermission, Permission: "storage.objects.get", Principal: "me"}}
				}
				return memstore.OK
			})
		}, ErrPermission},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := memstore.New()
			mustSave(t, openMem(t, mem), "j", state)
			s := openMem(t, mem)
			c := mustFind(t, mustJob(t, s, "j"), "latest")
			tt.spoil(t, mem)
			parent := t.TempDir()
			dir := filepath.Join(parent, "x", "y")
			_, err := c.RestoreDir(context.Background(), "", dir, nil)
			e := wantKind(t, err, tt.kind)
			if e.Hint == "" || e.Object == "" || e.Part == "" {
				t.Errorf("the error says too little: %+v", e)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if free := len(s.buffers.free); free != cap(s.buffers.free) {
				t.Errorf("%d of %d buffers came back", free, cap(s.buffers.free))
			}
		})
	}
}

// Two chunks of a pack change places: every checksum of the pack's own holds, only the hashes in the table do not.
func TestSwappedChunksAreFound(t *testing.T) {
	const frame = format.FrameHeaderSize + chunkSize // of a chunk that does not compress
	mem := memstore.New()
	s := openMem(t, mem)
	if _, err := s.Save(context.Background(), "j", func(w *Writer) error {
		return w.Add("a", bytes.NewReader(noise(1, 3*chunkSize)), Pages("*")) // cut into chunks of one size
	}, nil); err != nil {
		t.Fatal(err)
	}
	tamper(t, mem, "/data/", func(b []byte) []byte {
		out := bytes.Clone(b)
		copy(out[16:], b[16+frame:16+2*frame])
		copy(out[16+frame:], b[16:16+frame])
		return out
	})
	c := mustFind(t, mustJob(t, s, "j"), "latest")
	_, err := c.RestoreDir(context.Background(), "", filepath.Join(t.TempDir(), "x"), nil)
	if e := wantKind(t, err, ErrCorrupt); !strings.Contains(e.Error(), "hashes to") {
		t.Errorf("found by something else: %v", e)
	}
	r, err := c.Open(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.ReadAt(make([]byte, 10), 0); n != 0 || !errors.Is(err, ErrCorrupt) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// A manifest that is whole but not the one that HEAD names.
func TestForgedManifestIsFound(t *testing.T) {
	mem := memstore.New()
	_, err := openMem(t, mem).Save(context.Background(), "j", func(w *Writer) error {
		w.SetMetadata("offsets", []byte("honest"))
		return w.Add("a", bytes.NewReader(noise(1, format.MaxLastBody))) // so that HEAD carries no copy
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, mem, "/manifests/", func(b []byte) []byte {
		m, err := format.DecodeManifest(b, nil, format.NewPartList(nil))
		if err != nil {
			t.Fatal(err)
		}
		m.Metadata = []*format.Entry{{Key: "offsets", Value: []byte("forged")}}
		forged, err := format.EncodeManifest(m, b[len(b)-4-int(m.Objects[0].Size):len(b)-4], nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return forged
	})
	s := openMem(t, mem)
	_, err = mustFind(t, mustJob(t, s, "j"), "latest").Metadata(context.Background())
	wantKind(t, err, ErrCorrupt)
	if r, err := mustJob(t, s, "j").Verify(context.Background(), nil); err != nil || r.OK() || r.Problems[0].Kind != "manifest" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRetiredUnderAReader(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	mustSave(t, s, "j", files{"a": noise(1, 400_000)})
	reader := openMem(t, mem)
	c := mustFind(t, mustJob(t, reader, "j"), "1")
	if _, err := c.Parts(context.Background()); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, "j", files{"a": noise(2, 400_000)})
	j := mustJob(t, s, "j")
	if _, err := j.Retain(context.Background(), Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Collect(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	_, err := c.RestoreDir(context.Background(), "", filepath.Join(t.TempDir(), "x"), nil)
	wantKind(t, err, ErrRetired)
}

// Files of some hundred KiB have tables of their own; those of all files together are read in a few requests.
func TestRequestsOfARestoreOfManyFiles(t *testing.T) {
	mem := memstore.New()
	state := files{}
	for i := range 120 {
		state[fmt.Sprintf("f%03d", i)] = noise(uint64(i), 300_000)
	}
	mustSave(t, openMem(t, mem), "j", state)
	report, err := mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest").RestoreDir(context.Background(), "", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// 36 MB in packs of 6.3 MiB, the manifest, and the tables.
	if report.Requests.Get > 10 {
		t.Errorf("%d reads", report.Requests.Get)
	}
}
