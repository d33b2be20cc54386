package bench

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	tokenPath   = "/computeMetadata/v1/instance/service-accounts/default/token"
	metadataEnv = "GCE_METADATA_HOST"
)

// site is the one address at which all metadata servers are. Google's libraries find the address in the environment of
// the process, so that contenders which run side by side cannot each have their own; the scope of a request tells whose
// server is meant.
type site struct {
	addr    string
	restore func()

	mu      sync.Mutex
	http    *http.Server
	served  sync.WaitGroup
	servers map[string]*server
	opened  int
}

func openSite() (*site, error) {
	s := &site{servers: map[string]*server{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: metadata server: %w", err)
	}
	s.addr = ln.Addr().String()
	old, was := os.LookupEnv(metadataEnv)
	if err := os.Setenv(metadataEnv, s.addr); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s.restore = func() {
		if was {
			_ = os.Setenv(metadataEnv, old) // it was set to this before
		} else {
			_ = os.Unsetenv(metadataEnv)
		}
	}
	s.serve(ln)
	return s, nil
}

func (s *site) serve(ln net.Listener) {
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.mu.Lock()
	s.http = srv
	s.mu.Unlock()
	s.served.Go(func() { _ = srv.Serve(ln) }) // always http.ErrServerClosed
}

// refuse closes the address and every connection; the kernel then refuses new ones until admit.
func (s *site) refuse() error {
	s.mu.Lock()
	srv := s.http
	s.mu.Unlock()
	err := srv.Close()
	s.served.Wait()
	return err
}

func (s *site) admit() error {
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("bench: metadata server: its port was taken while it was closed: %w", err)
	}
	s.serve(ln)
	return nil
}

func (s *site) close() error {
	s.restore()
	return s.refuse()
}

// open starts a metadata server.
func (s *site) open(h habits) (*server, error) {
	srv, err := newServer(h)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	scope := "https://bench.example/" + strconv.Itoa(s.opened)
	s.servers[scope] = srv
	srv.endpoint = Endpoint{Host: s.addr, Scope: scope}
	srv.leave = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.servers, scope)
	}
	return srv, nil
}

// ServeHTTP finds the server that a request is for. One that comes after its case has ended finds none.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	srv := s.servers[r.URL.Query().Get("scopes")]
	if srv != nil {
		srv.inflight.Add(1) // before the server can leave, which waits for those it has
	}
	s.mu.Unlock()
	if srv == nil {
		http.Error(w, "no such case", http.StatusGone)
		return
	}
	srv.ServeHTTP(w, r)
}
