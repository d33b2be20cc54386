package checkpoint

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// opener opens the files of one directory tree by descriptor: an os.File costs eight system calls more for each file, and a root that
// walks each name from its top costs one more for each directory in it.
type opener struct {
	root *os.Root
	dir  *os.File // of root
	fd   int      // of dir
}

func newOpener(root *os.Root) (*opener, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	return &opener{root: root, dir: dir, fd: int(dir.Fd())}, nil
}

func (o *opener) close() { _ = o.dir.Close() } // it was only read

// open opens a file below the root for reading. Links are not followed: what is to be saved was seen as a file.
func (o *opener) open(name string) (localFile, error) {
	fd, err := o.below(name, 0)
	if errors.Is(err, errNoOpenat2) {
		return openSlowly(o.root, name)
	}
	if err != nil {
		return nil, err
	}
	return descriptor(fd), nil
}

// openDir opens a directory. A directory that is opened through a root looks at each of its entries when it is read, which nobody needs here.
func (o *opener) openDir(name string) (*os.File, error) {
	fd, err := o.below(name, unix.O_DIRECTORY)
	if errors.Is(err, errNoOpenat2) {
		return o.root.Open(name)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(o.root.Name(), name)), nil
}

var errNoOpenat2 = errors.New("no openat2")

func (o *opener) below(name string, flags uint64) (fd int, err error) {
	// Without O_NONBLOCK, a FIFO that took the file's place would be waited for.
	how := &unix.OpenHow{
		Flags:   flags | unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS,
	}
	for {
		fd, err = unix.Openat2(o.fd, name, how)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // EAGAIN: something was renamed meanwhile
			continue
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO): // a link, a socket
			return -1, errFileMoved
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // an old kernel; a sandbox
			return -1, errNoOpenat2
		}
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
}

// state looks at a file by name.
func (o *opener) state(name string) (fileState, error) {
	var st unix.Stat_t
	err := restart(func() error { return unix.Fstatat(o.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return fileState{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return stateOf(&st), nil
}

func stateOf(st *unix.Stat_t) fileState {
	return fileState{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size, modifiedNs: st.Mtim.Nano(), stored: st.Blocks * 512, //nolint:unconvert // narrower on some systems
		mode: st.Mode & 0o777, regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
	}
}

// descriptor is an open file.
type descriptor int

func (d descriptor) state() (fileState, error) {
	var st unix.Stat_t
	if err := restart(func() error { return unix.Fstat(int(d), &st) }); err != nil {
		return fileState{}, err
	}
	return stateOf(&st), nil
}

func (d descriptor) ReadAt(p []byte, off int64) (n int, err error) {
	err = restart(func() (err error) { n, err = unix.Pread(int(d), p, off); return err })
	switch {
	case err != nil:
		return 0, err
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (d descriptor) Close() error { return unix.Close(int(d)) }

// dataFrom finds the first stretch that is no hole, from off on; [end, end) if there is none up to end.
func (d descriptor) dataFrom(off, end int64) (from, to int64) { return seekData(int(d), off, end) }

func seekData(fd int, off, end int64) (from, to int64) {
	from, err := unix.Seek(fd, off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO), err == nil && from >= end:
		return end, end
	case err != nil:
		return off, end // a file system that does not tell: everything is data
	}
	to, err = unix.Seek(fd, from, unix.SEEK_HOLE)
	if err != nil || to > end {
		to = end
	}
	// Pages are read whole.
	return max(off, from&^(pageSize-1)), min(end, (to+pageSize-1)&^(pageSize-1))
}

func restart(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
