package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// conn is a connection that the pool counts, and that can be condemned.
type conn struct {
	net.Conn
	closed    sync.Once
	done      func()
	condemned atomic.Bool
}

// connect dials for g; the pool's end ends it too.
func (p *Pool) connect(ctx context.Context, g *generation, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	p.open++
	p.mu.Unlock()
	// net/http goes on dialling after the request that wanted the connection was cancelled: another may take it.
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(p.ended, cancel)()
	c, err := p.dial(ctx, network, addr)
	if err != nil {
		p.lost()
		return nil, err
	}
	p.mu.Lock()
	g.dialled++
	p.mu.Unlock()
	return &conn{Conn: c, done: p.lost}, nil
}

func (p *Pool) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open--; p.open == 0 && p.closed {
		close(p.gone)
	}
}

// Close is called by net/http more than once.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closed.Do(func() {
		err = c.Conn.Close()
		c.done()
	})
	return err
}

var errCondemned = errors.New("the connection carried an answer that was not the store's")

// Write fails on a condemned connection before a byte has left, which net/http takes for a connection that was closed while idle: it
// sends the request over another one.
func (c *conn) Write(p []byte) (int, error) {
	if c.condemned.Load() {
		return 0, errCondemned
	}
	return c.Conn.Write(p)
}

// ReadFrom is how net/http sends a body, once the headers and the first bytes have left. Those of a Payload go from where they are, in one
// system call for as much as the kernel takes; anything else goes the usual way, through a buffer of 32 KiB.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	l, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(c.Conn, r)
	}
	b, ok := l.R.(*payloadBody)
	if !ok || b.left > l.N {
		return io.Copy(c.Conn, r)
	}
	n, err := b.WriteTo(c.Conn)
	l.N -= n
	return n, err
}

// Condemn keeps a connection from carrying another request; the answer that is under way can be read to its end. c is what httptrace tells
// of; one that is no Pool's is closed.
func Condemn(c net.Conn) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		own.condemned.Store(true)
		return
	}
	_ = c.Close() // nobody wants to know
}
