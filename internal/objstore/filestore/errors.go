package filestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// What a file system cannot do and an object store can.
var (
	errPrefix = errors.New("other objects have this key and a slash as their prefix: a file cannot be a directory too")
	errBelow  = errors.New("there is an object whose key is a prefix of this one: a file cannot be a directory too")
)

var (
	errNoLinks  = fmt.Errorf("the file system has no hard links, which exclusive creation needs: %w", errors.ErrUnsupported)
	errRootGone = errors.New("the store's directory was removed while it was open")
	errNegative = errors.New("the offset is negative")
)

// unsettled is a failure after the object got its name: it may or may not survive a power cut.
type unsettled struct{ err error }

func (u *unsettled) Error() string { return "written, but perhaps not durable: " + u.err.Error() }
func (u *unsettled) Unwrap() error { return u.err }

func failed(op, key string, err error) error {
	return &objstore.Error{Kind: kindOf(op, err), Op: op, Key: key, Err: err}
}

func kindOf(op string, err error) objstore.Kind {
	var after *unsettled
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return objstore.KindUnknown
	case errors.As(err, &after):
		return objstore.KindUnknown // whatever the cause: not one of the kinds that say that nothing was written
	case is(errPrefix, errBelow, errNegative):
		return objstore.KindInvalid
	case is(syscall.ENOTDIR, syscall.EISDIR):
		if op == "put" {
			return objstore.KindInvalid // an object is where the key needs a directory
		}
		return objstore.KindNotFound
	case is(fs.ErrExist):
		return objstore.KindPrecondition
	case is(fs.ErrNotExist):
		return objstore.KindNotFound
	case is(fs.ErrPermission, syscall.EROFS):
		return objstore.KindPermission
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return objstore.KindNoSpace
	case is(syscall.ENAMETOOLONG):
		return objstore.KindInvalid
	case is(errors.ErrUnsupported):
		return objstore.KindUnsupported
	case is(io.ErrUnexpectedEOF):
		return objstore.KindCorrupt
	case is(syscall.ETIMEDOUT, syscall.ESTALE, syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.EINTR):
		return objstore.KindUnavailable
	}
	return objstore.KindUnknown
}
