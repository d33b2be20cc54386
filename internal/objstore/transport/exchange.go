package transport

import (
	"context"
	"io"
)

// exchange is a request until the end of its answer.
type exchange struct {
	*generation
	pool   *Pool
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// end may be called more than once.
func (e *exchange) end() {
	p, g := e.pool, e.generation
	p.mu.Lock()
	if !p.live[e] {
		p.mu.Unlock()
		return
	}
	delete(p.live, e)
	g.active--
	drained := g.active == 0 && (p.old[g] || p.closed)
	if drained {
		delete(p.old, g)
	}
	p.mu.Unlock()
	e.cancel(nil)
	if drained {
		g.CloseIdleConnections() // from now on it keeps none
	}
}

// trackedBody ends its exchange with its last byte, an error, or when it is closed.
type trackedBody struct {
	io.ReadCloser
	e *exchange
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.e.end()
	}
	return n, err
}

func (b *trackedBody) Close() error {
	err := b.ReadCloser.Close()
	b.e.end()
	return err
}
