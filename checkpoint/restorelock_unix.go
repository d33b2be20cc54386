//go:build unix

package checkpoint

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes the lock of a directory if nobody has it; it ends with the file, and with the process. A file system without locks grants it.
func tryLock(dir *os.File) (bool, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) {
		for {
			lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(lockErr, unix.EINTR) {
				return
			}
		}
	})
	return !errors.Is(lockErr, unix.EWOULDBLOCK), err
}
