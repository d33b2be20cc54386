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
		return headState{version: objstore.Absent}, nil
	}
	if err != nil {
		return headState{}, err
	}
	h, err := format.DecodeHead(b)
	if err != nil {
		return headState{}, &Error{Kind: decodeKind(err), Op: "read", Job: j.name, Object: key, Err: err, Hint: headHint(err)}
	}
	return headState{h, version}, nil
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
		return "another program keeps an object of this name here; use another prefix or job name"
	}
	return "nothing was changed; the checkpoints' objects are still there"
}

// headChange is one intended write of HEAD.
type headChange struct {
	op string
	// apply makes the change on a copy of the HEAD (for a job that does not exist: an empty one), or refuses it. It is called again on the new HEAD
	// after somebody else's write came between.
	apply func(h *format.Head) error
	// applied recognises the change in a HEAD that others may have written since.
	applied func(h *format.Head) bool
}

// commitGrace is how long a HEAD write that has been sent is followed after its context ended, so that an
// interrupted caller still learns whether it happened.
const commitGrace = 700 * time.Millisecond

// writeHead changes HEAD by compare-and-swap, starting from the state at hand. It is rule 5 of the protocol: what the store answers to a
// conditional write is believed only if it is yes, or a refusal that comes before writing; everything else is looked up.
func (j *Job) writeHead(ctx context.Context, at headState, c headChange) (headState, error) {
	key := format.HeadKey(j.name)
	retries := backoff{limit: j.store.opts.RetryFor}
	sent := false // some try of ours may have been applied although we were not told
	for {
		next, body, err := j.nextHead(at, c)
		if err != nil {
			return headState{}, err
		}
		for moved := false; !moved; {
			if err := j.store.pace(ctx, j.name); err != nil {
				return headState{}, err
			}
			version, err := j.swapHead(ctx, key, body, at.version)
			if err == nil {
				return headState{next, version}, nil
			}
			if !objstore.Unknown(err) && !sent {
				return headState{}, err
			}
			sent = true

			now, readErr := j.lookAgain(ctx)
			switch {
			case readErr != nil:
				return headState{}, &Error{Kind: ErrUnavailable, Op: c.op, Job: j.name, Object: key, Err: fmt.Errorf("whether it happened is unknown: %w; then %w", err, readErr),
					Hint: "look at the latest checkpoint before trying again"}
			case now.head != nil && bytes.Equal(now.head.Nonce, next.Nonce), now.head != nil && c.applied(now.head):
				return now, nil
			case now.head == nil && at.head != nil:
				return headState{}, &Error{Kind: ErrCorrupt, Op: c.op, Job: j.name, Object: key, Err: errors.New("HEAD has disappeared; nothing of tidemark deletes it")}
			case now.version != at.version:
				at, moved = now, true
			case !objstore.Unknown(err):
				return headState{}, err
			}
			if waitErr := retries.wait(ctx, err); waitErr != nil {
				return headState{}, waitErr
			}
		}
	}
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
