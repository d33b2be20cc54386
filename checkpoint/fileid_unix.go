//go:build unix

package checkpoint

import (
	"encoding/binary"
	"io/fs"
	"syscall"
)

// identity says which file this is and which state of it: device, inode, size and modification time. Together with the part's name it stands for the
// content of a file that was declared immutable; the time keeps an inode that was used again apart.
func identity(st fs.FileInfo) []byte {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(sys.Dev)) //nolint:unconvert // narrower on some systems
	b = binary.LittleEndian.AppendUint64(b, uint64(sys.Ino))    //nolint:unconvert // narrower on some systems
	b = binary.LittleEndian.AppendUint64(b, uint64(st.Size()))
	return binary.LittleEndian.AppendUint64(b, uint64(st.ModTime().UnixNano()))
}

// sameState reports whether a file was neither replaced nor written between two looks at it.
func sameState(a, b fs.FileInfo) bool {
	return string(identity(a)) == string(identity(b)) && a.Mode() == b.Mode()
}
