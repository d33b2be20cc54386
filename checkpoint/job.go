package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Job is a job as a reader or an administrator sees it: tags, retention and collection are safe beside a running owner.
type Job struct {
	store *Store
	name  string
}

// Name is the job's name.
func (j *Job) Name() string { return j.name }

// Requests counts requests as a store bills them.
type Requests struct {
	Put, Get, List, Delete, Head int64
}

// Info is what HEAD says of one checkpoint.
type Info struct {
	Job         string
	Checkpoint  uint64
	Epoch       uint64
	CommittedAt time.Time
	Parts       int64
	Bytes       int64 // of all parts
	NewBytes    int64 // of parts, that were not in the base
	MovedBytes  int64 // of parts, that were in the base, and were written again so that a pack could go
	StoredBytes int64 // written to the store, after compression
	Tags        []string
	Duration    time.Duration // of the save
	Requests    Requests      // of the save; as HEAD remembers them, those of the commit itself are missing
}

// existing reads the HEAD of a job that has to exist.
func (j *Job) existing(ctx context.Context, op string) (headState, error) {
	at, err := j.readHead(ctx)
	if err != nil {
		return headState{}, wrap(err, op, j.name, 0)
	}
	if at.head == nil || at.head.Removed {
		return headState{}, j.noSuchJob(op)
	}
	return at, nil
}

func (j *Job) noSuchJob(op string) error {
	return &Error{Kind: ErrNotFound, Op: op, Job: j.name, Err: fmt.Errorf("no such job in %s", j.store)}
}

// Latest is the newest checkpoint; ErrNotFound if there is none yet.
func (j *Job) Latest(ctx context.Context) (*Checkpoint, error) { return j.Find(ctx, "latest") }

// List returns the retained checkpoints, newest first, at the price of one GET.
func (j *Job) List(ctx context.Context) ([]Info, error) {
	at, err := j.existing(ctx, "list")
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(at.head.Retained))
	for _, r := range slices.Backward(at.head.Retained) {
		infos = append(infos, j.info(at.head, r))
	}
	return infos, nil
}

// Find resolves a reference: a number, "latest", a tag, or "-2" for two before latest.
func (j *Job) Find(ctx context.Context, ref string) (*Checkpoint, error) {
	at, err := j.existing(ctx, "find")
	if err != nil {
		return nil, err
	}
	r, err := j.resolve(at.head, ref)
	if err != nil {
		return nil, err
	}
	return j.checkpoint(at.head, r), nil
}

func (j *Job) resolve(h *format.Head, ref string) (*format.Retained, error) {
	missing := func(text string, args ...any) error {
		return &Error{Kind: ErrNotFound, Op: "find", Job: j.name, Err: fmt.Errorf(text, args...), Hint: retainedHint(h)}
	}
	n := len(h.Retained)
	switch {
	case n == 0:
		return nil, missing("the job has no checkpoint yet")
	case ref == "latest" || ref == "":
		return h.Retained[n-1], nil
	case strings.HasPrefix(ref, "-"):
		back, err := strconv.Atoi(ref[1:])
		if err != nil {
			return nil, &Error{Kind: ErrInvalid, Op: "find", Job: j.name, Err: fmt.Errorf("%q is no reference; use a number, latest, a tag, or -N for N before latest", ref)}
		}
		if back >= n {
			return nil, missing("there are only %d checkpoints, none is %d before latest", n, back)
		}
		return h.Retained[n-1-back], nil
	}
	if c, err := strconv.ParseUint(ref, 10, 64); err == nil {
		if i := findRetained(h, c); i >= 0 {
			return h.Retained[i], nil
		}
		if c <= h.GetLast().GetCheckpoint() {
			return nil, missing("checkpoint %d was retired, or never committed", c)
		}
		return nil, missing("no checkpoint %d", c)
	}
	for _, p := range h.Pins {
		if p.Kind == format.Pin_TAG && p.Name == ref {
			return h.Retained[findRetained(h, p.Checkpoint)], nil
		}
	}
	return nil, missing("no tag %q", ref)
}

func retainedHint(h *format.Head) string {
	n := len(h.Retained)
	switch n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the only checkpoint is %d", h.Retained[0].Id.Checkpoint)
	}
	return fmt.Sprintf("%d checkpoints are retained, from %d to %d", n, h.Retained[0].Id.Checkpoint, h.Retained[n-1].Id.Checkpoint)
}

func findRetained(h *format.Head, checkpoint uint64) int {
	i, ok := slices.BinarySearchFunc(h.Retained, checkpoint, func(r *format.Retained, c uint64) int {
		return compare(r.Id.Checkpoint, c)
	})
	if !ok {
		return -1
	}
	return i
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (j *Job) info(h *format.Head, r *format.Retained) Info {
	st := r.Stats
	i := Info{
		Job: j.name, Checkpoint: r.Id.Checkpoint, Epoch: r.Id.Epoch, CommittedAt: time.Unix(0, r.CommittedAtNs).UTC(),
		Parts: int64(st.Parts), Bytes: int64(st.Bytes), NewBytes: int64(st.NewBytes), MovedBytes: int64(st.MovedBytes), StoredBytes: int64(st.StoredBytes),
		Duration: time.Duration(st.DurationNs),
		Requests: Requests{Put: int64(st.Puts), Get: int64(st.Gets), List: int64(st.Lists), Delete: int64(st.Deletes), Head: int64(st.Heads)},
	}
	for _, p := range h.Pins {
		if p.Kind == format.Pin_TAG && p.Checkpoint == i.Checkpoint {
			i.Tags = append(i.Tags, p.Name)
		}
	}
	slices.Sort(i.Tags)
	return i
}

// Remove retires everything, tags included, and leaves a tombstone; Collect then deletes the data. Acquire revives the job with higher numbers. The
// tombstone stays for good: it is what keeps late requests of old owners harmless.
func (j *Job) Remove(ctx context.Context) error {
	at, err := j.existing(ctx, "remove")
	if err != nil {
		return err
	}
	read := at.head
	_, err = j.writeHead(ctx, at, headChange{
		op: "remove",
		apply: func(h *format.Head) error {
			// Whoever takes or revives the job meanwhile has not asked for a removal.
			if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {
				return &Error{Kind: ErrConflict, Op: "remove", Job: j.name, Err: fmt.Errorf("%s took the job meanwhile", h.Owner), Hint: "stop the owner, then remove the job again"}
			}
			// A new epoch, so that the running owner is fenced and its objects become collectable.
			h.Epoch++
			h.Fence, h.Owner = newNonce(), "removed"
			h.Retained, h.Pins, h.LastBody, h.Key, h.Removed = nil, nil, nil, nil, true
			return nil
		},
		applied: func(h *format.Head) bool { return h.Removed },
		never:   func(h *format.Head, _ bool) bool { return h.Epoch <= read.Epoch },
	})
	return wrap(err, "remove", j.name, 0)
}
