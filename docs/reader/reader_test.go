// Package reader_test has the Python reader beside it as the judge of what tidemark saves. The script run prepares Python and runs it.
package reader_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/secrets/localsecrets"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/internal/format"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// python runs the reader and returns what it prints.
func python(t *testing.T, key string, args ...string) ([]byte, error) {
	t.Helper()
	interpreter := os.Getenv("TIDEMARK_READER_PYTHON")
	if interpreter == "" {
		t.Skip("TIDEMARK_READER_PYTHON names no Python with the packages of requirements.txt; docs/reader/run sets it")
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"tidemark_reader.py"}, args...)...)
	cmd.Env = append(os.Environ(), "TIDEMARK_KEY_URL="+key)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.Bytes())
	}
	return out.Bytes(), nil
}

// The golden files as a store: a table with a delta over it, all codecs, zeros, a pack embedded in an older manifest.
func TestGoldenStore(t *testing.T) {
	dir := t.TempDir()
	golden := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "internal", "format", "testdata", "golden", "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	put := func(key string, b []byte) {
		p := filepath.Join(dir, filepath.FromSlash(strings.ReplaceAll(key, "%", "%25"))) // a percent sign is one of the characters that file stores escape
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := format.DecodeManifest(golden("manifest-stored"), nil, format.NewPartList(nil))
	if err != nil {
		t.Fatal(err)
	}
	put("orders/HEAD", golden("head-full"))
	put(format.PackKey("orders", m.Objects[0]), golden("pack"))
	put(format.PackKey("orders", m.Objects[1]), golden("pack-delta"))

	want := append([]byte("The tide marks the shore.\n"), bytes.Repeat([]byte("a"), 128)...)
	copy(want[60:], bytes.Repeat([]byte("z"), 30))
	for part, want := range map[string][]byte{"state/db": append(want, make([]byte, 46)...), "state/sparse": make([]byte, 1<<20), "state/empty": nil} {
		if got, err := python(t, "", "file://"+dir, "cat", "orders", part); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", part, len(got), err)
		}
	}
	list, err := python(t, "", "file://"+dir, "list", "orders")
	if err != nil || strings.Count(string(list), "\n") != m.Parts.Len() || !strings.Contains(string(list), "2 200 640 state/db\n") {
		t.Errorf("list says %q, %v", list, err)
	}
	damaged := golden("pack-delta")
	damaged[40] ^= 1
	put(format.PackKey("orders", m.Objects[1]), damaged)
	if _, err := python(t, "", "file://"+dir, "cat", "orders", "state/db"); err == nil || !strings.Contains(err.Error(), "corrupt: CRC32C of a frame") {
		t.Errorf("a damaged frame: %v", err)
	}
}

func TestRestoresWhatTidemarkSaved(t *testing.T) {
	secret := [32]byte{1, 2, 3}
	for name, opts := range map[string]*checkpoint.Options{
		"default":   {},
		"zstd":      {Compression: checkpoint.CompressionZstd},
		"encrypted": {Keeper: localsecrets.NewKeeper(secret), KeeperName: "test"},
	} {
		t.Run(name, func(t *testing.T) {
			key := ""
			if opts.Keeper != nil {
				key = "base64key://" + base64.URLEncoding.EncodeToString(secret[:])
			}
			url := "file://" + filepath.Join(t.TempDir(), "store")
			state := newState(t)
			snapshots := []map[string]string{save(t, url, opts, state)}
			for range 3 {
				state.change(t)
				snapshots = append(snapshots, save(t, url, opts, state))
			}
			for i, want := range snapshots {
				to := filepath.Join(t.TempDir(), "restored")
				if _, err := python(t, key, url, "restore", "orders", to, fmt.Sprint(i+1)); err != nil {
					t.Fatalf("checkpoint %d: %v", i+1, err)
				}
				stream, err := python(t, key, url, "cat", "orders", "a stream", fmt.Sprint(i+1))
				if err != nil || fmt.Sprintf("%x", format.Sum(stream)) != want[streamed] {
					t.Errorf("checkpoint %d: a stream of %d bytes, %v", i+1, len(stream), err)
				}
				got := tree(t, to)
				delete(got, "/a stream")
				delete(want, streamed)
				compare(t, fmt.Sprintf("checkpoint %d", i+1), got, want)
			}
			if opts.Keeper != nil {
				if _, err := python(t, "", url, "list", "orders"); err == nil || !strings.Contains(err.Error(), "sealed: data key") {
					t.Errorf("without its key: %v", err)
				}
			} else if deltas(t, strings.TrimPrefix(url, "file://")) == 0 {
				t.Error("no table has a delta: this test does not test them")
			}
		})
	}
}

