package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// CollectOptions tune Collect.
type CollectOptions struct {
	DryRun bool
}

// CollectReport says what Collect did (or, with DryRun, would do).
type CollectReport struct {
	DeletedObjects, DeletedBytes int64
	FailedObjects                int64    // that should be deleted and could not; the error says why
	LiveObjects, LiveBytes       int64    // what HEAD needs, HEAD itself not counted
	PendingObjects, PendingBytes int64    // of saves that may still be under way
	Unknown                      []string // objects below the job that tidemark did not name, at most 100; never touched
	Requests                     Requests
}

const maxUnknown = 100

// Collect deletes the objects of the job that nothing can need again. Safe at any time, by anybody, beside owners and other collectors: an object
// is deleted only if this HEAD does not refer to it and no later HEAD can (rule 4), which no clock decides. A manifest that cannot be
// read stops it before anything is deleted.
func (j *Job) Collect(ctx context.Context, opts *CollectOptions) (CollectReport, error) {
	var o CollectOptions
	if opts != nil {
		o = *opts
	}
	ctx, meter := metered(ctx)
	var report CollectReport
	h, live, err := j.headAndLive(ctx)
	if err == nil {
		err = j.sweep(ctx, h, live, o.DryRun, &report)
	}
	report.Requests = requestsOf(meter)
	return report, wrap(err, "collect", j.name, 0)
}

// headAndLive reads HEAD and what it refers to. It begins again when a checkpoint was retired and its manifest collected meanwhile: HEAD has moved.
func (j *Job) headAndLive(ctx context.Context) (*format.Head, map[format.Nonce]bool, error) {
	for {
		at, err := j.readHead(ctx)
		if err == nil && at.head == nil {
			err = j.noSuchJob("collect")
		}
		if err != nil {
			return nil, nil, err
		}
		live, err := j.liveObjects(ctx, at.head)
		if !errors.Is(err, ErrRetired) {
			return at.head, live, err
		}
	}
}

// liveObjects are the nonces of everything that HEAD refers to: manifests and the objects that hold their packs.
func (j *Job) liveObjects(ctx context.Context, h *format.Head) (map[format.Nonce]bool, error) {
	live := make(map[format.Nonce]bool)
	for _, r := range h.Retained {
		live[format.Nonce(r.ManifestNonce)] = true
		c := j.checkpoint(h, r)
		needs, err := c.refers(ctx)
		if err != nil {
			return nil, fmt.Errorf("nothing was deleted, because what checkpoint %d refers to cannot be told: %w", r.Id.Checkpoint, err)
		}
		for _, n := range needs {
			live[n] = true
		}
	}
	return live, nil
}

// deletable is rule 4 for an object that h does not refer to. Once true it stays true, in every later HEAD.
func deletable(h *format.Head, n format.Name) bool {
	return n.Epoch < h.Epoch || (n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint())
}

// eachObject lists the job's manifests and packs.
func (j *Job) eachObject(ctx context.Context, visit func(objstore.Info)) error {
	for _, prefix := range []string{format.ManifestPrefix(j.name), format.DataPrefix(j.name)} {
		for info, err := range j.store.objects.List(ctx, prefix) {
			if err != nil {
				return err
			}
			visit(info)
		}
	}
	return nil
}
