package crash

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is one system call that changes files.
type Call struct {
	N      int    // the how manieth of its program, from 1
	Name   string // "write"
	Done   bool   // it has returned
	Failed bool   // with an error

	pid, fd int // fd is what it works on; -1 for calls by name
}

// String names the call for a log.
func (c Call) String() string {
	when := "before"
	if c.Done {
		when = "after"
	}
	return fmt.Sprintf("%s call %d, %s %s", when, c.N, c.Name, c.Path())
}

// Path is where the file of a call on an open file was opened; empty for calls by name.
func (c Call) Path() string {
	if c.fd < 0 {
		return ""
	}
	name, _ := os.Readlink(c.link()) // a process that is gone has no files
	return name
}

func (c Call) link() string { return "/proc/" + strconv.Itoa(c.pid) + "/fd/" + strconv.Itoa(c.fd) }

// changing are the calls that Go programs change files with. onFile: the first argument is the open file.
var changing = map[uint64]struct {
	name   string
	onFile bool
}{
	unix.SYS_OPENAT: {"openat", false}, unix.SYS_MKDIRAT: {"mkdirat", false}, unix.SYS_LINKAT: {"linkat", false}, unix.SYS_SYMLINKAT: {"symlinkat", false},
	unix.SYS_RENAMEAT: {"renameat", false}, unix.SYS_RENAMEAT2: {"renameat2", false}, unix.SYS_UNLINKAT: {"unlinkat", false},
	unix.SYS_FCHMODAT: {"fchmodat", false}, unix.SYS_FCHMODAT2: {"fchmodat2", false}, unix.SYS_UTIMENSAT: {"utimensat", false},
	unix.SYS_WRITE: {"write", true}, unix.SYS_PWRITE64: {"pwrite64", true}, unix.SYS_WRITEV: {"writev", true}, unix.SYS_PWRITEV: {"pwritev", true},
	unix.SYS_FSYNC: {"fsync", true}, unix.SYS_FDATASYNC: {"fdatasync", true}, unix.SYS_FTRUNCATE: {"ftruncate", true}, unix.SYS_FALLOCATE: {"fallocate", true},
	unix.SYS_FCHMOD: {"fchmod", true}, unix.SYS_COPY_FILE_RANGE: {"copy_file_range", true},
}

// describe is nil for a call that changes no file: also an openat that creates nothing, and a write to a pipe or socket.
func (t *tracer) describe(info *callInfo) *Call {
	kind, ok := changing[info.nr]
	if !ok {
		return nil
	}
	c := &Call{Name: kind.name, pid: t.pid, fd: -1}
	switch {
	case info.nr == unix.SYS_OPENAT && info.args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0:
		return nil
	case info.nr == unix.SYS_COPY_FILE_RANGE:
		c.fd = int(info.args[2]) // the first is where it reads
	case kind.onFile:
		c.fd = int(info.args[0])
	}
	if c.fd >= 0 && !strings.HasPrefix(c.Path(), "/") {
		return nil
	}
	return c
}

// callInfo is struct ptrace_syscall_info of linux/ptrace.h: alike on all architectures.
type callInfo struct {
	op   uint8
	_    [3]uint8
	_    uint32
	_, _ uint64    // instruction and stack pointers
	nr   uint64    // at the entry; at the exit, what the call returned
	args [6]uint64 // at the entry; at the exit, the lowest byte says whether that was an error
	_    [8]byte
}

const (
	opEntry = 1
	opExit  = 2
)

func (i *callInfo) failed() bool { return i.args[0]&0xff != 0 }

var errNoInfo = errors.New("the kernel does not describe system calls (Linux 5.3 does)")

func syscallInfo(pid int) (*callInfo, error) {
	var info callInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(pid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	switch {
	case errno == unix.EIO:
		return nil, errNoInfo
	case errno != 0:
		return nil, errno
	}
	return &info, nil
}
