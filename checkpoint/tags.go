package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	maxTag   = 200
	maxLease = 366 * 24 * time.Hour // what is meant to last longer is a tag
)

func checkTag(tag string) error {
	refuse := func(why string) error {
		return &Error{Kind: ErrInvalid, Op: "tag", Err: fmt.Errorf("tag %q %s", tag, why), Hint: "a tag is a word like before-upgrade"}
	}
	switch {
	case tag == "":
		return refuse("is empty")
	case tag == "latest":
		return refuse("is a reference of its own")
	case len(tag) > maxTag:
		return refuse(fmt.Sprintf("is longer than %d bytes", maxTag))
	case strings.HasPrefix(tag, "-"):
		return refuse("starts with a dash, like a reference to an older checkpoint")
	case !utf8.ValidString(tag), strings.ContainsFunc(tag, unicode.IsControl), strings.ContainsFunc(tag, unicode.IsSpace):
		return refuse("contains a space, a control character or invalid UTF-8")
	}
	if _, err := strconv.ParseUint(tag, 10, 64); err == nil {
		return refuse("is a number, like a checkpoint")
	}
	return nil
}

// addTag is idempotent; a tag that names another checkpoint is refused.
func addTag(h *format.Head, tag string, checkpoint uint64) error {
	if p := findTag(h, tag); p != nil {
		if p.Checkpoint == checkpoint {
			return nil
		}
		return &Error{Kind: ErrConflict, Op: "tag", Checkpoint: checkpoint, Err: fmt.Errorf("tag %q names checkpoint %d", tag, p.Checkpoint),
			Hint: "untag it first, or choose another name"}
	}
	h.Pins = append(h.Pins, &format.Pin{Kind: format.Pin_TAG, Name: tag, Checkpoint: checkpoint})
	return nil
}

func findTag(h *format.Head, tag string) *format.Pin {
	for _, p := range h.Pins {
		if p.Kind == format.Pin_TAG && p.Name == tag {
			return p
		}
	}
	return nil
}

// Tag makes the checkpoint a savepoint: it is never retired while the tag exists. A tag that names another checkpoint is ErrConflict.
func (j *Job) Tag(ctx context.Context, ref, tag string) (Info, error) {
	if err := checkTag(tag); err != nil {
		return Info{}, err
	}
	at, err := j.existing(ctx, "tag")
	if err != nil {
		return Info{}, err
	}
	// Resolved once: "latest" is what the caller saw, not what a lost race made of it.
	r, err := j.resolve(at.head, ref)
	if err != nil {
		return Info{}, err
	}
	c := r.Id.Checkpoint
	at, err = j.writeHead(ctx, at, headChange{
		op: "tag",
		apply: func(h *format.Head) error {
			if findRetained(h, c) < 0 {
				return &Error{Kind: ErrRetired, Op: "tag", Job: j.name, Checkpoint: c}
			}
			return addTag(h, tag, c)
		},
		applied: func(h *format.Head) bool { p := findTag(h, tag); return p != nil && p.Checkpoint == c },
	})
	if err != nil {
		return Info{}, wrap(err, "tag", j.name, c)
	}
	return j.info(at.head, at.head.Retained[findRetained(at.head, c)]), nil
}

// Untag removes a tag; ErrNotFound if there is none of that name.
func (j *Job) Untag(ctx context.Context, tag string) (Info, error) {
	at, err := j.existing(ctx, "untag")
	if err != nil {
		return Info{}, err
	}
	p := findTag(at.head, tag)
	if p == nil {
		return Info{}, &Error{Kind: ErrNotFound, Op: "untag", Job: j.name, Err: fmt.Errorf("no tag %q", tag)}
	}
	c := p.Checkpoint
	at, err = j.writeHead(ctx, at, headChange{
		op: "untag",
		apply: func(h *format.Head) error {
			removePin(h, func(p *format.Pin) bool { return p.Kind == format.Pin_TAG && p.Name == tag && p.Checkpoint == c })
			return nil
		},
		applied: func(h *format.Head) bool { return findTag(h, tag) == nil },
	})
	if err != nil {
		return Info{}, wrap(err, "untag", j.name, c)
	}
	if i := findRetained(at.head, c); i >= 0 {
		return j.info(at.head, at.head.Retained[i]), nil
	}
	return Info{Job: j.name, Checkpoint: c}, nil
}

func removePin(h *format.Head, match func(*format.Pin) bool) {
	kept := h.Pins[:0]
	for _, p := range h.Pins {
		if !match(p) {
			kept = append(kept, p)
		}
	}
	h.Pins = kept
}

// Lease is a reader's pin.
type Lease struct {
	job        *Job
	checkpoint uint64
	nonce      []byte
}

// Pin keeps the checkpoint from being retired until the lease is released or ttl has passed on the clock of whoever trims.
func (c *Checkpoint) Pin(ctx context.Context, holder string, ttl time.Duration) (*Lease, error) {
	if ttl <= 0 || ttl > maxLease {
		return nil, &Error{Kind: ErrInvalid, Op: "pin", Job: c.job.name, Checkpoint: c.info.Checkpoint, Err: fmt.Errorf("a lease of %s; it has to be positive and at most %s", ttl, maxLease),
			Hint: "tag what is to be kept for good"}
	}
	at, err := c.job.existing(ctx, "pin")
	if err != nil {
		return nil, err
	}
	l := &Lease{job: c.job, checkpoint: c.info.Checkpoint, nonce: newNonce()}
	_, err = c.job.writeHead(ctx, at, headChange{
		op: "pin",
		apply: func(h *format.Head) error {
			if findRetained(h, l.checkpoint) < 0 {
				return c.retiredError("pin")
			}
			h.Pins = append(h.Pins, &format.Pin{Kind: format.Pin_LEASE, Name: holder, Checkpoint: l.checkpoint, Nonce: l.nonce,
				ExpiresAtNs: time.Now().Add(ttl).UnixNano()})
			return nil
		},
		applied: l.held,
	})
	if err != nil {
		return nil, wrap(err, "pin", c.job.name, l.checkpoint)
	}
	return l, nil
}

func (l *Lease) held(h *format.Head) bool {
	for _, p := range h.Pins {
		if p.Kind == format.Pin_LEASE && bytes.Equal(p.Nonce, l.nonce) {
			return true
		}
	}
	return false
}

// Release ends the lease. One that has expired already is no error.
func (l *Lease) Release(ctx context.Context) error {
	at, err := l.job.existing(ctx, "release")
	if err != nil {
		return err
	}
	if !l.held(at.head) {
		return nil
	}
	_, err = l.job.writeHead(ctx, at, headChange{
		op: "release",
		apply: func(h *format.Head) error {
			removePin(h, func(p *format.Pin) bool { return p.Kind == format.Pin_LEASE && bytes.Equal(p.Nonce, l.nonce) })
			return nil
		},
		applied: func(h *format.Head) bool { return !l.held(h) },
	})
	return wrap(err, "release", l.job.name, l.checkpoint)
}
