//go:build unix

package checkpoint

import (
	"io/fs"
	"syscall"
)

// stateOfInfo gives what package os tells of a file the form of this package.
func stateOfInfo(st fs.FileInfo) fileState {
	s := fileState{size: st.Size(), stored: st.Size(), modifiedNs: st.ModTime().UnixNano(), mode: uint32(st.Mode().Perm()), regular: st.Mode().IsRegular()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino = uint64(sys.Dev), uint64(sys.Ino) //nolint:unconvert // narrower on some systems
	}
	return s
}
