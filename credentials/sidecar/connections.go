package sidecar

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxTurning is how many connections are being turned away with patience at once. Each costs a small goroutine, and to
	// save those is what the bound on connections is there for.
	maxTurning = 128

	// turnTime bounds how long that takes.
	turnTime = time.Second
)

// fullAnswer is what a connection is told that there is no room for. It needs no parsing of the request and no buffer.
var fullAnswer = fmt.Appendf(nil, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nMetadata-Flavor: Google\r\n"+
	"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(fullWords), fullWords)

const fullWords = "too many connections are open; retry in a second\n"

// boundedListener keeps at most max connections open, whatever they do; a connection costs about 20 KiB.
type boundedListener struct {
	net.Listener
	max     int64
	count   *counters
	open    atomic.Int64
	turning slots
	turned  sync.WaitGroup
}

func newBoundedListener(l net.Listener, most int, count *counters) *boundedListener {
	return &boundedListener{Listener: l, max: int64(most), count: count, turning: newSlots(maxTurning)}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			l.count.connections.Add(1)
			return &countedConn{Conn: c, listener: l}, nil
		}
		l.open.Add(-1)
		l.count.shedConnections.Add(1)
		if !l.turning.take() {
			// An answer fits into the empty buffer of a new connection. Most clients read it before they see the reset.
			if c.SetDeadline(time.Now().Add(time.Millisecond)) == nil {
				_, _ = c.Write(fullAnswer)
			}
			_ = c.Close()
			continue
		}
		l.turned.Go(func() {
			defer l.turning.give()
			turnAway(c)
		})
	}
}

// turnAway answers without a look at the request. To close a connection on which the client still writes would reset it,
// and the answer with it, so it is drained first.
func turnAway(c net.Conn) {
	defer func() { _ = c.Close() }()
	if c.SetDeadline(time.Now().Add(turnTime)) != nil {
		return
	}
	var buf [512]byte
	if _, err := c.Read(buf[:]); err != nil {
		return
	}
	if _, err := c.Write(fullAnswer); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	for {
		if _, err := c.Read(buf[:]); err != nil { // it has closed, or its time is over
			return
		}
	}
}

// wait returns when the last connection has been turned away.
func (l *boundedListener) wait() { l.turned.Wait() }

// spare closes connections after each answer while more than half of those allowed are open: the room is for those who ask,
// not for those who might.
func (l *boundedListener) spare(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.open.Load() > l.max/2 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	listener *boundedListener
	once     sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.listener.open.Add(-1)
		c.listener.count.connections.Add(-1)
	})
	return c.Conn.Close()
}
