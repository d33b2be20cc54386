package checkpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestRestoreOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system of its own, and mounting one failed: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"a": noise(1, 100_000), "b": noise(2, 5<<20)})
	_, err := mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(context.Background(), "", filepath.Join(dir, "out"), nil)
	if e := wantKind(t, err, ErrNoSpace); e.Part != "b" || e.Hint == "" {
		t.Errorf("the error says too little: %+v", e)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// allocated is how many bytes of disk a file takes.
func allocated(t *testing.T, file string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(file, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// Holes come back as holes.
func TestZerosAreNotWritten(t *testing.T) {
	src := files{"db": append(make([]byte, 64<<20), 1)}.write(t, t.TempDir())
	c := saveDir(t, openMem(t, memstore.New()), src)
	dir := filepath.Join(t.TempDir(), "new")
	mustRestore(t, c, dir, src, nil)
	if n := allocated(t, filepath.Join(dir, "db")); n > 1<<20 {
		t.Errorf("%d bytes are allocated for one that is not zero", n)
	}
}
