package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// collect is a collector, of the jobs of other processes too. There are several at once, and they may meet at a job.
func (w *World) collect(ctx context.Context, others []string) {
	jobs := slices.Clone(w.jobs)
	for _, name := range others {
		jobs = append(jobs, &job{name: name, store: w.plain})
	}
	for w.pause(ctx, w.Pace) {
		j := jobs[rand.N(len(jobs))]
		handle, err := j.store.Job(j.name)
		if err != nil {
			w.referee.Violate(Kind, j.name, "%v", err)
			return
		}
		tried, cancel := w.try(ctx)
		report, err := handle.Collect(tried, nil)
		kind := w.ended(tried, opCollect, j.name, err)
		cancel()
		w.lives.Deleted.Add(report.DeletedObjects)
		if kind == endOK && len(report.Unknown) > 0 {
			w.referee.Violate(Garbage, j.name, "collection met objects that are nobody's: %v", report.Unknown)
		}
	}
}

// tag is a savepoint.
type tag struct {
	job        *job
	name       string
	checkpoint uint64
	doubtful   bool // the job may not have it
}

// mostTags is how many savepoints there are at a time.
const mostTags = 5

// careFor is an administrator who tags, untags, applies retention and verifies.
func (w *World) careFor(ctx context.Context) {
	var tags []*tag
	for w.pause(ctx, w.Pace) {
		j := w.jobs[rand.N(len(w.jobs))]
		handle, err := j.store.Job(j.name)
		if err != nil {
			w.referee.Violate(Kind, j.name, "%v", err)
			return
		}
		switch rand.N(5) {
		case 0, 1:
			if len(tags) < mostTags {
				if t := w.tag(ctx, j, handle); t != nil {
					tags = append(tags, t)
				}
				continue
			}
			i := rand.N(len(tags))
			if w.untag(ctx, tags[i]) {
				tags = slices.Delete(tags, i, i+1)
			}
		case 2:
			if len(tags) == 0 {
				continue
			}
			if t := tags[rand.N(len(tags))]; !t.doubtful {
				w.lookAtTag(ctx, t)
			}
		case 3:
			tried, cancel := w.try(ctx)
			_, err := handle.Retain(tried, checkpoint.Retention{KeepLast: 1 + rand.N(keepLast)}, rand.N(3) == 0)
			w.ended(tried, opRetain, j.name, err)
			cancel()
		case 4:
			w.verify(ctx, j, handle)
		}
	}
}

// tag makes the latest checkpoint a savepoint; nil if that failed for certain.
func (w *World) tag(ctx context.Context, j *job, handle *checkpoint.Job) *tag {
	tried, cancel := w.try(ctx)
	defer cancel()
	t := &tag{job: j, name: fmt.Sprintf("t%d", w.next.Add(1))}
	info, err := handle.Tag(tried, "latest", t.name)
	kind := kindOf(tried, err)
	if kind == "not_found" && w.referee.Floor(j.name) == 0 {
		return nil // there is nothing to tag yet
	}
	w.ended(tried, opTag, j.name, err)
	if err != nil {
		t.doubtful = errors.Is(err, checkpoint.ErrOutcomeUnknown)
		if !t.doubtful {
			return nil
		}
		return t
	}
	t.checkpoint = info.Checkpoint
	w.referee.Tagged(j.name, t.checkpoint, true)
	return t
}

func (w *World) untag(ctx context.Context, t *tag) bool {
	handle, err := t.job.store.Job(t.job.name)
	if err != nil {
		return false
	}
	tried, cancel := w.try(ctx)
	defer cancel()
	_, err = handle.Untag(tried, t.name)
	kind := w.ended(tried, opUntag, t.job.name, err)
	if kind == endOK || kind == "not_found" { // the latter after a try whose end is not known
		w.referee.Tagged(t.job.name, t.checkpoint, false)
		return true
	}
	return false
}

// lookAtTag compares a savepoint, which nobody may have retired.
func (w *World) lookAtTag(ctx context.Context, t *tag) {
	handle, err := t.job.store.Job(t.job.name)
	if err != nil {
		return
	}
	tried, cancel := w.try(ctx)
	c, err := handle.Find(tried, t.name)
	kind := w.ended(tried, opFind, t.job.name, err)
	cancel()
	switch {
	case kind == "not_found":
		w.referee.Violate(Lost, t.job.name, "the savepoint %s of checkpoint %d is gone: %v", t.name, t.checkpoint, err)
	case err == nil && c.Info().Checkpoint != t.checkpoint:
		w.referee.Violate(Lost, t.job.name, "the savepoint %s is checkpoint %d, not %d", t.name, c.Info().Checkpoint, t.checkpoint)
	case err == nil:
		w.readParts(ctx, t.job, c, true)
	}
}

// verify has the product look for damage, beside everything else.
func (w *World) verify(ctx context.Context, j *job, handle *checkpoint.Job) {
	tried, cancel := w.try(ctx)
	defer cancel()
	report, err := handle.Verify(tried, &checkpoint.VerifyOptions{Checkpoint: []string{"", "latest"}[rand.N(2)], Data: rand.N(2) == 0})
	if kindOf(tried, err) == "not_found" && w.referee.Floor(j.name) == 0 {
		return
	}
	w.ended(tried, opVerify, j.name, err)
	for _, p := range report.Problems {
		w.referee.Violate(Wrong, j.name, "verify: %s: checkpoint %d part %s object %s: %s", p.Kind, p.Checkpoint, p.Part, p.Object, p.Detail)
	}
}
