package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// RestoreOptions tune a restore.
type RestoreOptions struct {
	// Match selects parts by their name below the prefix: * and ? stay inside a path segment, ** crosses them. Default: all.
	Match    string
	Force    bool // into a directory that is not empty: files of equal name are replaced, others stay
	Progress *Progress
}

// RestoreReport says what a restore did.
type RestoreReport struct {
	Checkpoint uint64
	Parts      int64
	Bytes      int64
	Requests   Requests
}

// RestoreDir writes the parts prefix/... (prefix "": all) below dir, creating it. Nothing partial is left under its final name, and after a
// failure nothing at all that was not there before. A stream becomes a file. ErrInvalid if dir is not empty and Force is not set, or a name would leave dir; ErrNotFound if no part is selected.
func (c *Checkpoint) RestoreDir(ctx context.Context, prefix, dir string, opts *RestoreOptions) (RestoreReport, error) {
	var o RestoreOptions
	if opts != nil {
		o = *opts
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	ctx, meter := metered(ctx)
	report := RestoreReport{Checkpoint: c.retained.Id.Checkpoint}
	m, err := c.manifest(ctx)
	if err != nil {
		return report, err
	}
	targets, err := c.selectTargets(m, prefix, o.Match)
	if err != nil {
		return report, err
	}
	if err := c.restoreInto(ctx, m, targets, dir, o); err != nil {
		return report, err
	}
	for _, t := range targets {
		report.Parts++
		report.Bytes += int64(t.part.Size)
	}
	report.Requests = requestsOf(meter)
	return report, nil
}

// target is one part on its way to a file.
type target struct {
	part *format.Part
	name string // below the directory, in the system's form
	temp string // where it grows; empty for what is made in one step
	size int64
}

// selectTargets picks the parts and checks that each name stays inside the directory, whatever wrote the manifest.
func (c *Checkpoint) selectTargets(m *format.Manifest, prefix, match string) ([]*target, error) {
	fail := func(kind error, part string, err error) error {
		return &Error{Kind: kind, Op: "restore", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Part: part, Err: err}
	}
	selected, err := compileGlob(match)
	if err != nil {
		return nil, fail(ErrInvalid, "", err)
	}
	prefix = strings.TrimSuffix(prefix, "/")
	var targets []*target
	for _, p := range m.Parts {
		name := string(p.Name)
		if prefix != "" {
			below, ok := strings.CutPrefix(name, prefix+"/")
			switch {
			case ok:
				name = below
			case name == prefix && p.Kind != format.Part_DIRECTORY:
				name = path.Base(name)
			default:
				continue
			}
		}
		if !selected(name) {
			continue
		}
		local := filepath.FromSlash(name)
		if !filepath.IsLocal(local) || format.CheckPartName(name) != nil {
			return nil, fail(ErrInvalid, string(p.Name), errors.New("its name would leave the directory"))
		}
		if p.Kind == format.Part_SYMLINK {
			if err := checkLink(name, string(p.LinkTarget)); err != nil {
				return nil, fail(ErrInvalid, string(p.Name), err)
			}
		}
		targets = append(targets, &target{part: p, name: local, size: int64(p.Size)})
	}
	if len(targets) == 0 {
		return nil, fail(ErrNotFound, "", fmt.Errorf("no part of the checkpoint is selected (prefix %q, pattern %q)", prefix, match))
	}
	return targets, nil
}

// checkLink refuses symbolic links that lead out of the directory that name is relative to.
func checkLink(name, to string) error {
	if to == "" || path.IsAbs(to) || !filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), to))) {
		return fmt.Errorf("symbolic link to %q leads out of the directory", to)
	}
	return nil
}

func (c *Checkpoint) restoreInto(ctx context.Context, m *format.Manifest, targets []*target, dir string, o RestoreOptions) (err error) {
	fail := func(err error) error { return c.localError("restore", err) }
	made, err := prepareDir(dir, o.Force)
	if err != nil {
		return fail(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fail(err)
	}
	r := &restorer{c: c, m: m, root: root, progress: o.Progress, force: o.Force}
	defer func() {
		if err != nil {
			r.undo()
		}
		err = errors.Join(err, root.Close())
		if err != nil && made != "" {
			_ = removeEmpty(made, dir) // only what this restore created, and only if nothing else is in it
		}
	}()
	for _, t := range targets {
		o.Progress.Total.Add(t.size)
	}
	return r.run(ctx, targets)
}

// prepareDir makes dir, and returns the topmost directory that it had to create.
func prepareDir(dir string, force bool) (made string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		made = dir
		for up := filepath.Dir(made); up != made; up = filepath.Dir(up) {
			if _, err := os.Stat(up); err == nil || !errors.Is(err, fs.ErrNotExist) {
				break
			}
			made = up
		}
		return made, os.MkdirAll(dir, 0o755)
	case err != nil:
		return "", err
	case len(entries) > 0 && !force:
		return "", &Error{Kind: ErrInvalid, Op: "restore", Err: fmt.Errorf("directory %s is not empty (it holds %s)", dir, entries[0].Name()),
			Hint: "name an empty or new directory, or use force"}
	}
	return "", nil
}

