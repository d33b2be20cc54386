package checkpoint

import (
	"context"
	"io"
	"os"
	"path"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Add saves a stream as the part name. It returns when r is read; uploads go on behind. Of streams that are added at once, as many are read at a time as
// the memory budget has workspaces for; the others wait for their turn. It is best if nobody feeds two of them in turn: see docs/operations.md.
func (w *Writer) Add(name string, r io.Reader, opts ...PartOption) error {
	choose, err := chooserOf(opts)
	if err != nil {
		return w.fail(ErrInvalid, name, err, "")
	}
	if err := w.reserve(name); err != nil {
		return err
	}
	part := &format.Part{Name: []byte(name), Kind: format.Part_STREAM}
	was, err := w.compareWith(part)
	if err != nil {
		return w.wrap(err)
	}
	if by := choose(path.Base(name)); by == byPages {
		err = w.saveStream(w.ctx, part, was, r)
	} else {
		err = w.saveByContent(w.ctx, part, was, r, by == byContent)
	}
	if err != nil {
		return w.partError(name, err)
	}
	return w.keep(part)
}

// compareWith looks the part up in the base and notes how it will be saved.
func (w *Writer) compareWith(part *format.Part) (was *format.Part, err error) {
	part.Method = format.Part_FULL
	if w.base == nil {
		return nil, nil
	}
	was, part.Reason, err = w.base.part(w.ctx, string(part.Name))
	if was == nil || err != nil {
		return nil, err
	}
	if was.Size == 0 || (was.Kind != format.Part_FILE && was.Kind != format.Part_STREAM) {
		part.Reason = "empty in the base checkpoint"
		return nil, nil
	}
	part.Method = format.Part_PAGES
	return was, nil
}

// reasonOf tells why a part was saved as it was: what was noted with it, or what its method says anyway, which 10,000 small parts need not repeat.
func reasonOf(m *format.Manifest, p *format.Part) string {
	switch {
	case p.Reason != "":
		return p.Reason
	case p.Kind == format.Part_DIRECTORY || p.Kind == format.Part_SYMLINK:
		return "has no content"
	case p.Method == format.Part_PAGES:
		return "may change in place"
	case p.Method == format.Part_IDENTITY:
		return "the same file as in the base checkpoint, and declared not to change"
	case p.Method == format.Part_APPEND:
		return "declared to grow only: what the base checkpoint has was not read"
	case p.Method == format.Part_CONTENT:
		return "cut by its content; nothing to compare with"
	case p.Method == format.Part_FULL && m.Base == nil:
		return "nothing to compare with"
	case p.Method == format.Part_FULL:
		return "not in the base checkpoint"
	}
	return ""
}

// partError explains why a part could not be saved; the save's own end is the reason before anything that followed from it.
func (w *Writer) partError(name string, err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		err = cause
	}
	return namePart(localError(err, "save", w.job.name, w.id.Checkpoint), name)
}

// AddDir saves a directory: each file is the part prefix/relative-name (prefix "" for none); directories and symbolic links that stay inside are kept too.
// A file that changes while it is read is read again, then ErrChanged; so is a directory whose entries change meanwhile. A directory .tidemark-restore-…
// of a restore into the directory (see Checkpoint.RestoreDir) is left out, with a warning to Options.Logger.
func (w *Writer) AddDir(prefix, dir string, opts ...PartOption) error {
	choose, err := chooserOf(opts)
	if err != nil {
		return w.fail(ErrInvalid, "", err, "")
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix != "" {
		if err := format.CheckPartName(prefix); err != nil {
			return w.fail(ErrInvalid, prefix, err, "")
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return w.partError(prefix, err)
	}
	defer func() { _ = root.Close() }()
	o, err := newOpener(root)
	if err != nil {
		return w.partError(prefix, err)
	}
	defer o.close()
	return (&dirSaver{w: w, root: root, opener: o, prefix: prefix, choose: choose}).run()
}
