package checkpoint

import (
	"context"
	"errors"
	"io"
)

// Writer is one save under way. Its methods may be called from several goroutines.
type Writer struct{}

// PartOption says how a part is saved. Default: compared page by page with the base checkpoint.
type PartOption interface{ apply(*partOptions) }

type partOptions struct{}

// Immutable declares files that never change once written (Pebble's "*.sst"): one whose name, size, time and inode are
// those of the base checkpoint is referred to without being read. Patterns are path.Match's, applied to the base name, or to the
// whole relative name if they contain a slash. For AddFile no pattern is needed.
func Immutable(patterns ...string) PartOption { return nil }

// Checkpoint is the number that this save will have.
func (w *Writer) Checkpoint() uint64 { return 0 }

// Add saves a stream as the part name. It returns when r is read; the upload goes on behind.
func (w *Writer) Add(name string, r io.Reader, opts ...PartOption) error {
	return errors.ErrUnsupported
}

// AddFile saves one file as the part name, with mode and modification time.
func (w *Writer) AddFile(name, path string, opts ...PartOption) error { return errors.ErrUnsupported }

// AddDir saves a directory: each file is the part prefix/relative-name (prefix "" for none). A file that changes meanwhile is read again, then ErrChanged.
func (w *Writer) AddDir(prefix, dir string, opts ...PartOption) error { return errors.ErrUnsupported }

// SetMetadata keeps a value of the job's own (offsets, positions) with the checkpoint. At most 1 MiB in all.
func (w *Writer) SetMetadata(key string, value []byte) {}

// Commit waits for the uploads and makes the checkpoint visible, atomically: after an error it is either not visible, or, where the error is ErrUnavailable
// or the context's, its fate is unknown and Latest tells.
func (w *Writer) Commit(ctx context.Context) (Info, error) { return Info{}, errors.ErrUnsupported }

// Abort ends the save without a trace in HEAD. After Commit it does nothing, so it can be deferred.
func (w *Writer) Abort() error { return nil }