// removeEmpty removes dir and its parents up to top, as far as they are empty.
func removeEmpty(top, dir string) error {
	for d := dir; ; d = filepath.Dir(d) {
		if err := os.Remove(d); err != nil || d == top {
			return err
		}
	}
}

// restorer writes one restore below root.
type restorer struct {
	c        *Checkpoint
	m        *format.Manifest
	root     *os.Root
	force    bool
	progress *Progress

	temps   []*target // files under temporary names
	renamed []string  // files under their final names, newest last
	dirs    []string  // directories made, outermost first
}

// run restores everything under temporary names, and gives the final names when all of it is there and verified.
func (r *restorer) run(ctx context.Context, targets []*target) error {
	for _, t := range targets {
		if err := r.prepare(t); err != nil {
			return r.c.targetError(t, err)
		}
	}
	if err := r.fetch(ctx, targets); err != nil {
		return err
	}
	for _, t := range targets {
		if err := r.finish(t); err != nil {
			return r.c.targetError(t, err)
		}
	}
	// From the inside out, because writing into a directory changes its time.
	for _, t := range slices.Backward(targets) {
		if t.part.Kind == format.Part_DIRECTORY {
			if err := r.attributes(t.name, t.part); err != nil {
				return r.c.targetError(t, err)
			}
		}
	}
	return nil
}

// prepare makes the directories above a target, and its temporary file.
func (r *restorer) prepare(t *target) error {
	dir := filepath.Dir(t.name)
	if t.part.Kind == format.Part_DIRECTORY {
		dir = t.name
	}
	if err := r.mkdir(dir); err != nil {
		return err
	}
	if !r.force || t.part.Kind == format.Part_DIRECTORY {
		// The directory was empty: only the checkpoint's own names can collide, and those are unique.
	} else if st, err := r.root.Lstat(t.name); err == nil && st.IsDir() {
		return fmt.Errorf("%s is a directory; it is not replaced by a file", t.name)
	}
	if t.part.Kind == format.Part_DIRECTORY || t.part.Kind == format.Part_SYMLINK {
		return nil
	}
	t.temp = filepath.Join(dir, fmt.Sprintf(".tidemark-%x", newNonce()))
	f, err := r.root.OpenFile(t.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	r.temps = append(r.temps, t)
	return f.Close()
}

func (r *restorer) mkdir(dir string) error {
	if dir == "." {
		return nil
	}
	if st, err := r.root.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	if err := r.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	err := r.root.Mkdir(dir, 0o755)
	if err == nil {
		r.dirs = append(r.dirs, dir)
	}
	return err
}

// finish gives a target its attributes and its final name.
func (r *restorer) finish(t *target) error {
	switch t.part.Kind {
	case format.Part_DIRECTORY:
		return nil
	case format.Part_SYMLINK:
		if r.force {
			if err := r.root.Remove(t.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := r.root.Symlink(string(t.part.LinkTarget), t.name); err != nil {
			return err
		}
	default:
		if err := r.attributes(t.temp, t.part); err != nil {
			return err
		}
		if !r.force {
			if _, err := r.root.Lstat(t.name); err == nil {
				return fmt.Errorf("%s is there already: two parts have one name on this file system: %w", t.name, fs.ErrExist)
			}
		}
		if err := r.root.Rename(t.temp, t.name); err != nil {
			return err
		}
		t.temp = ""
	}
	r.renamed = append(r.renamed, t.name)
	r.progress.Parts.Add(1)
	return nil
}

func (r *restorer) attributes(name string, p *format.Part) error {
	mode := fs.FileMode(p.Mode).Perm()
	if p.Kind == format.Part_STREAM {
		mode = 0o644
	}
	if err := r.root.Chmod(name, mode); err != nil {
		return err
	}
	if p.ModifiedNs == 0 {
		return nil
	}
	at := time.Unix(0, p.ModifiedNs)
	return r.root.Chtimes(name, at, at)
}

// undo removes what this restore has put there. With Force, files that it had replaced already stay replaced, each whole.
func (r *restorer) undo() {
	for _, t := range r.temps {
		if t.temp != "" {
			_ = r.root.Remove(t.temp)
		}
	}
	if r.force {
		return
	}
	for _, name := range r.renamed {
		_ = r.root.Remove(name)
	}
	for _, dir := range slices.Backward(r.dirs) {
		_ = r.root.Remove(dir)
	}
}

// targetError explains what went wrong with a file.
func (c *Checkpoint) targetError(t *target, err error) error {
	return namePart(c.localError("restore", err), string(t.part.Name))
}

// localError classifies errors of the local file system.
func (c *Checkpoint) localError(op string, err error) error {
	return localError(err, op, c.job.name, c.retained.Id.Checkpoint)
}
