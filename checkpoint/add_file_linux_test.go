package checkpoint

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// A file of 10 GiB of which little was ever written: the holes cost neither reads nor bytes, and reading gives the zeros back.
func TestHolesAreNotRead(t *testing.T) {
	const size = 10<<30 + 777
	dir := t.TempDir()
	p := filepath.Join(dir, "sparse")
	data := map[int64][]byte{0: noise(1, 5000), 3<<30 + 100: noise(2, 300_000), 10 << 30: noise(3, 777)}
	write := func(at int64, b []byte) {
		t.Helper()
		f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for at, b := range data {
		write(at, b)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(p, &st); err != nil || st.Blocks*512 > 1<<30 {
		t.Fatalf("the file system has no holes, name one by TMPDIR that has: %d blocks, %v", st.Blocks, err)
	}
	mem := memstore.New()
	s := openMem(t, mem)
	info, part := savedParts(t, s, dir)
	if info.Bytes != size || info.NewBytes > 400_000 || info.StoredBytes > 500_000 || len(part("sparse").Segments) != 641 {
		t.Errorf("%+v, %d segments", info, len(part("sparse").Segments))
	}
	if again, _ := savedParts(t, openMem(t, mem), dir); again.NewBytes != 0 {
		t.Errorf("%d new bytes, and nothing has changed", again.NewBytes)
	}
	write(7<<30+5, []byte{1})
	data[7<<30+5] = []byte{1}
	if next, _ := savedParts(t, openMem(t, mem), dir); next.NewBytes != pageSize {
		t.Errorf("%d new bytes, of one page", next.NewBytes)
	}
	r, err := mustFind(t, mustJob(t, s, "j"), "latest").Open(context.Background(), "sparse")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	data[5<<30] = make([]byte, 10_000)
	for at, want := range data {
		got := make([]byte, len(want))
		if _, err := r.ReadAt(got, at); err != nil || !bytes.Equal(got, want) {
			t.Errorf("other bytes at %d (%v)", at, err)
		}
	}
}

// What took a file's place since the walk saw it is not followed, not waited for, and not read.
func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	files{"outside/secret": []byte("secret"), "tree/sub/x": {1}}.write(t, dir)
	for name, make := range map[string]func(p string) error{
		"link out": func(p string) error { return os.Symlink("../outside/secret", p) },
		"fifo":     func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		p := filepath.Join(dir, "tree", name)
		if err := make(p); err != nil {
			t.Fatal(err)
		}
		s := openMem(t, memstore.New())
		_, err := s.Save(context.Background(), "j", func(w *Writer) error {
			root, err := os.OpenRoot(filepath.Join(dir, "tree"))
			if err != nil {
				return err
			}
			defer func() { _ = root.Close() }()
			o, err := newOpener(root)
			if err != nil {
				return err
			}
			defer o.close()
			if err := w.reserve("x"); err != nil {
				return err
			}
			return w.addFile("x", o, name, byDefault)
		}, nil)
		wantKind(t, err, ErrChanged)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	o, err := newOpener(root)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	for _, name := range []string{"../outside/secret", "/etc/passwd", "sub/../../outside/secret"} {
		if f, err := o.open(name); err == nil {
			t.Errorf("%s was opened: %v", name, f.Close())
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	const bad = "/proc/self/mem" // a regular file whose first byte cannot be read
	if _, err := os.Stat(bad); err != nil {
		t.Fatal(err)
	}
	s := openMem(t, memstore.New())
	_, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddFile("memory", bad) }, nil)
	if err == nil {
		t.Fatal("saved what cannot be read")
	}
	_, err = mustJob(t, s, "j").Latest(context.Background())
	wantKind(t, err, ErrNotFound)
}

// Files of /proc have no size and yet content: to a save, they change each time.
func TestFileThatNeverHoldsStill(t *testing.T) {
	const live = "/proc/self/status"
	if _, err := os.Stat(live); err != nil {
		t.Fatal(err)
	}
	s := openMem(t, memstore.New())
	_, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddFile("status", live) }, nil)
	if e := wantKind(t, err, ErrChanged); e.Part != "status" {
		t.Errorf("the error does not name the part: %+v", e)
	}
}
