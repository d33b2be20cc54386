//go:build !unix

package filestore

import (
	"errors"
	"os"
)

// tryLock fails: without flock nothing excludes another process.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
