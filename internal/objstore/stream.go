package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Streamer is implemented by a Store that can hand a range on while it arrives, so that a reader of 8 MiB needs neither 8 MiB nor the
// last byte before it looks at the first.
type Streamer interface {
	// OpenRange reads n bytes, at least one, from offset off. An object that ends earlier is KindCorrupt, from OpenRange or from Read. Read
	// returns a *Error or io.EOF. ctx bounds the reads too. Close it.
	OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// Stream reads one range through all failures: after one it asks for the rest, behind what it has delivered. The bytes of an immutable object
// may come from several answers; whoever reads them checks them. Not safe for concurrent use.
type Stream struct {
	r      *Retrying
	ctx    context.Context
	key    string
	off, n int64 // what is still to come
	series *series

	body   io.ReadCloser
	reread bool                    // an answer could not be right, and was asked for once more: it may have been damaged on the way
	cancel context.CancelCauseFunc // of body's context
	err    error                   // final
}

var _ io.ReadCloser = (*Stream)(nil)

// Stream reads n bytes of an object from offset off. The first request leaves with the first Read. A Store that is no Streamer has the range read as a whole.
func (r *Retrying) Stream(ctx context.Context, key string, off, n int64) *Stream {
	return &Stream{r: r, ctx: ctx, key: key, off: off, n: n, series: r.newSeries()}
}

// Open sends the request and waits until the answer begins, so that whoever has many streams open needs room only for those that have something to
// say. Its errors are final. It does not have to be called.
func (s *Stream) Open() error {
	for s.err == nil && s.n > 0 && s.body == nil {
		if _, err := s.try(nil); err != nil {
			s.drop()
			s.err = s.again(err)
		}
	}
	return s.err
}

// Read fills p as far as bytes are there. Its errors are final.
func (s *Stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.n == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), s.n)]
	for {
		n, err := s.try(p)
		s.off, s.n = s.off+int64(n), s.n-int64(n)
		if n > 0 {
			s.series = s.r.newSeries() // what made progress deserves fresh patience
			if err != nil {
				s.drop() // met again, by the next Read, as a failure to go on
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		s.drop()
		if s.err = s.again(err); s.err != nil {
			return 0, s.err
		}
	}
}

// again waits before the next attempt, or returns the final error.
func (s *Stream) again(err error) error {
	if KindOf(err) == KindCorrupt && !s.reread {
		s.reread = true
		countRetry(s.ctx)
		return nil
	}
	return s.series.again(s.ctx, err)
}

// try makes one attempt at some bytes. Its deadline covers the wait for the store only, not the reader's own time between two calls.
func (s *Stream) try(p []byte) (n int, err error) {
	if s.ctx.Err() != nil {
		return 0, ContextError(s.ctx, "range", s.key)
	}
	var ctx context.Context
	var slot *slot
	if s.body == nil {
		if slot, err = s.r.slots.acquire(s.ctx, "range", s.key, 0, small); err != nil {
			return 0, err
		}
		ctx, s.cancel = context.WithCancelCause(s.ctx)
	}
	defer s.watch(&err)()
	if s.body == nil {
		body, err := s.open(ctx)
		// Not held while the reader takes its time: one that reads two streams at once must not wait for itself.
		slot.release(err)
		if err != nil {
			return 0, err
		}
		s.body = body
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err = s.body.Read(p)
	if errors.Is(err, io.EOF) {
		if err = nil; int64(n) < s.n {
			err = &Error{Kind: KindUnavailable, Op: "range", Key: s.key, Err: fmt.Errorf("the answer ended %d bytes early", s.n-int64(n))}
		}
	}
	return n, err
}

// watch ends the attempt if it takes too long, and then says so in *err.
func (s *Stream) watch(err *error) (stop func()) {
	stall := fmt.Errorf("%w (%s)", errStalled, s.r.attempt)
	cancel := s.cancel
	t := time.AfterFunc(s.r.attempt, func() { cancel(stall) })
	return func() {
		if !t.Stop() && *err != nil && s.ctx.Err() == nil {
			*err = &Error{Kind: KindUnavailable, Op: "range", Key: s.key, Err: stall}
		}
	}
}

func (s *Stream) open(ctx context.Context) (io.ReadCloser, error) {
	if st, ok := s.r.s.(Streamer); ok {
		return st.OpenRange(ctx, s.key, s.off, s.n)
	}
	b := make([]byte, s.n)
	if err := s.r.s.ReadRange(ctx, s.key, s.off, b); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// drop gives up the answer at hand.
func (s *Stream) drop() {
	if s.body != nil {
		_ = s.body.Close() // only frees the connection
		s.body = nil
	}
	if s.cancel != nil {
		s.cancel(nil)
		s.cancel = nil
	}
}

// Close ends the stream, read to its end or not.
func (s *Stream) Close() error {
	s.drop()
	if s.err == nil {
		s.err = errors.New("the stream is closed")
	}
	return nil
}
