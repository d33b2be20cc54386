package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/tidemark-go/tidemark/internal/format"
)

// AcquireOptions describe a new ownership.
type AcquireOptions struct {
	Owner string // who this is, for people; default host and process id
	// Retention is applied with each commit. Default: keep everything.
	Retention Retention
}

// Owner is a fenced ownership of a job. It is also a Job. Safe for concurrent use.
type Owner struct {
	*Job
	retention Retention
	epoch     uint64
	fence     []byte
	key       *format.DataKey // nil: nothing is encrypted
	commit    chan struct{}   // one token: commits of one owner follow each other

	mu      sync.Mutex
	at      headState // as last read or written by this owner
	begun   uint64    // the highest checkpoint number given out
	active  map[*Writer]struct{}
	stopped error // why nothing can be begun any more
}

// Acquire makes the caller the job's owner, creating the job if need be. Every older owner is fenced: none of
// its commits can succeed any more.
func (s *Store) Acquire(ctx context.Context, job string, opts *AcquireOptions) (*Owner, error) {
	j, err := s.Job(job)
	if err != nil {
		return nil, err
	}
	var o AcquireOptions
	if opts != nil {
		o = *opts
	}
	if err := o.Retention.check(); err != nil {
		return nil, err
	}
	at, err := j.readOrProbe(ctx)
	if err != nil {
		return nil, wrap(err, "acquire", job, 0)
	}
	key, err := j.epochKey(ctx, at.head, false)
	if err != nil {
		return nil, wrap(err, "acquire", job, 0)
	}
	owner := &Owner{Job: j, retention: o.Retention, fence: newNonce(), key: key, commit: make(chan struct{}, 1), active: map[*Writer]struct{}{}}
	owner.at, err = j.writeHead(ctx, at, headChange{
		op: "acquire",
		apply: func(h *format.Head) error {
			return j.takeEpoch(h, owner.fence, owner.key, o.Owner)
		},
		applied: func(h *format.Head) bool { return bytes.Equal(h.Fence, owner.fence) },
		// Somebody who took the job after us is not to be fenced by a second try of ours.
		never: func(h *format.Head, refused bool) bool { return refused || h.Epoch <= epochOf(at)+1 },
	})
	if err != nil {
		return nil, wrap(err, "acquire", job, 0)
	}
	owner.epoch = owner.at.head.Epoch
	s.opts.Logger.InfoContext(ctx, "job acquired", "job", job, "epoch", owner.epoch, "owner", owner.at.head.Owner)
	return owner, nil
}

// readOrProbe reads HEAD for a writer; for a job that is about to be created it tries the store first.
func (j *Job) readOrProbe(ctx context.Context) (headState, error) {
	at, err := j.readHead(ctx)
	if err == nil && at.head == nil {
		err = j.store.probe(ctx)
	}
	return at, err
}

func epochOf(at headState) uint64 { return at.head.GetEpoch() }

// takeEpoch makes h the HEAD of a new owner, reviving a removed job.
func (j *Job) takeEpoch(h *format.Head, fence []byte, key *format.DataKey, owner string) error {
	if key == nil {
		if err := j.refusePlain(h); err != nil {
			return err
		}
	}
	if owner == "" {
		owner = defaultOwner()
	}
	h.Epoch++
	h.Fence, h.Key, h.Owner, h.Removed = fence, wrappedKey(key), owner, false
	if h.Last == nil {
		h.Last = new(format.CheckpointID)
	}
	return nil
}

func defaultOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// Epoch is the number of this ownership.
func (o *Owner) Epoch() uint64 { return o.epoch }

// stillOwns refuses any HEAD but one of this ownership: rule 1.
func (o *Owner) stillOwns(h *format.Head) error {
	if h.Epoch == o.epoch && bytes.Equal(h.Fence, o.fence) {
		return nil
	}
	return &Error{Kind: ErrFenced, Op: "commit", Job: o.name, Err: fmt.Errorf("fenced: epoch %d of this owner was taken over by epoch %d (%s)", o.epoch, h.Epoch, h.Owner),
		Hint: "stop; the new owner goes on from the last commit"}
}

// putBack refuses a HEAD that is older than what this owner has seen: a commit on it would bury that. Nothing of tidemark writes such a one.
func (o *Owner) putBack(h *format.Head, known uint64) error {
	return &Error{Kind: ErrCorrupt, Op: "commit", Job: o.name, Object: format.HeadKey(o.name),
		Err:  fmt.Errorf("HEAD was put back: the last checkpoint is %d there, and %d was committed", h.Last.Checkpoint, known),
		Hint: "find out who replaced it; put the newer HEAD back from the bucket's versions, or acquire the job again to go on from this one"}
}

// BeginOptions tune one save.
type BeginOptions struct {
	Full     bool   // compare with nothing; upload everything
	Tag      string // tag the checkpoint in its commit
	Progress *Progress
}

