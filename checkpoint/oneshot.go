package checkpoint

import (
	"bytes"
	"context"
	"errors"

	"github.com/tidemark-go/tidemark/internal/format"
)

// SaveOptions describe a one-shot save.
type SaveOptions struct {
	Owner     string // for people; default host and process id
	Retention Retention
	Full      bool   // compare with nothing; upload everything
	Tag       string // tag the checkpoint in the same commit
	Progress  *Progress
}

// Save is a one-shot save: it takes a new epoch and commits in a single write of HEAD, so that whoever came between wins. fill adds the
// parts. If somebody did come between, Save returns ErrConflict and nothing is visible. A running owner of the job is fenced by it.
func (s *Store) Save(ctx context.Context, job string, fill func(*Writer) error, opts *SaveOptions) (Info, error) {
	var o SaveOptions
	if opts != nil {
		o = *opts
	}
	if o.Tag != "" {
		if err := checkTag(o.Tag); err != nil {
			return Info{}, err
		}
	}
	if err := o.Retention.check(); err != nil {
		return Info{}, err
	}
	j, err := s.Job(job)
	if err != nil {
		return Info{}, err
	}
	ctx, meter := metered(ctx)
	w, err := j.beginOneShot(ctx, o)
	if err != nil {
		return Info{}, wrap(err, "save", job, 0)
	}
	if err := fill(w); err != nil {
		_ = w.Abort() // the reason is err
		return Info{}, err
	}
	info, err := w.Commit(ctx)
	info.Requests = requestsOf(meter)
	return info, err
}

// beginOneShot reads HEAD at epoch e and starts a save named (e + 1, last + 1): rule 8. Nothing collects these names
// before HEAD reaches that epoch, and only by this save's own write does anything refer to them.
func (j *Job) beginOneShot(ctx context.Context, o SaveOptions) (*Writer, error) {
	at, err := j.readOrProbe(ctx)
	if err != nil {
		return nil, err
	}
	read := new(format.Head)
	if at.head != nil {
		read = at.head
	}
	id := &format.CheckpointID{Epoch: read.Epoch + 1, Checkpoint: read.GetLast().GetCheckpoint() + 1}
	fence := newNonce()
	key, err := j.epochKey(ctx, at.head, !o.Full)
	if err != nil {
		return nil, err
	}
	w := newWriter(ctx, j, id, fence, key, BeginOptions{Full: o.Full, Tag: o.Tag, Progress: o.Progress})
	if r := newestBase(read); r != nil && !o.Full {
		w.base = newBase(j.checkpoint(read, r), key)
	}
	w.commit = func(ctx context.Context, r *format.Retained, body []byte) (Info, error) {
		at, err := j.writeHead(ctx, at, headChange{
			op: "save",
			apply: func(h *format.Head) error {
				// Tags, leases and trims may have come between; an owner or a commit may not.
				if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {
					return &Error{Kind: ErrConflict, Op: "save", Job: j.name, Checkpoint: id.Checkpoint,
						Err: errors.New("somebody else saved or acquired the job meanwhile"), Hint: "save again"}
				}
				if err := w.admissible(h); err != nil {
					return err
				}
				if err := j.takeEpoch(h, fence, key, o.Owner); err != nil {
					return err
				}
				if err := appendRetained(h, r, body, o.Tag); err != nil {
					return err
				}
				o.Retention.trim(h, now(), nil)
				return nil
			},
			applied: func(h *format.Head) bool { return isCommitted(h, r) },
			never:   func(h *format.Head, _ bool) bool { return h.Epoch <= id.Epoch || neverCommitted(h, r) },
		})
		if err != nil {
			return Info{}, err
		}
		return j.info(at.head, r), nil
	}
	return w, nil
}
