package emulator

import (
	"net"
	"sync"
	"time"
)

// gate is a listener that can be shut for a while: then the kernel refuses connections, as it does where no server
// runs. Its port stays its own meanwhile (see reserve).
type gate struct {
	addr    *net.TCPAddr
	release func()

	mu     sync.Mutex
	ln     net.Listener // nil while shut
	until  time.Time    // when a shut gate opens again
	closed bool
	wake   chan struct{} // closed by Close
}

func openGate(addr string) (*gate, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	bound, release, err := reserve(tcp)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", bound.String())
	if err != nil {
		release()
		return nil, err
	}
	return &gate{addr: ln.Addr().(*net.TCPAddr), release: release, ln: ln, wake: make(chan struct{})}, nil
}

// refuse shuts the gate for d. Connections that are open stay open.
func (g *gate) refuse(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d <= 0 || g.closed {
		return
	}
	if until := time.Now().Add(d); until.After(g.until) {
		g.until = until
	}
	if g.ln != nil {
		_ = g.ln.Close() // wakes Accept, which opens the gate again in time
		g.ln = nil
	}
}

// Accept waits for a connection, through times when the gate is shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		ln, err := g.open()
		if err != nil {
			return nil, err
		}
		conn, err := ln.Accept()
		if err == nil {
			return conn, nil
		}
		g.mu.Lock()
		shut := g.ln != ln && !g.closed
		g.mu.Unlock()
		if !shut {
			return nil, err
		}
	}
}

// open returns the listener, and listens again when the gate has been shut long enough.
func (g *gate) open() (net.Listener, error) {
	for {
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return nil, net.ErrClosed
		}
		left := time.Until(g.until)
		if g.ln == nil && left <= 0 {
			ln, err := net.Listen("tcp", g.addr.String())
			if err != nil {
				g.mu.Unlock()
				return nil, err
			}
			g.ln = ln
		}
		ln := g.ln
		g.mu.Unlock()
		if ln != nil {
			return ln, nil
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-g.wake:
		}
		t.Stop()
	}
}

func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	close(g.wake)
	g.release()
	if g.ln == nil {
		return nil
	}
	return g.ln.Close()
}

func (g *gate) Addr() net.Addr { return g.addr }