// Begin starts the next checkpoint. It sends no request. ctx bounds the whole save up to Commit or Abort; one of both must be called.
// Several saves may be under way; when a newer one commits, older ones can no longer (ErrConflict).
func (o *Owner) Begin(ctx context.Context, opts *BeginOptions) (*Writer, error) {
	var b BeginOptions
	if opts != nil {
		b = *opts
	}
	if b.Tag != "" {
		if err := checkTag(b.Tag); err != nil {
			return nil, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped != nil {
		return nil, o.stopped
	}
	h := o.at.head
	o.begun = max(o.begun, h.Last.Checkpoint) + 1
	w := newWriter(ctx, o.Job, &format.CheckpointID{Epoch: o.epoch, Checkpoint: o.begun}, o.fence, o.key, b)
	if r := newestBase(h); r != nil && !b.Full {
		w.base = newBase(o.checkpoint(h, r), o.key)
	}
	w.commit = func(ctx context.Context, r *format.Retained, body []byte) (Info, error) {
		return o.commitHead(ctx, w, r, body)
	}
	w.ended = func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.active, w)
	}
	o.active[w] = struct{}{}
	return w, nil
}

// commitHead is the commit point of an owner's save: rules 1 to 3 on the HEAD version that the write is conditioned on.
func (o *Owner) commitHead(ctx context.Context, w *Writer, r *format.Retained, body []byte) (Info, error) {
	select {
	case o.commit <- struct{}{}:
		defer func() { <-o.commit }()
	case <-ctx.Done():
		return Info{}, context.Cause(ctx)
	}
	o.mu.Lock()
	at, keep := o.at, o.basesInUse(w)
	o.mu.Unlock()
	known := at.head.Last.Checkpoint

	at, err := o.writeHead(ctx, at, headChange{
		op: "commit",
		apply: func(h *format.Head) error {
			if err := o.stillOwns(h); err != nil {
				return err
			}
			if h.Last.Checkpoint < known {
				return o.putBack(h, known)
			}
			if err := w.admissible(h); err != nil {
				return err
			}
			if err := appendRetained(h, r, body, w.opts.Tag); err != nil {
				return err
			}
			o.retention.trim(h, now(), keep)
			return nil
		},
		applied: func(h *format.Head) bool { return isCommitted(h, r) },
		never:   func(h *format.Head, _ bool) bool { return o.stillOwns(h) == nil || neverCommitted(h, r) },
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.active, w) // before the next commit has its turn: the base of a save that has ended is needed no more
	if err != nil {
		if errors.Is(err, ErrFenced) {
			o.stopped = err
		}
		return Info{}, err
	}
	o.at = at
	// A commit that was looked up may be found in the HEAD of a new owner: it counts, and is the last one.
	if err := o.stillOwns(at.head); err != nil {
		o.stopped = err
	}
	return o.info(at.head, r), nil
}

// basesInUse are the checkpoints that other saves under way refer to.
func (o *Owner) basesInUse(except *Writer) map[uint64]bool {
	m := make(map[uint64]bool)
	for w := range o.active {
		if w == except {
			continue
		}
		for _, b := range w.bases() {
			m[b.retained.Id.Checkpoint] = true
		}
	}
	return m
}

// isCommitted recognises a commit as long as it is retained, and after that as long as it is the last one.
func isCommitted(h *format.Head, r *format.Retained) bool {
	if bytes.Equal(h.LastManifest, r.ManifestNonce) {
		return true
	}
	if i := findRetained(h, r.Id.Checkpoint); i >= 0 {
		return bytes.Equal(h.Retained[i].ManifestNonce, r.ManifestNonce)
	}
	return false
}

// neverCommitted tells, of a HEAD without the commit in it, that no earlier one had it: checkpoint numbers only grow, and each belongs to one manifest.
func neverCommitted(h *format.Head, r *format.Retained) bool {
	return h.GetLast().GetCheckpoint() <= r.Id.Checkpoint || findRetained(h, r.Id.Checkpoint) >= 0
}

func appendRetained(h *format.Head, r *format.Retained, body []byte, tag string) error {
	setLast(h, r, body)
	if tag == "" {
		return nil
	}
	return addTag(h, tag, r.Id.Checkpoint)
}

// Close forgets the ownership in this process and aborts the saves under way; HEAD stays as it is.
func (o *Owner) Close() error {
	o.mu.Lock()
	if o.stopped == nil {
		o.stopped = &Error{Kind: ErrInvalid, Op: "begin", Job: o.name, Err: errors.New("the owner is closed")}
	}
	active := make([]*Writer, 0, len(o.active))
	for w := range o.active {
		active = append(active, w)
	}
	o.mu.Unlock()
	for _, w := range active {
		_ = w.Abort() // it reports nothing that matters to a save that is given up
	}
	return nil
}
