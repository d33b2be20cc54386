package checkpoint

import (
	"errors"
	"io/fs"
	"syscall"
)

// localError gives an error of the local file system the public form.
func localError(err error, op, job string, checkpoint uint64) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	out := &Error{Op: op, Job: job, Checkpoint: checkpoint, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		out.Kind, out.Hint = ErrNoSpace, "free space, then run it again; nothing that was committed is lost"
	case errors.Is(err, fs.ErrPermission):
		out.Kind, out.Hint = ErrInvalid, "check the owner and mode of the local file"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		out.Kind = ErrInvalid
	default:
		return wrap(err, op, job, checkpoint)
	}
	return out
}
