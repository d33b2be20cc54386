package checkpoint

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// headState is a HEAD as it was read or written, with the version that a change is conditioned on. head is nil for a job that does not exist.
type headState struct {
	head    *format.Head
	version objstore.Version
}

func newNonce() []byte {
	b := make([]byte, format.NonceSize)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// readHead reads HEAD; a job without one is a headState without head, not an error.
func (j *Job) readHead(ctx context.Context) (headState, error) {
	key := format.HeadKey(j.name)
	b, version, err := j.store.objects.Get(ctx, key, format.MaxHead)
	if objstore.KindOf(err) == objstore.KindNotFound {
		return j.noHead(ctx)
	}
	if err != nil {
		return headState{}, err
	}
	h, err := format.DecodeHead(b)
	if err != nil {
		if !errors.Is(err, format.ErrCorrupt) && mendHead(b) != nil {
			err = fmt.Errorf("%w: one bit is wrong, so that it looks like: %s", format.ErrCorrupt, err.Error())
		}
		return headState{}, j.headError(err)
	}
	return headState{h, version}, nil
}

// headError is what is wrong with bytes that are no HEAD.
func (j *Job) headError(err error) *Error {
	return &Error{Kind: decodeKind(err), Op: "read", Job: j.name, Object: format.HeadKey(j.name), Err: err, Hint: headHint(err)}
}

func decodeKind(err error) error {
	if errors.Is(err, format.ErrNewer) {
		return ErrUnsupported
	}
	return ErrCorrupt
}

func headHint(err error) string {
	switch {
	case errors.Is(err, format.ErrNewer):
		return "upgrade tidemark; nothing was changed"
	case errors.Is(err, format.ErrForeign):
		return "if another program keeps an object of this name here, use another prefix or job name; else `tidemark repair --dry-run` shows what can be saved"
	}
	return repairHint
}

// headChange is one intended write of HEAD.
type headChange struct {
	op string
	// apply makes the change on a copy of the HEAD (for a job that does not exist: an empty one), or refuses it. It is called again on the new HEAD
	// after somebody else's write came between.
	apply func(h *format.Head) error
	// applied recognises the change in a HEAD that others may have written since.
	applied func(h *format.Head) bool
	// never tells, of a HEAD without the change in it, that the change was not in an earlier one either. Nil: it does not matter,
	// because making the change twice is making it once. refused: the only try was answered by "precondition failed", which leaves only a layer
	// between that sends requests twice.
	never func(h *format.Head, refused bool) bool
}

// commitGrace is how long a HEAD write that has been sent is followed after its context ended, so that an
// interrupted caller still learns whether it happened.
const commitGrace = 700 * time.Millisecond

// writeHead changes HEAD by compare-and-swap, starting from the state at hand. It is rule 5 of the protocol: what the store answers to a
// conditional write is believed only if it is yes, or a refusal of the only try; everything else is looked up. An error that does not match
// ErrOutcomeUnknown means that the change is not in HEAD and never will be.
func (j *Job) writeHead(ctx context.Context, at headState, c headChange) (headState, error) {
	retries := backoff{limit: j.store.opts.RetryFor}
	for {
		next, body, err := j.nextHead(at, c)
		if err != nil {
			return headState{}, err
		}
		now, end, err := j.trySwap(ctx, at, next, body, c, &retries)
		if err != nil || end == swapApplied {
			return now, err
		}
		// HEAD has moved, so none of our tries can be applied any more. Was one, before it moved?
		if c.never != nil && !c.never(now.head, end == swapRefused) {
			return headState{}, j.refusedInDoubt(now, c)
		}
		if err := retries.wait(ctx, errMoved); err != nil {
			return headState{}, j.outrun(c.op, err)
		}
		at = now
	}
}

var errMoved = errors.New("others keep changing the job")

// outrun is the end of a change for which others left no room, or the caller no time.
func (j *Job) outrun(op string, err error) error {
	if !errors.Is(err, errMoved) {
		return err
	}
	return &Error{Kind: ErrConflict, Op: op, Job: j.name, Err: err, Hint: "try again; nothing was changed"}
}

// swapEnd is how a compare-and-swap ended.
type swapEnd int

const (
	swapApplied swapEnd = iota // HEAD is, or was made from, what was sent
	swapMoved                  // HEAD has moved, and the change is not in it
	swapRefused                // the same, and the only try was refused
)

// trySwap sends one write until it is known to be applied, or HEAD is known to have moved without it.
func (j *Job) trySwap(ctx context.Context, at headState, next *format.Head, body []byte, c headChange, retries *backoff) (now headState, end swapEnd, err error) {
	sent := false // a try of ours may have been applied, or may still be
	fail := func(err error) (headState, swapEnd, error) {
		if sent {
			err = j.inDoubt(c.op, err)
		}
		return headState{}, swapMoved, err
	}
	for end = swapRefused; ; end = swapMoved {
		if err := j.store.pace(ctx, j.name); err != nil {
			return fail(err)
		}
		version, err := j.swapHead(ctx, format.HeadKey(j.name), body, at.version)
		switch {
		case err == nil:
			return headState{next, version}, swapApplied, nil
		case !objstore.Unknown(err) && !sent:
			return fail(err)
		}
		sent = true

		now, readErr := j.lookAgain(ctx)
		switch {
		case readErr != nil:
			return fail(fmt.Errorf("%w; then %w", err, readErr))
		case now.head != nil && (bytes.Equal(now.head.Nonce, next.Nonce) || c.applied(now.head)):
			return now, swapApplied, nil
		case now.head == nil && at.head != nil:
			return fail(&Error{Kind: ErrCorrupt, Op: c.op, Job: j.name, Object: format.HeadKey(j.name), Err: errors.New("HEAD has disappeared; nothing of tidemark deletes it")})
		case now.version != at.version && objstore.KindOf(err) == objstore.KindPrecondition:
			return now, end, nil
		case now.version != at.version:
			return now, swapMoved, nil
		case !objstore.Unknown(err):
			return fail(err)
		}
		if waitErr := retries.wait(ctx, err); waitErr != nil {
			return fail(waitErr)
		}
	}
}

// inDoubt marks an error after which the change may be in HEAD, now or later.
func (j *Job) inDoubt(op string, err error) error {
	kind, _ := kindOf(err)
	// A refusal that was in doubt, and could not be looked into, is no conflict that anybody knows of.
	if kind == nil || errors.Is(kind, ErrNotFound) || errors.Is(kind, ErrConflict) {
		kind = ErrUnavailable
	}
	return &Error{Kind: kind, Op: op, Job: j.name, Object: format.HeadKey(j.name), Err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, err),
		Hint: "look at the latest checkpoint before trying again"}
}

