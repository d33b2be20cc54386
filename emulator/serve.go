package emulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// server is one of the cloud's HTTP servers on its own port.
type server struct {
	name     string
	gate     *gate
	http     http.Server
	inflight inflight
	cancel   context.CancelFunc
	served   sync.WaitGroup
}

// baseKey finds the context that ends when the server closes; a request's own context also ends when its client leaves.
type baseKey struct{}

// openServer binds addr. The server does not answer before start.
func openServer(name, addr string, allowNonLoopback bool) (*server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if err := checkAddr(addr, allowNonLoopback); err != nil {
		return nil, fmt.Errorf("emulator: %s server: %w", name, err)
	}
	g, err := openGate(addr)
	if err != nil {
		return nil, fmt.Errorf("emulator: %s server: listen on %s: %w", name, addr, err)
	}
	return &server{name: name, gate: g}, nil
}

func (s *server) start(h http.Handler, connState func(net.Conn, http.ConnState)) {
	base, cancel := context.WithCancel(context.Background())
	base = context.WithValue(base, baseKey{}, base)
	s.cancel = cancel
	s.http = http.Server{
		Handler:     s.inflight.track(h),
		BaseContext: func(net.Listener) context.Context { return base },
		ConnState:   connState,
		// A test that never sends its header must not hold a goroutine for ever; bodies may be as slow as the test wants.
		ReadHeaderTimeout: time.Minute,
	}
	s.served.Go(func() {
		if err := s.http.Serve(s.gate); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("emulator: a server ended before it was closed", "server", s.name, "error", err)
		}
	})
}

// close ends stalls and delays, cuts every connection, and returns when no handler is left.
func (s *server) close() error {
	if s.cancel == nil { // never started
		return s.gate.Close()
	}
	s.cancel()
	err := s.http.Close()
	s.served.Wait()
	s.inflight.wait()
	return err
}

func (s *server) url() string { return "http://" + s.hostPort() }

// hostPort is where a client on this machine reaches the server.
func (s *server) hostPort() string {
	addr := s.gate.addr
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

func checkAddr(addr string, allowNonLoopback bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q must be host:port: %w", addr, err)
	}
	ip, err := netip.ParseAddr(host)
	loopback := strings.EqualFold(host, "localhost") || (err == nil && ip.IsLoopback())
	if !loopback && !allowNonLoopback {
		return fmt.Errorf("address %q is not on loopback, and whoever reaches the emulator gets its tokens: "+
			"use 127.0.0.1, or set AllowNonLoopback", addr)
	}
	return nil
}

// inflight knows which handlers run: http.Server.Close does not wait for them.
type inflight struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // made by wait, closed by the last handler
}

func (f *inflight) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		if f.closed {
			f.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		f.n++
		f.mu.Unlock()
		defer f.leave()
		next.ServeHTTP(w, r)
	})
}

func (f *inflight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.n == 0 && f.idle != nil {
		close(f.idle)
	}
}

func (f *inflight) wait() {
	f.mu.Lock()
	f.closed = true
	if f.n == 0 {
		f.mu.Unlock()
		return
	}
	f.idle = make(chan struct{})
	f.mu.Unlock()
	<-f.idle
}
