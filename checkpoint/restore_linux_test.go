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
