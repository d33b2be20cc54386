package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

func mustPut(t *testing.T, s *Store, key, body string) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, []byte(body), objstore.Absent); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, want objstore.Kind) {
	t.Helper()
	if err == nil || objstore.KindOf(err) != want {
		t.Errorf("%v, want %v", err, want)
	}
}

func TestMissingDirectoryIsAnEmptyStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Get(t.Context(), "k", 1)
	wantKind(t, err, objstore.KindNotFound)
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the directory: %v", err)
	}
	_, err = Open(dir, &Options{MustExist: true})
	wantKind(t, err, objstore.KindNotFound)
	mustPut(t, s, "k", "x")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestObjectAndPrefix(t *testing.T) {
	s := openTemp(t)
	mustPut(t, s, "a/b", "x")
	for _, key := range []string{"a", "a/b/c", "a/b/c/d"} {
		_, err := s.Put(t.Context(), key, nil, objstore.Absent)
		wantKind(t, err, objstore.KindInvalid)
		_, err = s.Put(t.Context(), key, nil, "some-version")
		wantKind(t, err, objstore.KindPrecondition)
		_, _, err = s.Get(t.Context(), key, 1)
		wantKind(t, err, objstore.KindNotFound)
		if err := s.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if body, _, err := s.Get(t.Context(), "a/b", 1); err != nil || string(body) != "x" {
		t.Errorf("%q, %v", body, err)
	}
	// What is only an empty directory, left by a crash, is in nobody's way.
	if err := os.MkdirAll(filepath.Join(s.dir, "left/over"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.dir, "left/over")); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "left", "x")
}

func TestDeleteRemovesEmptyDirectories(t *testing.T) {
	s := openTemp(t)
	mustPut(t, s, "job/data/1/x", "x")
	mustPut(t, s, "job/data/2/y", "y")
	for _, key := range []string{"job/data/1/x", "job/data/2/y"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != control {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestDirectoriesComeAndGo: writers fill a directory that others empty, and so remove, at the same time.
func TestDirectoriesComeAndGo(t *testing.T) {
	s := openTemp(t)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			key := fmt.Sprintf("job/data/%d", i)
			for range 200 {
				if _, err := s.Put(t.Context(), key, nil, objstore.Absent); err != nil {
					t.Error(err)
					return
				}
				if _, _, err := s.Get(t.Context(), key, 0); err != nil {
					t.Errorf("just written: %v", err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
}

func TestVanishedDirectoryIsNoFailure(t *testing.T) {
	s := openTemp(t)
	mustPut(t, s, "temp", "x")
	for name, publish := range map[string]func(*os.Root, string, string) error{"create": create, "replace": replace} {
		if err := publish(s.root, "temp", "gone/x"); !errors.Is(err, errVanished) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := blocked(s.root, "was/here"); !errors.Is(err, errVanished) {
		t.Error(err)
	}
	if err := blocked(s.root, "temp/x/y"); !errors.Is(err, errBelow) {
		t.Error(err)
	}
}

func TestForeignFilesAreNotObjects(t *testing.T) {
	s := openTemp(t)
	mustPut(t, s, "d/object", "x")
	for _, name := range []string{".DS_Store", "d/.object.swp", "d/50%", "d/%2F", "d/%2e", "d/bad\xff", "d/ends."} {
		if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.dir, "d/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.TempDir(), filepath.Join(s.dir, "out")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, []string{"d/object"}) {
		t.Errorf("listed %q", got)
	}
	for _, key := range []string{"d/link", "out/x"} {
		if body, _, err := s.Get(t.Context(), key, 1<<20); err == nil {
			t.Errorf("%s led out of the store: %d bytes", key, len(body))
		}
		if _, err := s.Put(t.Context(), key, nil, objstore.Absent); err == nil {
			t.Errorf("%s was written", key)
		}
	}
}

func TestFilesHaveTheirKeysAsNames(t *testing.T) {
	s := openTemp(t)
	mustPut(t, s, "orders/manifests/0001-0002-abc", "body")
	body, err := os.ReadFile(filepath.Join(s.dir, "orders", "manifests", "0001-0002-abc"))
	if err != nil || string(body) != "body" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestLockWaitEndsWithItsContext(t *testing.T) {
	s := openTemp(t)
	mustPut(t, s, "HEAD", "x")
	lock, err := lockKey(t.Context(), s.root, "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	because := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- s.Delete(ctx, "HEAD") }()
	cancel(because)
	if err := <-done; !errors.Is(err, because) {
		t.Errorf("%v", err)
	}
	lock.unlock()
	if _, _, err := s.Get(t.Context(), "HEAD", 1); err != nil {
		t.Errorf("deleted without the lock: %v", err)
	}
}

func TestKinds(t *testing.T) {
	path := func(err error) error { return &fs.PathError{Op: "write", Path: "x", Err: err} }
	for _, c := range []struct {
		op   string
		err  error
		want objstore.Kind
	}{
		{"put", path(syscall.ENOSPC), objstore.KindNoSpace},
		{"put", path(syscall.EDQUOT), objstore.KindNoSpace},
		{"put", &os.LinkError{Op: "linkat", Err: syscall.ENOSPC}, objstore.KindNoSpace},
		{"put", path(syscall.EACCES), objstore.KindPermission},
		{"put", path(syscall.EPERM), objstore.KindPermission},
		{"put", path(syscall.EROFS), objstore.KindPermission},
		{"put", errNoLinks, objstore.KindUnsupported},
		{"put", path(syscall.ENAMETOOLONG), objstore.KindInvalid},
		{"put", path(syscall.ENOTDIR), objstore.KindInvalid},
		{"get", path(syscall.ENOTDIR), objstore.KindNotFound},
		{"get", path(syscall.ENOENT), objstore.KindNotFound},
		{"get", path(syscall.EMFILE), objstore.KindUnavailable},
		{"get", path(syscall.EIO), objstore.KindUnknown},
	} {
		if got := objstore.KindOf(failed(c.op, "k", c.err)); got != c.want {
			t.Errorf("%s: %v is %v, want %v", c.op, c.err, got, c.want)
		}
	}
	// A disk that is full when the object has its name already is no proof that nothing was written.
	err := failed("put", "k", &unsettled{path(syscall.ENOSPC)})
	if !objstore.Unknown(err) {
		t.Errorf("%v counts as settled", err)
	}
}

func TestEncoding(t *testing.T) {
	for segment, name := range map[string]string{
		"plain": "plain", ".x": "%2Ex", "a.b": "a.b", "50%": "50%25", `a\b:c`: "a%5Cb%3Ac", "ä ö": "ä ö",
	} {
		if got := encode(segment); got != name {
			t.Errorf("%q is named %q, want %q", segment, got, name)
		}
		if got, ok := decode(name); !ok || got != segment {
			t.Errorf("%q decodes to %q, %t", name, got, ok)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			body := make([]byte, size)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				key := fmt.Sprintf("job/data/1/2/%d", i)
				if _, err := s.Put(b.Context(), key, body, objstore.Absent); err != nil {
					b.Fatal(err)
				}
				if err := s.Delete(b.Context(), key); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}
