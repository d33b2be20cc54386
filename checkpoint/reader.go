package checkpoint

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"
)

// Checkpoint is a committed, immutable set of parts.
type Checkpoint struct{}

// Info is what HEAD says of it.
func (c *Checkpoint) Info() Info { return Info{} }

// Parts lists the parts in the order of their names. The first call reads the manifest.
func (c *Checkpoint) Parts(ctx context.Context) ([]PartInfo, error) {
	return nil, errors.ErrUnsupported
}

// Metadata returns the job's own values.
func (c *Checkpoint) Metadata(ctx context.Context) (map[string][]byte, error) {
	return nil, errors.ErrUnsupported
}

// PartInfo describes one part.
type PartInfo struct {
	Name     string
	Kind     PartKind
	Bytes    int64
	NewBytes int64 // that this checkpoint had to upload for it
	Chunks   int64
	Mode     fs.FileMode
	Modified time.Time // zero for a stream
	Method   string    // how it was saved: "full", "pages", "identity"
	Reason   string    // why that method
}

// PartKind tells what a part was.
type PartKind string

// The kinds of part.
const (
	KindStream    PartKind = "stream"
	KindFile      PartKind = "file"
	KindDirectory PartKind = "directory"
	KindSymlink   PartKind = "symlink"
)

// Open reads one part; every byte is verified before it is handed on. ErrNotFound if there is no such part. ctx bounds all reads.
func (c *Checkpoint) Open(ctx context.Context, part string) (*PartReader, error) {
	return nil, errors.ErrUnsupported
}

// PartReader reads one part, in sequence or at random.
type PartReader struct {
	io.ReadSeekCloser
	io.ReaderAt
}

// Size is the length of the part in bytes.
func (r *PartReader) Size() int64 { return 0 }

// RestoreOptions tune a restore.
type RestoreOptions struct {
	Match    string // only parts whose name (below the prefix) matches this glob: * and ? stay inside a segment, ** crosses them
	Force    bool   // into a directory that is not empty: files of equal name are replaced, others stay
	Progress *Progress
}

// RestoreReport says what a restore did.
type RestoreReport struct {
	Checkpoint uint64
	Parts      int64
	Bytes      int64
	Requests   Requests
}

// RestoreDir writes the parts prefix/... (prefix "": all) below dir, creating it. Nothing partial is left under its final name. A stream
// becomes a file. ErrInvalid if dir is not empty and Force is not set, or a name would leave dir; ErrNotFound if no part is selected.
func (c *Checkpoint) RestoreDir(ctx context.Context, prefix, dir string, opts *RestoreOptions) (RestoreReport, error) {
	return RestoreReport{}, errors.ErrUnsupported
}

// Pin keeps the checkpoint from being retired until the lease is released or ttl has passed, whoever trims.
func (c *Checkpoint) Pin(ctx context.Context, holder string, ttl time.Duration) (*Lease, error) {
	return nil, errors.ErrUnsupported
}

// Lease is a reader's pin.
type Lease struct{}

// Release ends the lease.
func (l *Lease) Release(ctx context.Context) error { return nil }
