package checkpoint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

const (
	// fullDiskEnv makes a run of this test binary a child of TestRestoreOnFullDisk; it says what fills.
	fullDiskEnv   = "TIDEMARK_TEST_FULL_DISK"
	byFileSystem  = "file system"
	bySizeOfFiles = "size of files"
	// noFileSystem is how a child exits that was not allowed to mount one.
	noFileSystem = 77
)

// A child has a small file system of its own, in name spaces for which no privilege is needed. Some systems keep even those from their users; so another child has
// no more than a limit on the size of its files, under which writes fail everywhere.
func TestRestoreOnFullDisk(t *testing.T) {
	if limit := os.Getenv(fullDiskEnv); limit != "" {
		restoreOnFullDisk(t, limit)
		return
	}
	for limit, attr := range map[string]*syscall.SysProcAttr{
		byFileSystem: {
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		},
		bySizeOfFiles: nil,
	} {
		t.Run(limit, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRestoreOnFullDisk$")
			cmd.Env = append(os.Environ(), fullDiskEnv+"="+limit)
			cmd.SysProcAttr = attr
			out, err := cmd.CombinedOutput()
			var ended *exec.ExitError
			switch {
			case limit == byFileSystem && (err != nil && !errors.As(err, &ended) || cmd.ProcessState.ExitCode() == noFileSystem):
				t.Logf("users get no file system of their own here, the limit on the size of files has to do: %v %s", err, out)
			case err != nil:
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func restoreOnFullDisk(t *testing.T, limit string) {
	dir, cause := t.TempDir(), syscall.ENOSPC
	if limit == byFileSystem {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Log(err)
			os.Exit(noFileSystem)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
	} else {
		cause = syscall.EFBIG
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	s := openMem(t, memstore.New())
	mustSave(t, s, "j", files{"state/a": noise(1, 100_000), "state/b": noise(2, 5<<20)})
	_, err := mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(context.Background(), "", filepath.Join(dir, "out"), nil)
	if !errors.Is(err, cause) {
		t.Errorf("the cause is lost: %v", err)
	}
	if err == nil || !strings.Contains(err.Error(), `part "state/b"`) {
		t.Errorf("the error does not say which part: %v", err)
	}
	if limit == byFileSystem {
		if e := wantKind(t, err, ErrNoSpace); e.Part != "state/b" || e.Hint == "" {
			t.Errorf("the error says too little: %+v", e)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What a full disk and a used-up quota say is told apart from other failures.
func TestFullDiskIsNamed(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := localError(&os.PathError{Op: "write", Path: "out/b", Err: cause}, "restore", "j", 1)
		if e := wantKind(t, err, ErrNoSpace); e.Hint == "" || !errors.Is(err, cause) {
			t.Errorf("the error says too little: %+v", e)
		}
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
