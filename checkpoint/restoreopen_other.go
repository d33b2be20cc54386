//go:build !unix

package checkpoint

import (
	"os"
	"path/filepath"
	"time"
)

// openIn opens the entry base of an open directory.
func openIn(dir *os.File, base string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir.Name(), base), flag, mode)
}

// setTime sets when the entry base of an open directory was modified and read last.
func setTime(dir *os.File, base string, at time.Time) error {
	return os.Chtimes(filepath.Join(dir.Name(), base), at, at)
}