// refusedInDoubt is the end of a change that others may have seen before they undid it.
func (j *Job) refusedInDoubt(now headState, c headChange) error {
	err := c.apply(cloneHead(now.head))
	kind := ErrConflict
	var e *Error
	if errors.As(err, &e) {
		kind = e.Kind
	}
	if err == nil {
		err = fmt.Errorf("%s has the job now", now.head.Owner)
	}
	return &Error{Kind: kind, Op: c.op, Job: j.name, Err: fmt.Errorf("%w: it may have been made and superseded: %w", ErrOutcomeUnknown, err),
		Hint: "go on from the latest checkpoint"}
}

func (j *Job) nextHead(at headState, c headChange) (*format.Head, []byte, error) {
	next := new(format.Head)
	if at.head != nil {
		next = cloneHead(at.head)
	}
	dropExpiredLeases(next, time.Now())
	if err := c.apply(next); err != nil {
		return nil, nil, err
	}
	next.Nonce, next.WrittenAtNs = newNonce(), time.Now().UnixNano()
	body, err := format.EncodeHead(next)
	return next, body, err
}

// swapHead sends one write. Once sent it is given commitGrace beyond the caller's context.
func (j *Job) swapHead(ctx context.Context, key string, body []byte, at objstore.Version) (objstore.Version, error) {
	if err := context.Cause(ctx); err != nil {
		return objstore.Absent, err
	}
	ctx, cancel := withGrace(ctx, commitGrace)
	defer cancel()
	return j.store.objects.Swap(ctx, key, body, at)
}

func (j *Job) lookAgain(ctx context.Context) (headState, error) {
	ctx, cancel := withGrace(ctx, commitGrace)
	defer cancel()
	return j.readHead(ctx)
}

// withGrace returns a context that outlives ctx by d.
func withGrace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel(context.Cause(ctx))
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel(context.Canceled) }
}

// backoff spaces the tries of one HEAD write: full jitter from 50 ms to 5 s, or what the store asked for.
type backoff struct {
	limit time.Duration
	start time.Time
	tries int
}

func (b *backoff) wait(ctx context.Context, cause error) error {
	if b.tries == 0 {
		b.start = time.Now()
	}
	b.tries++
	if elapsed := time.Since(b.start); elapsed > b.limit {
		return fmt.Errorf("gave up after %d tries in %s: %w", b.tries, elapsed.Round(time.Millisecond), cause)
	}
	d := time.Duration(mathrand.Int64N(int64(min(5*time.Second, 50*time.Millisecond<<min(b.tries, 10)))))
	var oe *objstore.Error
	if errors.As(cause, &oe) && oe.RetryAfter > d {
		d = oe.RetryAfter
	}
	return sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func dropExpiredLeases(h *format.Head, now time.Time) {
	kept := h.Pins[:0]
	for _, p := range h.Pins {
		if p.Kind != format.Pin_LEASE || p.ExpiresAtNs > now.UnixNano() {
			kept = append(kept, p)
		}
	}
	h.Pins = kept
}

func cloneHead(h *format.Head) *format.Head { return proto.CloneOf(h) }
