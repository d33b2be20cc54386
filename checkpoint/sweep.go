package checkpoint

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// sweep lists the job's objects and deletes the garbage as it goes, by as few requests as the store allows. It holds one page of the listing
// and the keys of the batches that are under way, whatever the number of objects.
func (j *Job) sweep(ctx context.Context, h *format.Head, live map[format.Nonce]bool, dryRun bool, report *CollectReport) error {
	d := j.newDeleter(ctx, report)
	err := j.eachObject(d.ctx, func(info objstore.Info) {
		name, ok := format.ParseKey(j.name, info.Key)
		switch {
		case !ok:
			if len(report.Unknown) < maxUnknown {
				report.Unknown = append(report.Unknown, info.Key)
			}
		case live[name.Nonce]:
			report.LiveObjects++
			report.LiveBytes += info.Size
		case !deletable(h, name):
			report.PendingObjects++
			report.PendingBytes += info.Size
		case dryRun:
			report.DeletedObjects++
			report.DeletedBytes += info.Size
		default:
			d.add(info)
		}
	})
	// A failed deletion may have ended the listing; then it is the cause.
	if derr := d.finish(); derr != nil {
		return derr
	}
	return err
}

// deleter deletes in batches, several at a time.
type deleter struct {
	j     *Job
	g     *errgroup.Group
	ctx   context.Context // ends when the store refuses to delete anything
	batch []objstore.Info

	mu     sync.Mutex // guards what follows, until finish
	report *CollectReport
	first  error // of a single object
}

func (j *Job) newDeleter(ctx context.Context, report *CollectReport) *deleter {
	d := &deleter{j: j, report: report}
	d.g, d.ctx = errgroup.WithContext(ctx)
	d.g.SetLimit(j.store.objects.MaxConcurrency())
	return d
}

func (d *deleter) add(info objstore.Info) {
	d.batch = append(d.batch, info)
	if len(d.batch) >= d.j.store.objects.BatchSize() {
		d.send()
	}
}

func (d *deleter) send() {
	batch := d.batch
	d.batch = nil
	d.g.Go(func() error { return d.delete(batch) })
}

// delete fails when no object of a batch could be deleted: then it is not about the objects, and to go on would only repeat it.
func (d *deleter) delete(batch []objstore.Info) error {
	keys := make([]string, len(batch))
	for i, info := range batch {
		keys[i] = info.Key
	}
	failed := d.j.store.objects.DeleteAll(d.ctx, keys)
	d.mu.Lock()
	defer d.mu.Unlock()
	var last error
	for _, info := range batch {
		if err := failed[info.Key]; err != nil {
			last = err
			d.report.FailedObjects++
			continue
		}
		d.report.DeletedObjects++
		d.report.DeletedBytes += info.Size
	}
	if len(failed) == len(batch) {
		return last
	}
	if d.first == nil {
		d.first = last
	}
	return nil
}

// finish waits for all deletions. Objects that could not be deleted are an error, when all others are done.
func (d *deleter) finish() error {
	if len(d.batch) > 0 && d.ctx.Err() == nil {
		d.send()
	}
	if err := d.g.Wait(); err != nil {
		return err
	}
	if d.first != nil {
		objects := "objects"
		if d.report.FailedObjects == 1 {
			objects = "object"
		}
		return fmt.Errorf("%d %s could not be deleted, all others are: %w", d.report.FailedObjects, objects, d.first)
	}
	return nil
}
