package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Disk follows what of a directory would survive a power cut while a traced program works in it. It knows what POSIX promises and no more: fsync of a
// file makes its content and size sure, fsync of a directory the names that are in it, each nothing else.
//
// What lies there when it is made counts as durable.
type Disk struct {
	dir     string
	files   map[inode]*file
	pending map[int]func() // by the number of a sync that has begun: what its success makes sure
}

type inode struct{ dev, number uint64 }

// file is a file or directory that was seen. It is kept open, so that its number is not given to another one.
type file struct {
	open    *os.File
	mode    fs.FileMode
	content []byte           // that is sure, of a file
	entries map[string]inode // that are sure, of a directory
}

// NewDisk watches dir.
func NewDisk(dir string) (*Disk, error) {
	d := &Disk{dir: dir, files: map[inode]*file{}, pending: map[int]func(){}}
	if err := d.settle(dir); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close lets go of the files.
func (d *Disk) Close() error {
	var errs []error
	for _, f := range d.files {
		if f.open != nil {
			errs = append(errs, f.open.Close())
		}
	}
	d.files = nil
	return errors.Join(errs...)
}

// settle makes everything below name durable.
func (d *Disk) settle(name string) error {
	_, f, err := d.see(name)
	if err != nil {
		return err
	}
	if !f.mode.IsDir() {
		f.content, err = readAll(f)
		return err
	}
	if f.entries, err = d.list(name); err != nil {
		return err
	}
	for entry := range f.entries {
		if err := d.settle(filepath.Join(name, entry)); err != nil {
			return err
		}
	}
	return nil
}

// see finds a file by a name, and keeps it. A name in /proc of an open file works too.
func (d *Disk) see(name string) (inode, *file, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return inode{}, nil, err
	}
	f := &file{mode: info.Mode()}
	switch id, err := inodeOf(info); {
	case err != nil:
		return inode{}, nil, err
	case d.files[id] != nil:
		return id, d.files[id], nil
	case f.mode&fs.ModeSymlink != 0:
		d.files[id] = f
		return id, f, nil
	case !f.mode.IsRegular() && !f.mode.IsDir():
		return inode{}, nil, fmt.Errorf("%s is neither a file nor a directory", name)
	}
	if f.open, err = os.Open(name); err != nil {
		return inode{}, nil, err
	}
	// The name may be another file's by now.
	if info, err = f.open.Stat(); err != nil {
		return inode{}, nil, errors.Join(err, f.open.Close())
	}
	id, err := inodeOf(info)
	if known := d.files[id]; err != nil || known != nil {
		return id, known, errors.Join(err, f.open.Close())
	}
	f.mode = info.Mode()
	d.files[id] = f
	return id, f, nil
}

func inodeOf(info fs.FileInfo) (inode, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, fmt.Errorf("%s: the system does not tell inodes", info.Name())
	}
	return inode{uint64(st.Dev), st.Ino}, nil //nolint:unconvert // not 64 bits wide everywhere
}

// list is what a directory holds at the moment; what vanishes meanwhile is left out.
func (d *Disk) list(dir string) (map[string]inode, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := make(map[string]inode, len(entries))
	for _, e := range entries {
		id, _, err := d.see(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[e.Name()] = id
	}
	return out, nil
}

func readAll(f *file) ([]byte, error) {
	if f.open == nil {
		return nil, nil // a link
	}
	info, err := f.open.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, info.Size())
	n, err := f.open.ReadAt(b, 0)
	if n < len(b) {
		return nil, err
	}
	return b, nil
}

// Watch is to be told of each call, before and after. What a sync finds at its beginning is sure when it has returned.
func (d *Disk) Watch(c Call) error {
	if c.Name != "fsync" && c.Name != "fdatasync" {
		return nil
	}
	if c.Done {
		settle := d.pending[c.N]
		delete(d.pending, c.N)
		if settle != nil && !c.Failed {
			settle()
		}
		return nil
	}
	info, err := os.Stat(c.link())
	if err != nil {
		return err
	}
	id, err := inodeOf(info)
	if err != nil {
		return err
	}
	f := d.files[id]
	if f == nil { // not below dir, or created a moment ago and known by no name any more
		if _, err := d.now(); err != nil {
			return err
		}
		if f = d.files[id]; f == nil {
			return nil
		}
	}
	if f.mode.IsDir() {
		entries, err := d.list(c.link())
		d.pending[c.N] = func() { f.entries = entries }
		return err
	}
	content, err := readAll(f)
	d.pending[c.N] = func() { f.content = content }
	return err
}

// now is what each directory holds at the moment.
func (d *Disk) now() (map[inode]map[string]inode, error) {
	out := map[inode]map[string]inode{}
	err := filepath.WalkDir(d.dir, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name != d.dir {
			return nil // it vanished meanwhile
		}
		if err != nil || !e.IsDir() {
			return err
		}
		id, _, err := d.see(name)
		if err == nil {
			out[id], err = d.list(name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return out, err
}

// PowerCut tells what a power cut at this moment leaves. names decides which of the changes to a directory survive that were not synced, contents
// which of the changes to files.
func (d *Disk) PowerCut(names, contents Cut) (Image, error) {
	now, err := d.now()
	if err != nil {
		return nil, err
	}
	root, _, err := d.see(d.dir)
	if err != nil {
		return nil, err
	}
	image := Image{}
	return image, d.paint(image, "", root, now, names, contents)
}

func (d *Disk) paint(image Image, name string, id inode, now map[inode]map[string]inode, names, contents Cut) error {
	f := d.files[id]
	if f.mode&fs.ModeSymlink != 0 {
		return nil
	}
	if !f.mode.IsDir() {
		content := f.content
		if held, err := readAll(f); err != nil {
			return err
		} else if !bytes.Equal(held, content) && contents() {
			content = held
		}
		image[name] = append([]byte{}, content...)
		return nil
	}
	if name != "" {
		name += "/"
		image[name] = nil
	}
	for _, entry := range namesOf(f.entries, now[id]) {
		old, was := f.entries[entry]
		next, is := now[id][entry]
		if (was != is || old != next) && names() {
			old, was = next, is
		}
		if was {
			if err := d.paint(image, name+entry, old, now, names, contents); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesOf is in order, so that a seed decides the same of each.
func namesOf(dirs ...map[string]inode) []string {
	var names []string
	for _, dir := range dirs {
		names = slices.AppendSeq(names, maps.Keys(dir))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
