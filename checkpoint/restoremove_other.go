//go:build !unix

package checkpoint

import (
	"os"
	"path/filepath"
)

// rename moves an entry of one directory to another, under the same name.
func rename(from, to *os.File, name string) error {
	return os.Rename(filepath.Join(from.Name(), name), filepath.Join(to.Name(), name))
}
