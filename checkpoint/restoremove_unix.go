//go:build unix

package checkpoint

import (
	"os"

	"golang.org/x/sys/unix"
)

// rename moves an entry of one open directory to another, under the same name, which is a single one. os.Root would open the directories each time.
func rename(from, to *os.File, name string) error {
	err := unix.Renameat(int(from.Fd()), name, int(to.Fd()), name)
	if err != nil {
		return &os.LinkError{Op: "renameat", Old: name, New: name, Err: err}
	}
	return nil
}
