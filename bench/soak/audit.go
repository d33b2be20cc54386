package soak

import (
	"context"
	"fmt"
	"os"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// Audit is what a job turned out to be at the end, when nothing disturbed any more.
type Audit struct {
	Job         string `json:"job"`
	Latest      uint64 `json:"latest"`
	Checkpoints int    `json:"checkpoints"` // retained, each restored and compared
	Objects     int64  `json:"objects"`     // checked by verify with data
	Bytes       int64  `json:"bytes"`
	Live        int64  `json:"live"` // objects that HEAD needs, as collection counts them
	LiveBytes   int64  `json:"live_bytes"`
	Collected   int64  `json:"collected"` // objects that the last collection deleted
}

// Audit looks at all that is left, as a process that begins anew: it takes each job over, collects, verifies every byte, and restores every checkpoint that
// is retained. What is wrong is told to the referee.
func (w *World) Audit(ctx context.Context) ([]Audit, error) {
	var audits []Audit
	for _, j := range w.jobs {
		a, err := w.audit(ctx, j)
		if err != nil {
			return audits, fmt.Errorf("audit job %s: %w", j.name, err)
		}
		audits = append(audits, a)
	}
	return audits, nil
}

func (w *World) audit(ctx context.Context, j *job) (Audit, error) {
	a := Audit{Job: j.name}
	owner, err := j.store.Acquire(ctx, j.name, nil)
	if err != nil {
		return a, err
	}
	defer func() { _ = owner.Close() }() // nothing is under way
	floor := w.referee.Floor(j.name)
	infos, err := owner.List(ctx)
	if err != nil {
		return a, err
	}
	if len(infos) > 0 {
		a.Latest, a.Checkpoints = infos[0].Checkpoint, len(infos)
	}
	w.referee.Latest(j.name, floor, a.Latest)
	w.inOrder(j.name, infos)

	// All older owners are fenced, so nothing is pending: what HEAD does not refer to goes at once.
	first, err := owner.Collect(ctx, nil)
	if err != nil {
		return a, err
	}
	second, err := owner.Collect(ctx, nil)
	if err != nil {
		return a, err
	}
	a.Live, a.LiveBytes, a.Collected = second.LiveObjects, second.LiveBytes, first.DeletedObjects
	if second.DeletedObjects > 0 || second.PendingObjects > 0 || len(second.Unknown) > 0 {
		w.referee.Violate(Garbage, j.name, "after a collection another one finds %d objects to delete, %d pending and %d unknown",
			second.DeletedObjects, second.PendingObjects, len(second.Unknown))
	}
	verified, err := owner.Verify(ctx, &checkpoint.VerifyOptions{Data: true})
	if err != nil {
		return a, err
	}
	a.Objects, a.Bytes = verified.CheckedObjects, verified.CheckedBytes
	for _, p := range verified.Problems {
		w.referee.Violate(Wrong, j.name, "the last verify: %s: checkpoint %d part %s object %s: %s", p.Kind, p.Checkpoint, p.Part, p.Object, p.Detail)
	}
	for _, info := range infos {
		c, err := owner.Find(ctx, fmt.Sprint(info.Checkpoint))
		if err != nil {
			return a, err
		}
		dir := w.scratch("audit")
		kind := w.restoreNow(ctx, j, c, dir)
		if err := os.RemoveAll(dir); err != nil {
			return a, err
		}
		if kind != endOK {
			w.referee.Violate(Lost, j.name, "checkpoint %d cannot be restored at the end: %s", info.Checkpoint, kind)
		}
	}
	return a, nil
}

// restoreNow restores without a caller that may give up.
func (w *World) restoreNow(ctx context.Context, j *job, c *checkpoint.Checkpoint, dir string) string {
	step, err := w.stepOf(ctx, j, c)
	if err == nil {
		_, err = c.RestoreDir(ctx, prefix, dir, nil)
	}
	if err == nil {
		err = compareTree(dir, j.state, step)
	}
	return w.judge(ctx, opRestore, j, c, err, true)
}
