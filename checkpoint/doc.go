// Package checkpoint keeps the state of stream jobs on object stores: written by one fenced owner, committed atomically,
// verified when read, collected without clocks.
//
// Start with Open (or package tidemark's Open, which finds the credentials too), then Store.Acquire to write and Store.Job to read and administer:
//
//	job, err := store.Acquire(ctx, "orders", nil) // older owners can no longer commit
//	last, err := job.Latest(ctx)                  // ErrNotFound on the first run
//	_, err = last.RestoreDir(ctx, "db", dir, nil)
//
//	w, err := job.Begin(ctx, nil)
//	defer w.Abort()
//	err = w.AddDir("db", snapshot) // only what changed travels
//	w.SetMetadata("offsets", offsets)
//	info, err := w.Commit(ctx) // atomic, or it never happened
//
// State that lies in several processes is one checkpoint too: Writer.Assignment goes to the workers, Job.Join and Worker.Finish make handles there, Writer.AddHandle
// takes them in. Schedule saves at intervals. Options.Keeper encrypts.
//
// What is promised: a committed checkpoint is there, whole, until it is retired; bytes may be missing (a typed error), never wrong; a
// job has one owner who can commit; no operation trusts a clock with data. The protocol behind it is in docs/protocol.md.
package checkpoint

import "github.com/tidemark-go/tidemark/internal/format"

// FormatVersion is the newest version of the stored format that this build reads, and the one that it writes.
const FormatVersion = format.Version
