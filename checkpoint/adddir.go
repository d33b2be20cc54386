package checkpoint

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/format"
)

// dirSaver saves one directory: a walk in order of names feeds workers, and afterwards each directory is held against what the walk saw.
type dirSaver struct {
	w      *Writer
	root   *os.Root
	opener *opener
	prefix string
	choose func(name string) choice
	seen   []seenDir
	links  links
}

type seenDir struct {
	name string
	st   fileState
}

// filesAhead is how many names the walk is ahead of those who read the files: enough that neither waits for the other's next step.
const filesAhead = 64

func (d *dirSaver) run() error {
	g, ctx := errgroup.WithContext(d.w.ctx)
	files := make(chan string, filesAhead)
	g.Go(func() error {
		defer close(files)
		return d.walk(ctx, ".", files)
	})
	for range cap(d.w.job.store.workers.free) {
		g.Go(func() error {
			for name := range files {
				if ctx.Err() != nil {
					return context.Cause(ctx) // another one failed
				}
				if err := d.w.addFile(d.partName(name), d.opener, filepath.FromSlash(name), d.choose(name)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return d.w.partError(d.prefix, err)
	}
	for name := range d.links {
		if err := d.links.check(name); err != nil {
			return d.w.fail(ErrInvalid, d.partName(name), err, linkHint)
		}
	}
	for _, s := range d.seen {
		st, err := d.root.Lstat(filepath.FromSlash(s.name))
		if err != nil || !s.st.same(stateOfInfo(st)) {
			return d.w.fail(ErrChanged, d.partName(s.name), fmt.Errorf("entries of directory %s changed while it was saved", s.name), snapshotHint)
		}
	}
	return nil
}

func (d *dirSaver) partName(name string) string {
	if d.prefix == "" {
		return name
	}
	return d.prefix + "/" + name
}

// walk sends the regular files below dir, in order, and saves directories and links itself.
func (d *dirSaver) walk(ctx context.Context, dir string, files chan<- string) error {
	entries, err := d.readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if dir != "." {
			name = dir + "/" + name
		}
		switch {
		case e.Type().IsRegular():
			if err := d.w.reserve(d.partName(name)); err != nil {
				return err
			}
			select {
			case files <- name:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case e.IsDir() && isStage(e.Name()):
			d.w.job.store.opts.Logger.WarnContext(ctx, "not saved: the directory that an interrupted restore has left, or one that is under way", "job", d.w.job.name, "directory", name)
		case e.IsDir():
			if err := d.addDirectory(name); err != nil {
				return err
			}
			if err := d.walk(ctx, name, files); err != nil {
				return err
			}
		case e.Type()&fs.ModeSymlink != 0:
			if err := d.addLink(name); err != nil {
				return err
			}
		default:
			return d.w.fail(ErrInvalid, d.partName(name), fmt.Errorf("%s is neither a file, a directory nor a symbolic link (%s)", name, e.Type()), "keep it out of the directory that is saved")
		}
	}
	return nil
}

func (d *dirSaver) readDir(dir string) ([]fs.DirEntry, error) {
	f, err := d.opener.openDir(filepath.FromSlash(dir))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d.seen = append(d.seen, seenDir{dir, stateOfInfo(st)})
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

func (d *dirSaver) addDirectory(name string) error {
	st, err := d.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	return d.w.addEntry(&format.Part{
		Name: []byte(d.partName(name)), Kind: format.Part_DIRECTORY, Mode: uint32(st.Mode().Perm()), ModifiedNs: st.ModTime().UnixNano(),
	})
}

const linkHint = "it could not be restored safely; replace it by what it points to"

func (d *dirSaver) addLink(name string) error {
	to, err := d.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	to = filepath.ToSlash(to)
	if d.links == nil {
		d.links = make(links)
	}
	d.links[name] = to
	if err := d.links.check(name); err != nil { // once more when all are known
		return d.w.fail(ErrInvalid, d.partName(name), err, linkHint)
	}
	return d.w.addEntry(&format.Part{Name: []byte(d.partName(name)), Kind: format.Part_SYMLINK, LinkTarget: []byte(to)})
}

// addEntry keeps a part that has no content.
func (w *Writer) addEntry(p *format.Part) error {
	if err := w.reserve(string(p.Name)); err != nil {
		return err
	}
	p.Method = format.Part_FULL
	return w.keep(p)
}
