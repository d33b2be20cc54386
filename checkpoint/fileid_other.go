//go:build !unix

package checkpoint

import "io/fs"

// identity is unknown here, so every file is read.
func identity(fs.FileInfo) []byte { return nil }

// sameState reports whether a file was not written between two looks at it.
func sameState(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}
