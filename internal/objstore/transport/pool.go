// Package transport carries the requests of one store: connections that are renewed before they grow old, and bodies that lie in memory and
// leave without being copied.
//
// Make one Pool for each store with New, put credentials on top of it, and Close it when the store is closed: then no connection and no
// goroutine of it is left. A request whose body is a Payload is sent with its length declared, from the caller's bytes.
package transport

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options are for New; the zero value and nil are the defaults.
type Options struct {
	// MaxAge is when connections are renewed at the earliest; the default is ten minutes. Half of it again, drawn at random, is
	// added, so that the processes of a fleet that started together do not all dial together. Old connections stick to the
	// addresses that a name once had: without renewal a load balancer's new hosts see nothing of a long-lived client.
	MaxAge time.Duration
	// MaxRequests is how many requests a connection carries on average before it is renewed; the default is 1,000, of which
	// the price of a new one, a few round trips, is no part that could be measured.
	MaxRequests int
	// Base has the proxy, the TLS settings and the dialler; the default is http.DefaultTransport. It is copied, not used.
	Base *http.Transport
}

const (
	defaultMaxAge      = 10 * time.Minute
	defaultMaxRequests = 1000

	// maxIdle is more than the requests that a store has under way at its fastest, so that none is dialled anew.
	maxIdle = 64
	// idleTimeout is below the minutes after which load balancers and address translators forget a silent connection.
	idleTimeout = 90 * time.Second
	// dialTimeout allows for two lost SYNs, which are sent again after one and three seconds.
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// headerTimeout begins when the request has left: a healthy store answers the largest within seconds.
	headerTimeout = 30 * time.Second
	// Large bodies do not pass through these buffers (see conn.ReadFrom, and bufio.Reader for answers); 16 KiB take the headers and a small
	// body in one system call, and one TLS record.
	bufferSize = 16 << 10
)

var errClosed = errors.New("the store is closed")

// Pool is an http.RoundTripper that renews its connections by age and by use. It speaks HTTP/1.1: HTTP/2 over TLS costs up to twice the
// processor time on large bodies, and puts all requests on one connection.
type Pool struct {
	base        *http.Transport
	maxAge      time.Duration
	maxRequests int
	dial        func(ctx context.Context, network, addr string) (net.Conn, error)
	ended       context.Context // with Close
	end         context.CancelFunc

	mu      sync.Mutex
	current *generation
	old     map[*generation]bool // retired, with requests under way
	live    map[*exchange]bool
	open    int // connections, and attempts to make one
	closed  bool
	gone    chan struct{} // closed when the pool is and nothing is open any more
}

// generation is a set of connections that were made and will be retired together.
type generation struct {
	*http.Transport
	expires  time.Time
	requests int
	dialled  int
	active   int // requests under way
}

// New returns an empty pool. It dials when the first request comes.
func New(o *Options) *Pool {
	if o == nil {
		o = &Options{}
	}
	base := o.Base
	if base == nil {
		base = http.DefaultTransport.(*http.Transport)
	}
	p := &Pool{
		base: base.Clone(), maxAge: cmp.Or(o.MaxAge, defaultMaxAge), maxRequests: cmp.Or(o.MaxRequests, defaultMaxRequests),
		dial: base.DialContext, old: map[*generation]bool{}, live: map[*exchange]bool{}, gone: make(chan struct{}),
	}
	p.ended, p.end = context.WithCancel(context.Background())
	if p.dial == nil {
		p.dial = (&net.Dialer{}).DialContext
	}
	t := p.base
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2 = false
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, maxIdle
	t.IdleConnTimeout, t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = idleTimeout, handshakeTimeout, headerTimeout
	t.ReadBufferSize, t.WriteBufferSize = bufferSize, bufferSize
	return p
}

// RoundTrip implements http.RoundTripper.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	e, retired, err := p.enter(r.Context())
	if retired != nil {
		retired.CloseIdleConnections() // those with a request under way are closed when it is over
	}
	if err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	resp, err := e.RoundTrip(r.WithContext(e.ctx))
	if err != nil {
		if cause := context.Cause(e.ctx); errors.Is(cause, errClosed) {
			err = errors.Join(cause, err)
		}
		e.end()
		return nil, err
	}
	resp.Request = r
	resp.Body = &trackedBody{resp.Body, e}
	return resp, nil
}

// enter assigns a request to the connections of today; retired are those of yesterday, if this request ended them.
func (p *Pool) enter(ctx context.Context) (e *exchange, retired *generation, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	if g := p.current; g != nil && (!time.Now().Before(g.expires) || g.requests >= p.maxRequests*max(1, g.dialled)) {
		retired, p.current = g, nil
		if g.active > 0 {
			p.old[g] = true
		}
	}
	if p.current == nil {
		p.current = p.generation()
	}
	p.current.requests++
	p.current.active++
	e = &exchange{pool: p, generation: p.current}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	p.live[e] = true
	return e, retired, nil
}

func (p *Pool) generation() *generation {
	g := &generation{Transport: p.base.Clone(), expires: time.Now().Add(p.maxAge + rand.N(p.maxAge/2+1))}
	g.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return p.connect(ctx, g, network, addr)
	}
	return g
}

// CloseIdleConnections is what http.Client calls.
func (p *Pool) CloseIdleConnections() {
	for _, g := range p.generations() {
		g.CloseIdleConnections()
	}
}

func (p *Pool) generations() []*generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*generation
	for g := range p.old {
		all = append(all, g)
	}
	if p.current != nil {
		all = append(all, p.current)
	}
	return all
}

// Close ends the requests that are under way, and returns when no connection is open any more.
func (p *Pool) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.end()
		for e := range p.live {
			e.cancel(errClosed)
		}
		if p.open == 0 {
			close(p.gone)
		}
	}
	p.mu.Unlock()
	p.CloseIdleConnections()
	<-p.gone
	return nil
}
