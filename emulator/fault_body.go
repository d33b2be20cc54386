package emulator

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lostReply takes a reply that nobody will read.
type lostReply struct{ header http.Header }

func (l *lostReply) Header() http.Header         { return l.header }
func (l *lostReply) Write(p []byte) (int, error) { return len(p), nil }
func (l *lostReply) WriteHeader(int)             {}

// slowStep is how much of a slow stream goes out at once: small enough to look like a trickle at any rate.
const slowStep = 4 << 10

// changedReply applies one of the effects on replies while the reply streams through.
type changedReply struct {
	http.ResponseWriter
	ctx    context.Context
	then   Then
	off    int64  // bytes of the body that the server wrote
	head   []byte // EffectRepeat: what has to come twice
	begun  bool
	paused bool
}

// Unwrap is for http.ResponseController.
func (w *changedReply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *changedReply) WriteHeader(status int) {
	if w.begun || status < http.StatusOK {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.begun = true
	h := w.Header()
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	known := err == nil
	switch w.then.Effect {
	case EffectTruncate:
		if known {
			h.Set("Content-Length", strconv.FormatInt(min(n, w.then.Bytes), 10))
		}
	case EffectRepeat:
		if known {
			h.Set("Content-Length", strconv.FormatInt(n+min(n, w.then.Bytes), 10))
		}
	case EffectWrongCRC:
		spoilCRC(h)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *changedReply) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	start := w.off
	w.off += int64(len(p))
	var err error
	switch w.then.Effect {
	case EffectBreak:
		if err = w.send(upTo(p, start, w.then.Bytes)); w.off > w.then.Bytes {
			w.cut()
		}
	case EffectTruncate:
		err = w.send(upTo(p, start, w.then.Bytes))
	case EffectFlip:
		if at := w.then.Bytes - start; at >= 0 && at < int64(len(p)) {
			p = bytes.Clone(p) // the server's own bytes stay right
			p[at] ^= 0xff
		}
		err = w.send(p)
	case EffectRepeat:
		err = w.repeat(p, start)
	case EffectStall:
		err = w.stall(p, start)
	case EffectSlow:
		err = w.trickle(p)
	default:
		err = w.send(p)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// finish is called when the handler has returned.
func (w *changedReply) finish() {
	switch w.then.Effect {
	case EffectBreak:
		// The reply was shorter than the break: it is broken where it ends, or nothing would have happened.
		w.cut()
	case EffectRepeat:
		if len(w.head) > 0 {
			_ = w.send(w.head) // a reply that is shorter than what should come twice comes twice as a whole
		}
	}
}

func (w *changedReply) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := w.ResponseWriter.Write(p)
	return err
}

// cut sends what was written, and closes the connection.
func (w *changedReply) cut() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func (w *changedReply) repeat(p []byte, start int64) error {
	first := upTo(p, start, w.then.Bytes)
	w.head = append(w.head, first...)
	if err := w.send(first); err != nil {
		return err
	}
	if len(first) == len(p) {
		return nil
	}
	head := w.head
	w.head = nil
	if err := w.send(head); err != nil {
		return err
	}
	return w.send(p[len(first):])
}

func (w *changedReply) stall(p []byte, start int64) error {
	if w.paused || start+int64(len(p)) <= w.then.Bytes {
		return w.send(p)
	}
	first := upTo(p, start, w.then.Bytes)
	if err := w.send(first); err != nil {
		return err
	}
	w.wait()
	return w.send(p[len(first):])
}

// wait flushes what the client may already have, and stalls.
func (w *changedReply) wait() {
	w.paused = true
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	if !stallFor(w.ctx, w.then.For) {
		panic(http.ErrAbortHandler)
	}
}

func (w *changedReply) trickle(p []byte) error {
	for len(p) > 0 {
		step := p[:min(len(p), slowStep, int(max(1, w.then.Rate)))]
		if !pause(w.ctx, timeFor(len(step), w.then.Rate)) {
			panic(http.ErrAbortHandler)
		}
		if err := w.send(step); err != nil {
			return err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		p = p[len(step):]
	}
	return nil
}

// changedBody applies one of the effects on requests while the server reads.
type changedBody struct {
	io.ReadCloser
	ctx    context.Context
	then   Then
	off    int64
	paused bool
}

func (b *changedBody) Read(p []byte) (int, error) {
	left := b.then.Bytes - b.off
	switch b.then.Effect {
	case EffectBreakRequest:
		if left <= 0 {
			return 0, io.ErrUnexpectedEOF
		}
		p = p[:min(int64(len(p)), left)]
	case EffectStallRequest:
		if left <= 0 && !b.paused {
			b.paused = true
			if !stallFor(b.ctx, b.then.For) {
				return 0, context.Cause(b.ctx)
			}
		}
		if left > 0 {
			p = p[:min(int64(len(p)), left)]
		}
	case EffectSlowRequest:
		p = p[:min(len(p), slowStep, int(max(1, b.then.Rate)))]
	}
	n, err := b.ReadCloser.Read(p)
	b.off += int64(n)
	if b.then.Effect == EffectSlowRequest && !pause(b.ctx, timeFor(n, b.then.Rate)) {
		return n, context.Cause(b.ctx)
	}
	return n, err
}

// stallFor waits for d, or without end if it is zero, and reports whether ctx is still alive.
func stallFor(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		<-ctx.Done()
		return false
	}
	return pause(ctx, d)
}

func timeFor(n int, rate int64) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / max(1, rate))
}

// upTo is the part of p, which starts at offset start of its stream, that lies below limit.
func upTo(p []byte, start, limit int64) []byte {
	return p[:max(0, min(int64(len(p)), limit-start))]
}

// spoilCRC makes the CRC32C in X-Goog-Hash another one.
func spoilCRC(h http.Header) {
	const name = "X-Goog-Hash"
	values := h.Values(name)
	h.Del(name)
	for _, value := range values {
		hashes := strings.Split(value, ",")
		for i, hash := range hashes {
			kind, sum, _ := strings.Cut(strings.TrimSpace(hash), "=")
			if raw, err := base64.StdEncoding.DecodeString(sum); err == nil && kind == "crc32c" && len(raw) > 0 {
				raw[0] ^= 0xff
				hashes[i] = kind + "=" + base64.StdEncoding.EncodeToString(raw)
			}
		}
		h.Add(name, strings.Join(hashes, ","))
	}
}
