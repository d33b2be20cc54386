package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// RestoreOptions tune a restore. The zero value, and nil, restore everything into a directory that is empty or created.
type RestoreOptions struct {
	// Match selects parts by their name below the prefix: * and ? stay inside a path segment, ** crosses them. Default: all.
	Match string
	// Force allows a directory that is not empty: files of equal name are replaced, others stay.
	Force bool
	// Update is Force for a directory that holds an earlier state: each file of equal name is compared with the checkpoint by the hashes of its pages or
	// chunks. One that is equal is left alone (mode and time are set); one that differs is built anew from its own good pages and those that are fetched.
	Update bool
	// Delete removes, once everything else is in place, what Match selects and the checkpoint does not hold. Only with Update.
	Delete bool
	// Resume goes on with a restore of the same checkpoint and prefix that was interrupted, whether or not that one had Resume set: what is there and
	// verifies is not fetched again. With it a failed restore keeps what it has for the next one, instead of leaving nothing.
	Resume   bool
	Progress *Progress
}

// RestoreReport says what a restore did.
type RestoreReport struct {
	Checkpoint uint64
	Parts      int64
	Bytes      int64
	// KeptBytes is how many of Bytes were in the directory already, verified: from an interrupted restore, or in the files that Update met.
	KeptBytes int64
	Unchanged int64 // files that Update left alone
	Deleted   int64 // files, links and directories that Delete removed
	Requests  Requests
}

// RestoreDir writes the parts prefix/... (prefix "": all) below dir, creating it. Everything grows in a directory .tidemark-restore-… inside
// dir and gets its place when all of it is there and verified, so nothing partial is ever under its final name; after a
// failure nothing is left that was not there before (see Resume for the exception). Only if Force or Update is set and giving the names itself fails, files that
// have theirs keep them, each of them whole. A stream becomes a file. ErrInvalid if dir is not empty and
// neither Force nor Update is set, or a name would leave dir; ErrNotFound if no part is selected; ErrConflict if another restore is at work in dir.
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
	if o.Delete && !o.Update {
		return report, &Error{Kind: ErrInvalid, Op: "restore", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint,
			Err: errors.New("option Delete without Update"), Hint: "removing what the checkpoint does not hold is part of an update only"}
	}
	m, err := c.manifest(ctx)
	if err != nil {
		return report, err
	}
	selected, err := compileGlob(o.Match)
	if err != nil {
		return report, c.restoreError(ErrInvalid, "", err)
	}
	targets := &selection{c: c, m: m, prefix: strings.TrimSuffix(prefix, "/"), match: selected, local: filepath.FromSlash}
	parts, bytes, err := targets.check()
	if err != nil {
		return report, err
	}
	o.Progress.Total.Add(bytes)
	r := &restorer{selection: targets, o: o}
	if err := r.restoreInto(ctx, dir, prefix); err != nil {
		return report, err
	}
	o.Progress.Parts.Add(parts)
	report.Parts, report.Bytes = parts, bytes
	report.KeptBytes, report.Unchanged, report.Deleted = r.kept.Load(), r.left, r.deleted
	report.Requests = requestsOf(meter)
	return report, nil
}

func (c *Checkpoint) restoreError(kind error, part string, err error) error {
	return &Error{Kind: kind, Op: "restore", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Part: part, Err: err}
}

// targetError explains what went wrong with a part's file.
func (c *Checkpoint) targetError(name string, err error) error {
	err = namePart(c.localError("restore", err), name)
	var e *Error
	var local *fs.PathError
	if errors.As(err, &e) || !errors.As(err, &local) {
		return err
	}
	return fmt.Errorf("part %q: %w", name, err) // of no kind that has a name, like a failing disk; it tells the last of the names at most
}

// localError classifies errors of the local file system.
func (c *Checkpoint) localError(op string, err error) error {
	return localError(err, op, c.job.name, c.retained.Id.Checkpoint)
}
