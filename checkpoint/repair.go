package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// RepairOptions tune Repair. The zero value, and nil, work.
type RepairOptions struct {
	// DryRun only says what would be done.
	DryRun bool
	// Without are keys of manifests that a new HEAD shall not have: of saves that are known never to have been acknowledged. Where two manifests cannot both have been
	// committed, and nothing tells which was, Repair stops until one of them is left out.
	Without []string
	// RetireLost retires checkpoints whose manifest is lost for good. As long as HEAD has them nothing can be collected, and if it is
	// the newest one, the next save cannot be compared with it.
	RetireLost bool
}

// HeadState is how Repair found a job's HEAD.
type HeadState string

// What Repair finds.
const (
	HeadWhole   HeadState = "whole"   // left as it was, unless checkpoints are retired from it on request
	HeadDamaged HeadState = "damaged" // replaced
	HeadLost    HeadState = "lost"    // made anew
)

// RepairReport says what Repair found and did; with DryRun, would do.
type RepairReport struct {
	Head HeadState
	// Mended: the damage of HEAD was a single bit, so everything in it is known again, tags and leases too.
	Mended bool
	// Epoch is that of a HEAD that was written; zero if none was.
	Epoch uint64
	// Found are the checkpoints that there are manifests of, newest first. Only if HEAD was not whole.
	Found []Found
	// Written are manifests that were lost or damaged, and are stored again as they were.
	Written []Written
	// Lost is what could not be saved. Kinds: "head" (what only HEAD knew), "manifest" (damaged, or a checkpoint that HEAD has without one), "missing" (a
	// pack that a manifest needs), "orphan" (packs without a manifest: of a save that was never finished, or whose manifest is lost).
	Lost []Problem
	// Retired are the checkpoints that were retired because of RetireLost.
	Retired  []uint64
	Requests Requests
}

// Found is a checkpoint as its manifest tells of it.
type Found struct {
	Info   Info // its times and figures are those of the manifest; tags are known only if HEAD was mended
	Object string
	// Committed: a later checkpoint was compared with it, so it was committed. Of others that cannot be told; the newest may be one whose save never heard back.
	Committed bool
	Kept      bool   // the new HEAD has it
	Why       string // if it is not kept
}

// Written is a manifest that was stored again.
type Written struct {
	Checkpoint uint64
	Object     string
	From       string // "head": HEAD carried a copy; "bit": the one flipped bit was found
}

// Whole reports whether, after the repair, the job's HEAD is its own and every checkpoint that it lists has its manifest.
func (r *RepairReport) Whole() bool {
	return r.Head != HeadWhole || !slices.ContainsFunc(r.Lost, func(p Problem) bool { return !slices.Contains(r.Retired, p.Checkpoint) })
}

// Repair makes a job usable again whose HEAD is lost or damaged, or of whose retained checkpoints manifests are. It deletes nothing. HEAD is made of the
// manifests of checkpoints that are whole; one that can be read stays as it is, a tombstone too. Manifests come back byte for byte, from HEAD's copy of the newest one or by
// turning back the one bit that flipped, or not at all. ErrNotFound if there is nothing of the job; ErrCorrupt if there is nothing to make a HEAD of.
//
// Owners are fenced, and the next save is a full one. A collector that has read the lost HEAD should not be running any more: what it found to be garbage may be what Repair
// finds to be a checkpoint. See docs/operations.md.
func (j *Job) Repair(ctx context.Context, opts *RepairOptions) (*RepairReport, error) {
	r := &repairer{job: j, report: new(RepairReport)}
	if opts != nil {
		r.opts = *opts
	}
	ctx, meter := metered(ctx)
	err := r.run(ctx)
	r.report.Requests = requestsOf(meter)
	if err != nil {
		return r.report, wrap(err, "repair", j.name, 0)
	}
	return r.report, nil
}

type repairer struct {
	job    *Job
	opts   RepairOptions
	report *RepairReport
}

func (r *repairer) run(ctx context.Context) error {
	b, version, err := r.job.store.objects.Get(ctx, format.HeadKey(r.job.name), format.MaxHead)
	if objstore.KindOf(err) == objstore.KindNotFound {
		r.report.Head = HeadLost
		return r.newHead(ctx, nil, objstore.Absent)
	}
	if err != nil {
		return err
	}
	h, err := format.DecodeHead(b)
	if err == nil {
		r.report.Head = HeadWhole
		return r.manifests(ctx, headState{h, version})
	}
	r.report.Head = HeadDamaged
	mended := mendHead(b)
	if mended == nil && errors.Is(err, format.ErrNewer) {
		return r.job.headError(err)
	}
	return r.newHead(ctx, mended, version)
}

func (r *repairer) lost(kind string, checkpoint uint64, object, detail string, args ...any) {
	r.report.Lost = append(r.report.Lost, Problem{Kind: kind, Checkpoint: checkpoint, Object: object, Detail: fmt.Sprintf(detail, args...)})
}

// noHead tells a job that never had a HEAD from one that lost it. Only names of the very first save can be there before HEAD is; any other number was
// taken from a HEAD. To begin again at 1 over the objects of an earlier life, or to tell its next process that there is nothing to restore, would lose that life.
func (j *Job) noHead(ctx context.Context) (headState, error) {
	for info, err := range j.store.objects.List(ctx, format.ManifestPrefix(j.name)) {
		if err != nil {
			return headState{}, err
		}
		n, ok := format.ParseKey(j.name, info.Key)
		if !ok || n.Epoch == 1 && n.Checkpoint == 1 {
			continue
		}
		// It may have been created since it was looked for.
		key := format.HeadKey(j.name)
		if _, err := j.store.objects.Stat(ctx, key); objstore.KindOf(err) != objstore.KindNotFound {
			if err != nil {
				return headState{}, err
			}
			return j.readHead(ctx)
		}
		return headState{}, &Error{Kind: ErrCorrupt, Op: "read", Job: j.name, Object: key, Hint: repairHint, Err: fmt.Errorf("HEAD is gone, and its checkpoints are there, such as %s", info.Key)}
	}
	return headState{version: objstore.Absent}, nil
}

const repairHint = "nothing was changed; `tidemark repair --dry-run` shows what can be saved"
