package emulator

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"cloud.google.com/go/storage"
)

// filesBelow lists the regular files in dir, as paths relative to it.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestStorageOnDisk(t *testing.T) {
	around := t.TempDir()
	dir := filepath.Join(around, "a", "b")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, srv := newTestStorage(t, &StorageOptions{Dir: dir, Memory: 1 << 20})
	b := newTestClient(t, srv).Bucket(testBucket)
	body := noise(600 << 10)
	names := []string{"o", "../../escaped", "/etc/x", "a/../../../b", "1", "con", "with\x00nul"}
	for _, name := range names {
		for _, chunkSize := range []int{0, 256 << 10} { // the second replaces the first
			if _, err := put(t.Context(), b.Object(name), body, chunkSize); err != nil {
				t.Fatalf("put %q: %v", name, err)
			}
		}
		if got, _, err := get(t.Context(), b.Object(name), 0, -1); err != nil || !bytes.Equal(got, body) {
			t.Errorf("get %q: %d bytes, %v", name, len(got), err)
		}
		if got, _, err := get(t.Context(), b.Object(name), 1000, 3000); err != nil || !bytes.Equal(got, body[1000:4000]) {
			t.Errorf("range of %q: %d bytes, %v", name, len(got), err)
		}
	}
	files := filesBelow(t, dir)
	if len(files) != len(names) || !slices.Equal(files, filesBelow(t, around)) {
		t.Errorf("%d objects are in %q, around it %q", len(names), files, filesBelow(t, around))
	}
	if used := s.memory.used.Load(); used != 0 {
		t.Errorf("%d bytes are in memory", used)
	}

	composed, err := b.Object("composed").ComposerFrom(b.Object("o"), b.Object("1")).Run(t.Context())
	if err != nil || composed.Size != 2*int64(len(body)) {
		t.Fatalf("composed: %+v, %v", composed, err)
	}
	if _, err := b.Object("copy").CopierFrom(b.Object("composed")).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "composed") {
		if err := b.Object(name).Delete(t.Context()); err != nil {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if got, _, err := get(t.Context(), b.Object("copy"), 0, -1); err != nil || !bytes.Equal(got, slices.Concat(body, body)) {
		t.Errorf("copy: %d bytes, %v", len(got), err)
	}
	_, err = put(t.Context(), b.Object("copy").If(storage.Conditions{DoesNotExist: true}), body, 0)
	wantStatus(t, err, http.StatusPreconditionFailed)
	if files := filesBelow(t, dir); len(files) != 1 {
		t.Errorf("one object is in %q", files)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("Close left %v, %v", left, err)
	}
}

// Readers of an object that is replaced all the time get one of its versions, whole.
func TestStorageOnDiskReadsWhileItIsReplaced(t *testing.T) {
	_, srv := newTestStorage(t, &StorageOptions{Dir: t.TempDir()})
	b := newTestClient(t, srv).Bucket(testBucket)
	mustPut(t, b.Object("o"), bytes.Repeat([]byte{0}, 100_000))
	race(8, func(i int) {
		for j := range 30 {
			if i < 4 {
				if _, err := put(t.Context(), b.Object("o"), bytes.Repeat([]byte{byte(j)}, 100_000), 0); err != nil {
					t.Error(err)
				}
				continue
			}
			// The client compares the CRC32C.
			if got, _, err := get(t.Context(), b.Object("o"), 0, -1); err != nil || len(got) != 100_000 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	})
}

func TestStorageDirThatCannotBeUsed(t *testing.T) {
	s := NewStorage(&StorageOptions{Dir: filepath.Join(t.TempDir(), "none"), AutoCreate: true})
	if err := s.CreateBucket(testBucket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create bucket: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A file that somebody took away is an error, not an endless search.
func TestStorageOnDiskMissesAFile(t *testing.T) {
	dir := t.TempDir()
	_, srv := newTestStorage(t, &StorageOptions{Dir: dir})
	b := newTestClient(t, srv).Bucket(testBucket)
	mustPut(t, b.Object("o"), []byte("x"))
	for _, file := range filesBelow(t, dir) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := get(t.Context(), b.Object("o"), 0, -1)
	wantStatus(t, err, http.StatusInternalServerError)
	_, err = b.Object("copy").CopierFrom(b.Object("o")).Run(t.Context())
	wantStatus(t, err, http.StatusServiceUnavailable)
}