// state is a directory that changes like a job's.
type state struct {
	dir    string
	r      *rand.Rand
	stream []byte
}

const bigSize = 36 << 20 // three segments, the last one shorter

func newState(t *testing.T) *state {
	s := &state{dir: t.TempDir(), r: rand.New(rand.NewPCG(1, 2))}
	s.stream = s.noise(17 << 20)
	s.write(t, "db/pages", s.noise(bigSize), 0, 0o600)
	s.write(t, "db/text", bytes.Repeat([]byte("a row of a table, "), 100_000), 0, 0o644)
	s.write(t, "db/sparse", make([]byte, 20<<20), 0, 0o644)
	s.write(t, "db/sparse", []byte("at the end"), 19<<20, 0o644)
	s.write(t, "empty", nil, 0, 0o644)
	s.write(t, "a name, with % and ü/\xff\xfe", []byte("not UTF-8"), 0, 0o640)
	for i := range 50 {
		s.write(t, fmt.Sprintf("small/%d", i), s.noise(1+i*100), 0, 0o644)
	}
	for _, dir := range []string{"nothing", "nothing/at/all"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("pages", filepath.Join(s.dir, "db", "current")); err != nil {
		t.Fatal(err)
	}
	return s
}

// change rewrites a few pages, appends, cuts, and zeroes.
func (s *state) change(t *testing.T) {
	for range 20 {
		s.write(t, "db/pages", s.noise(100), int64(s.r.IntN(30<<20)), 0)
	}
	s.write(t, "db/pages", make([]byte, 3<<20), int64(s.r.IntN(20<<20)), 0)
	s.write(t, "db/text", []byte("another row"), int64(s.r.IntN(1_000_000)), 0)
	s.write(t, "db/sparse", []byte("in the middle"), int64(s.r.IntN(18<<20)), 0)
	s.write(t, "small/7", s.noise(9000), 0, 0)
	if err := os.Truncate(filepath.Join(s.dir, "db", "pages"), int64(33<<20+s.r.IntN(6<<20))); err != nil {
		t.Fatal(err)
	}
}

func (s *state) noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(s.r.Uint32()), byte(s.r.Uint32())}).Read(b)
	return b
}

// write puts b at an offset of a file, which it creates if a mode is given.
func (s *state) write(t *testing.T, name string, b []byte, at int64, mode fs.FileMode) {
	t.Helper()
	p := filepath.Join(s.dir, name)
	flags := os.O_WRONLY
	if mode != 0 {
		flags |= os.O_CREATE
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(p, flags, mode)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	// Whatever the file system's clock can tell apart: what changed has another time.
	now := time.Unix(1_750_000_000, int64(s.r.Uint32()))
	if err := os.Chtimes(p, now, now); err != nil {
		t.Fatal(err)
	}
}

// save saves the directory, and returns what a restore has to bring back.
func save(t *testing.T, url string, opts *checkpoint.Options, s *state) map[string]string {
	t.Helper()
	ctx := t.Context()
	store, err := checkpoint.Open(ctx, url, opts)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := store.Acquire(ctx, "orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := owner.Begin(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddDir("", s.dir); err != nil {
		t.Fatal(err)
	}
	// A stream into which something is inserted: its chunks are cut by content.
	s.stream = slices.Concat(s.stream[:len(s.stream)/3], s.noise(70_000), s.stream[len(s.stream)/3:])
	if err := w.Add("a stream", bytes.NewReader(s.stream)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	found := tree(t, s.dir)
	found[streamed] = fmt.Sprintf("%x", format.Sum(s.stream))
	return found
}

// streamed is where save keeps the hash of the stream, beside the names of files.
const streamed = "the stream"

// tree describes a directory: of each name what it is, and a hash of what it holds.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().Type().String()
		switch {
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			what += " to " + to
		case d.Type().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			what = fmt.Sprintf("%v, %d bytes, %v, %x", info.Mode(), len(b), info.ModTime().UnixNano(), format.Sum(b))
		}
		found[strings.TrimPrefix(p, dir)] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func compare(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q is %q, want %q", what, name, got[name], w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q was never saved", what, name)
		}
	}
}

// deltas counts the segments of the newest checkpoint that have one.
func deltas(t *testing.T, dir string) (n int) {
	t.Helper()
	manifests, err := filepath.Glob(filepath.Join(dir, "orders", "manifests", "*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	b, err := os.ReadFile(manifests[len(manifests)-1])
	if err != nil {
		t.Fatal(err)
	}
	m, err := format.DecodeManifest(b, nil, format.NewPartList(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parts.All() {
		for _, s := range p.Segments {
			if s.Delta != nil {
				n++
			}
		}
	}
	return n
}
