//go:build !unix

package checkpoint

import "io/fs"

// stateOfInfo gives what package os tells of a file the form of this package. Files are not numbered here, so each is read.
func stateOfInfo(st fs.FileInfo) fileState {
	return fileState{size: st.Size(), stored: st.Size(), modifiedNs: st.ModTime().UnixNano(), mode: uint32(st.Mode().Perm()), regular: st.Mode().IsRegular()}
}
