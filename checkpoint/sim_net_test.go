package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// simConn is one process's connection to the store: every request is parked until the scheduler says what becomes of it.
type simConn struct{ p *simProcess }

var _ objstore.Store = simConn{}

// simAnswer is what a store says to any kind of request.
type simAnswer struct {
	body    []byte
	version objstore.Version
	info    objstore.Info
	infos   []objstore.Info
	err     error
}

// simTicket is a request under way, or a step that an actor would take next.
type simTicket struct {
	p       *simProcess
	seq     int    // breaks ties between equal names of one process
	method  string // "step" for a step
	key     string // of a step: what it is
	op      *simOp // in whose course it was sent; nil for a worker's own look at HEAD
	body    []byte // of a put
	send    func() simAnswer
	answer  chan simAnswer
	granted chan bool
}

var (
	errSimDead    = errors.New("the process is dead")
	errSimAborted = errors.New("the actor thought better of it")
	errSimLost    = errors.New("the request or its answer was lost")
	errSimDenied  = errors.New("denied by the simulation")
)

// do parks a request. One whose sender's context ends stays on its way, and may arrive later.
func (c simConn) do(ctx context.Context, t *simTicket) simAnswer {
	w := c.p.w
	if err := ctx.Err(); err != nil {
		return simAnswer{err: objstore.ContextError(ctx, t.method, t.key)}
	}
	t.p, t.op, t.answer = c.p, simOpOf(ctx), make(chan simAnswer, 1)
	if c.p.free {
		w.serial.Lock()
		defer w.serial.Unlock()
		return w.apply(t)
	}
	if !w.park(t) {
		return simAnswer{err: simError(t, objstore.KindUnknown, errSimDead)}
	}
	select {
	case a := <-t.answer:
		return a
	case <-ctx.Done():
		w.leaveBehind(t)
		return simAnswer{err: objstore.ContextError(ctx, t.method, t.key)}
	}
}

func simError(t *simTicket, kind objstore.Kind, cause error) error {
	return &objstore.Error{Kind: kind, Op: t.method, Key: t.key, Err: cause}
}

func (c simConn) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	a := c.do(ctx, &simTicket{method: "get", key: key, send: func() (a simAnswer) {
		a.body, a.version, a.err = c.p.w.mem.Get(context.Background(), key, limit)
		return a
	}})
	return a.body, a.version, a.err
}

func (c simConn) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	n := len(p)
	a := c.do(ctx, &simTicket{method: "range", key: key, send: func() (a simAnswer) {
		a.body = make([]byte, n)
		a.err = c.p.w.mem.ReadRange(context.Background(), key, off, a.body)
		return a
	}})
	copy(p, a.body)
	return a.err
}

func (c simConn) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	body = slices.Clone(body)
	a := c.do(ctx, &simTicket{method: "put", key: key, body: body, send: func() (a simAnswer) {
		a.version, a.err = c.p.w.mem.Put(context.Background(), key, body, cond)
		return a
	}})
	return a.version, a.err
}

func (c simConn) Stat(ctx context.Context, key string) (objstore.Info, error) {
	a := c.do(ctx, &simTicket{method: "stat", key: key, send: func() (a simAnswer) {
		a.info, a.err = c.p.w.mem.Stat(context.Background(), key)
		return a
	}})
	return a.info, a.err
}

func (c simConn) Delete(ctx context.Context, key string) error {
	return c.do(ctx, &simTicket{method: "delete", key: key, send: func() simAnswer {
		return simAnswer{err: c.p.w.mem.Delete(context.Background(), key)}
	}}).err
}

func (c simConn) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		a := c.do(ctx, &simTicket{method: "list", key: prefix, send: func() (a simAnswer) {
			for info, err := range c.p.w.mem.List(context.Background(), prefix) {
				a.infos, a.err = append(a.infos, info), err
			}
			return a
		}})
		if a.err != nil {
			yield(objstore.Info{}, a.err)
			return
		}
		for _, info := range a.infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Dirs is for listings of jobs, which no actor asks for.
func (c simConn) Dirs(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		yield("", &objstore.Error{Kind: objstore.KindUnsupported, Op: "dirs"})
	}
}

func (c simConn) Traits() objstore.Traits { return objstore.Traits{} }
func (c simConn) String() string          { return "sim://" + c.p.name }
func (c simConn) Close() error            { return nil }

// plainKey is a key without its nonce, which is random and so no part of a trace.
func plainKey(key string) (plain string, nonce format.Nonce, ok bool) {
	n, ok := format.ParseKey(simJob, key)
	if !ok {
		return key, nonce, false
	}
	plain = strings.TrimPrefix(key[:strings.LastIndexByte(key, '-')], simJob+"/")
	return plain, n.Nonce, true
}

// label is how a trace names a ticket. Nonces are numbered in the order in which the scheduler meets them.
func (w *simWorld) label(t *simTicket) string {
	plain, nonce, ok := plainKey(t.key)
	if !ok {
		return t.method + " " + strings.TrimPrefix(t.key, simJob+"/")
	}
	n, known := w.names[nonce]
	if !known {
		n = len(w.names) + 1
		w.names[nonce] = n
	}
	return fmt.Sprintf("%s %s#%d", t.method, plain, n)
}

// order is a stable order of tickets: which of its process's goroutines ran first must not matter.
func (w *simWorld) order(a, b *simTicket) int {
	if a.p.id != b.p.id {
		return a.p.id - b.p.id
	}
	if c := strings.Compare(a.method, b.method); c != 0 {
		return c
	}
	pa, na, _ := plainKey(a.key)
	pb, nb, _ := plainKey(b.key)
	if c := strings.Compare(pa, pb); c != 0 {
		return c
	}
	if c := w.names[na] - w.names[nb]; c != 0 {
		return c
	}
	return a.seq - b.seq
}
