package emulator

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"sync/atomic"
)

// disk keeps the bytes of objects in files. Their names are numbers, so that no name of an object can be a path, and
// os.Root would stop it if it could.
type disk struct {
	parent, root *os.Root
	name         string // of root in parent
	files        atomic.Int64
}

// diskFile is one object's bytes.
type diskFile struct {
	disk *disk
	name string
}

// openDisk makes a directory of its own in dir, which therefore several servers can share.
func openDisk(dir string) (*disk, error) {
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("emulator: open the directory for objects: %w", err)
	}
	d := &disk{parent: parent, name: "emulator-" + rand.Text()}
	if err = parent.Mkdir(d.name, 0o700); err == nil {
		d.root, err = parent.OpenRoot(d.name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("emulator: make a directory for objects in %s: %w", dir, err), parent.Close())
	}
	return d, nil
}

// close removes everything.
func (d *disk) close() error {
	return errors.Join(d.root.Close(), d.parent.RemoveAll(d.name), d.parent.Close())
}

// write stores parts one after the other in a new file and returns its content and CRC32C.
func (d *disk) write(parts ...content) (c content, crc uint32, err error) {
	name := strconv.FormatInt(d.files.Add(1), 10)
	file, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return content{}, 0, err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, d.root.Remove(name))
		}
	}()
	sum := crc32.New(castagnoli)
	c.file = &diskFile{d, name}
	for _, part := range parts {
		n, err := part.WriteTo(io.MultiWriter(file, sum))
		if err != nil {
			return content{}, 0, err
		}
		c.size += n
	}
	return c, sum.Sum32(), nil
}

// open returns n bytes from offset off on. They stay readable when the object goes meanwhile.
func (f *diskFile) open(off, n int64) (io.ReadCloser, error) {
	file, err := f.disk.root.Open(f.name)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(off, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &openFile{io.LimitedReader{R: file, N: n}, file}, nil
}

type openFile struct {
	io.LimitedReader
	io.Closer
}

// WriteTo lets io.Copy see the file, which the kernel then sends by itself.
func (o *openFile) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, &o.LimitedReader) }

// remove leaves a file behind if it fails, which close removes.
func (f *diskFile) remove() { _ = f.disk.root.Remove(f.name) }
