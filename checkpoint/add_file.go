package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// localFile is an open file that is being saved.
type localFile interface {
	io.ReaderAt
	io.Closer
	state() (fileState, error)
	// dataFrom returns the first stretch from off on, up to end, that is no hole, in whole pages.
	dataFrom(off, end int64) (from, to int64)
}

// fileState says which file something is, and which state of it, as far as a file system tells.
type fileState struct {
	dev, ino   uint64
	size       int64
	modifiedNs int64
	stored     int64  // bytes that it takes on the disk
	mode       uint32 // permission bits
	regular    bool
}

// sparse reports whether there may be holes. A file system that compresses has files like that without any, which costs two system calls.
func (s fileState) sparse() bool { return s.stored < s.size }

// same reports whether a file was neither replaced nor written between two looks at it.
func (s fileState) same(o fileState) bool {
	return s.dev == o.dev && s.ino == o.ino && s.size == o.size && s.modifiedNs == o.modifiedNs && s.mode == o.mode && s.regular == o.regular
}

// identity stands, together with the part's name, for the content of a file that was declared immutable; the time keeps an inode that was used again
// apart. Empty where the system does not number files.
func (s fileState) identity() []byte {
	if s.ino == 0 {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, identitySize), s.dev)
	b = binary.LittleEndian.AppendUint64(b, s.ino)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.size))
	return binary.LittleEndian.AppendUint64(b, uint64(s.modifiedNs))
}

const (
	inodeBytes   = 16 // of an identity: device and inode
	identitySize = 32
)

func sameInode(a, b []byte) bool {
	return len(a) == identitySize && len(b) == identitySize && string(a[:inodeBytes]) == string(b[:inodeBytes])
}

func sizeIn(identity []byte) uint64 { return binary.LittleEndian.Uint64(identity[inodeBytes:]) }

// osFile is a localFile by means of package os alone.
type osFile struct{ *os.File }

func openSlowly(root *os.Root, name string) (localFile, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) state() (fileState, error) {
	st, err := f.Stat()
	if err != nil {
		return fileState{}, err
	}
	return stateOfInfo(st), nil
}

func (f osFile) dataFrom(off, end int64) (from, to int64) { return off, end }

// mustBeEmpty refuses a file that has content although its size is zero, like those of /proc.
func mustBeEmpty(f localFile) error {
	var one [1]byte
	n, err := f.ReadAt(one[:], 0)
	switch {
	case n > 0:
		return errFileMoved
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// AddFile saves one file as the part name, with mode and modification time. A file that changes meanwhile is read again, then ErrChanged.
func (w *Writer) AddFile(name, file string, opts ...PartOption) error {
	choose, err := chooserOf(opts)
	if err != nil {
		return w.fail(ErrInvalid, name, err, "")
	}
	file, err = filepath.EvalSymlinks(file)
	if err != nil {
		return w.partError(name, err)
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return w.partError(name, err)
	}
	defer func() { _ = root.Close() }()
	st, err := root.Lstat(filepath.Base(file))
	if err != nil {
		return w.partError(name, err)
	}
	if !st.Mode().IsRegular() {
		return w.fail(ErrInvalid, name, fmt.Errorf("%s is not a regular file", file), "")
	}
	if err := w.reserve(name); err != nil {
		return err
	}
	o, err := newOpener(root)
	if err != nil {
		return w.partError(name, err)
	}
	defer o.close()
	return w.addFile(name, o, filepath.Base(file), choose(path.Base(name)))
}

// fileTries is how often a file that changes while it is read is read anew before the save gives up.
const fileTries = 3

// addFile saves a regular file below o under a reserved name.
func (w *Writer) addFile(name string, o *opener, file string, by choice) error {
	for range fileTries {
		part, err := w.saveFile(name, o, file, by)
		switch {
		case err == nil:
			return w.keep(part)
		case errors.Is(err, fs.ErrNotExist): // it was there a moment ago
			return w.fail(ErrChanged, name, fmt.Errorf("file %s vanished while it was saved: %w", file, err), snapshotHint)
		case !errors.Is(err, errFileMoved):
			return w.partError(name, err)
		}
	}
	return w.fail(ErrChanged, name, fmt.Errorf("file %s changed each of %d times that it was read", file, fileTries), snapshotHint)
}

const snapshotHint = "save a snapshot of the state, not the live files"

var errFileMoved = errors.New("the file changed while it was read")

func (w *Writer) saveFile(name string, o *opener, file string, by choice) (*format.Part, error) {
	f, err := o.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := f.state()
	if err != nil {
		return nil, err
	}
	if !st.regular {
		return nil, errFileMoved
	}
	part := &format.Part{Name: []byte(name), Kind: format.Part_FILE, Mode: st.mode, ModifiedNs: st.modifiedNs}
	if by == byIdentity || by == byTail {
		part.Identity = st.identity()
	}
	was, err := w.compareWith(part)
	if err != nil {
		return nil, err
	}
	if was != nil && len(part.Identity) > 0 && string(was.Identity) == string(part.Identity) && !slices.ContainsFunc(was.Segments, w.base.mustMove) {
		return w.sameFile(part, was), nil
	}
	known := int64(0)
	if by == byTail {
		known = grownFrom(part, was)
	}
	w.opts.Progress.Total.Add(st.size)
	if by == byContent {
		err = w.saveByContent(w.ctx, part, was, io.NewSectionReader(f, 0, st.size), true)
	} else {
		err = w.saveRegular(w.ctx, part, was, f, st, known)
	}
	if err != nil {
		w.opts.Progress.Total.Add(-st.size)
		return nil, err
	}
	after, err := o.state(file)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !st.same(after)) {
		w.opts.Progress.Bytes.Add(-st.size)
		w.opts.Progress.Total.Add(-st.size)
		return nil, errFileMoved
	}
	return part, err
}

// grownFrom is how many bytes of an append-only file the base has: those of the same inode that has not become shorter.
func grownFrom(part, was *format.Part) int64 {
	if was == nil || len(part.Identity) == 0 || !sameInode(part.Identity, was.Identity) || was.SegmentSize != segmentSize {
		return 0
	}
	if sizeIn(was.Identity) != was.Size || sizeIn(part.Identity) < was.Size {
		return 0
	}
	part.Method = format.Part_APPEND
	return int64(was.Size)
}

// sameFile refers to a part of the base without reading the file.
func (w *Writer) sameFile(part, was *format.Part) *format.Part {
	part.Method = format.Part_IDENTITY
	part.Size, part.SegmentSize, part.Chunks = was.Size, was.SegmentSize, was.Chunks
	for _, s := range was.Segments {
		part.Segments = append(part.Segments, w.carrySegment(s))
	}
	w.opts.Progress.Total.Add(int64(part.Size))
	w.opts.Progress.Bytes.Add(int64(part.Size))
	return part
}
