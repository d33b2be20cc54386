package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// Payload is a request's body that lies in memory, in one or more pieces. net/http may go on reading a body after it has returned the answer;
// a Payload can be taken back.
type Payload struct {
	parts [][]byte
	size  int64

	mu       sync.Mutex
	readers  int
	released bool
	idle     chan struct{} // made by Release, closed by the last reader
}

// NewPayload makes a body of parts, which must not change before Release has returned.
func NewPayload(parts ...[]byte) *Payload {
	p := &Payload{parts: parts}
	for _, part := range parts {
		p.size += int64(len(part))
	}
	return p
}

// Attach makes p the body of r, with its length declared; r can be sent again, as after a 401.
func (p *Payload) Attach(r *http.Request) {
	r.ContentLength = p.size
	if p.size == 0 {
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
		return
	}
	r.GetBody = func() (io.ReadCloser, error) { return p.open(), nil }
	r.Body = p.open()
}

// Release returns when nobody reads the parts any more, and nobody ever will. The answer has to be closed before, or the request has to
// have failed: a server that answers without reading would otherwise be waited for.
func (p *Payload) Release() {
	p.mu.Lock()
	p.released = true
	if p.readers == 0 {
		p.mu.Unlock()
		return
	}
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	idle := p.idle
	p.mu.Unlock()
	<-idle
}

var errReleased = errors.New("the request's body was taken back")

func (p *Payload) acquire() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return errReleased
	}
	p.readers++
	return nil
}

func (p *Payload) yield() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers--; p.readers == 0 && p.idle != nil {
		close(p.idle)
	}
}

func (p *Payload) open() *payloadBody {
	return &payloadBody{p: p, rest: append(make(net.Buffers, 0, len(p.parts)), p.parts...), left: p.size}
}

// payloadBody is one pass through a Payload.
type payloadBody struct {
	p    *Payload
	rest net.Buffers
	left int64
}

func (b *payloadBody) Read(dst []byte) (int, error) {
	if err := b.p.acquire(); err != nil {
		return 0, err
	}
	defer b.p.yield()
	n, err := b.rest.Read(dst)
	b.left -= int64(n)
	return n, err
}

// WriteTo writes what is left, by writev where w is a TCP connection.
func (b *payloadBody) WriteTo(w io.Writer) (int64, error) {
	if err := b.p.acquire(); err != nil {
		return 0, err
	}
	defer b.p.yield()
	n, err := b.rest.WriteTo(w)
	b.left -= n
	return n, err
}

func (b *payloadBody) Close() error { return nil }
