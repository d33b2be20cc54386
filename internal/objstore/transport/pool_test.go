package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer is a server that knows its connections.
type peer struct {
	*httptest.Server
	mu     sync.Mutex
	opened int
	open   map[net.Conn]bool
	closed chan struct{} // has one element for each connection that was closed
}

func serve(t *testing.T, h http.HandlerFunc) *peer {
	t.Helper()
	p := &peer{Server: httptest.NewUnstartedServer(h), open: map[net.Conn]bool{}, closed: make(chan struct{}, 1000)}
	p.Config.ConnState = func(c net.Conn, state http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch state {
		case http.StateNew:
			p.opened++
			p.open[c] = true
		case http.StateClosed, http.StateHijacked:
			delete(p.open, c)
			p.closed <- struct{}{}
		}
	}
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func (p *peer) count() (opened, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened, len(p.open)
}

func pool(t *testing.T, o *Options) *Pool {
	t.Helper()
	p := New(o)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func fetch(p *Pool, ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.RoundTrip(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), errors.Join(err, resp.Body.Close())
}

func TestConnectionsAreRenewedByUse(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	p := pool(t, &Options{MaxRequests: 4})
	for range 12 {
		if body, err := fetch(p, t.Context(), s.URL); body != "ok" || err != nil {
			t.Fatal(body, err)
		}
	}
	for range 2 {
		<-s.closed // the first two connections, and they alone
	}
	if opened, open := s.count(); opened != 3 || open != 1 {
		t.Errorf("%d connections were opened for 12 requests of 4 each, %d are open", opened, open)
	}
}

func TestConnectionsAreRenewedByAge(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	p := pool(t, &Options{MaxAge: 1})
	for range 5 {
		if _, err := fetch(p, t.Context(), s.URL); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		<-s.closed
	}
	if opened, open := s.count(); opened != 5 || open != 1 {
		t.Errorf("%d connections were opened for 5 requests, %d are open", opened, open)
	}
}

// TestRetiredConnectionsDrain: what is under way on an old connection ends as it would have; then the connection is closed.
func TestRetiredConnectionsDrain(t *testing.T) {
	goOn := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/slow" {
			<-goOn
		}
		_, _ = io.WriteString(w, "last")
	})
	p := pool(t, &Options{MaxRequests: 1})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(p, t.Context(), s.URL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.closed:
		t.Fatal("a connection was closed under a request")
	default:
	}
	close(goOn)
	body, err := io.ReadAll(slow.Body)
	if err != nil || string(body) != "first last" {
		t.Errorf("%q, %v", body, err)
	}
	if err := slow.Body.Close(); err != nil {
		t.Error(err)
	}
	<-s.closed
	if len(p.old) != 0 {
		t.Errorf("%d generations are remembered after they drained", len(p.old))
	}
}

func TestAFewConnectionsServeMany(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	p := pool(t, nil)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				if _, err := fetch(p, t.Context(), s.URL); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	// net/http dials when no connection is idle this moment, and uses the first that becomes free.
	if opened, _ := s.count(); opened > 16 {
		t.Errorf("%d connections for 8 clients", opened)
	}
}

// TestCondemned: neither the answer under way nor the next request suffers, and the connection carries nothing more.
func TestCondemned(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]int{}
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				seen[r.RemoteAddr]++
				_, _ = io.WriteString(w, "<html>")
			}))
			start(s)
			defer s.Close()
			p := pool(t, &Options{Base: s.Client().Transport.(*http.Transport)})
			for range 3 {
				var used net.Conn
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { used = i.Conn }})
				r, err := http.NewRequestWithContext(ctx, http.MethodPut, s.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				NewPayload([]byte("conditional")).Attach(r)
				resp, err := p.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				Condemn(used)
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "<html>" {
					t.Errorf("%q, %v", body, err)
				}
				_ = resp.Body.Close()
			}
			for addr, n := range seen {
				if n != 1 {
					t.Errorf("%d requests came over %s", n, addr)
				}
			}
			if len(seen) != 3 {
				t.Errorf("%d connections for 3 requests", len(seen))
			}
		})
	}
}

// TestCloseEndsEverything: requests under way, answers that nobody reads, and connections being made.
func TestCloseEndsEverything(t *testing.T) {
	hang, arrived := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			close(arrived)
			<-hang
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	defer close(hang)
	dialling := make(chan struct{})
	base := http.DefaultTransport.(*http.Transport).Clone()
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasSuffix(addr, ":9") {
			close(dialling)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return dial(ctx, network, addr)
	}
	p := New(&Options{Base: base})
	leaked, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.RoundTrip(leaked); err != nil { // the leak is what is tested
		t.Fatal(err)
	}
	failed := make(chan error, 2)
	var clients sync.WaitGroup
	for _, url := range []string{s.URL + "/hang", "http://127.0.0.1:9/"} {
		clients.Go(func() {
			_, err := fetch(p, t.Context(), url)
			failed <- err
		})
	}
	<-arrived
	<-dialling
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	for range 2 {
		if err := <-failed; !errors.Is(err, errClosed) {
			t.Errorf("%v, want %v", err, errClosed)
		}
	}
	if _, err := fetch(p, t.Context(), s.URL); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestBrokenConnectionsAreNotReused: an answer that breaks off takes its connection along.
func TestBrokenConnectionsAreNotReused(t *testing.T) {
	n := 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n > 1 {
			_, _ = fmt.Fprint(w, "whole")
			return
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	p := pool(t, nil)
	if body, err := fetch(p, t.Context(), s.URL); err == nil {
		t.Errorf("%q without an error", body)
	}
	if body, err := fetch(p, t.Context(), s.URL); body != "whole" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if opened, _ := s.count(); opened != 2 {
		t.Errorf("%d connections", opened)
	}
}

func TestHeadersAreNotWaitedForEver(t *testing.T) {
	if p := New(nil); p.base.ResponseHeaderTimeout != 30*time.Second || p.base.MaxIdleConnsPerHost < 16 || p.base.Protocols.HTTP2() {
		t.Errorf("%+v", p.base)
	}
}
