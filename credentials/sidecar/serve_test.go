package sidecar_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

// serve runs a sidecar until the test ends, and returns what ends it before.
func serve(t *testing.T, s *sidecar.Server, l net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// request sends one over the network on a connection of its own.
func request(t *testing.T, addr, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if req.Header = header; header == nil {
		req.Header = http.Header{"Metadata-Flavor": {"Google"}}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// pipeListener is a network in memory, on which a bubble's time can pass.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8174} }

func (l *pipeListener) dial(t *testing.T) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
	case <-l.done:
		t.Fatal("the listener is closed")
	}
	return ours
}

func TestSlowRequestsAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &sidecar.Options{Transport: newUpstream(nil)})
		l := newPipeListener()
		serve(t, s, l)
		for what, sent := range map[string]string{
			"nothing": "", "half a header": "GET / HTTP/1.1\r\nHost: local",
		} {
			c := l.dial(t)
			if sent != "" {
				if _, err := io.WriteString(c, sent); err != nil {
					t.Fatal(err)
				}
			}
			within(t, "the end of a client that sends "+what, 6*time.Second, func() { _, _ = io.Copy(io.Discard, c) })
			_ = c.Close()
		}
		// One that asks once and then keeps the connection for nothing.
		c := l.dial(t)
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		within(t, "the end of an idle connection", 61*time.Second, func() { _, _ = io.Copy(io.Discard, c) })
		// A header that does not end.
		flood := l.dial(t)
		go func() {
			_, _ = io.WriteString(flood, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
		}()
		resp, err := http.ReadResponse(bufio.NewReader(flood), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a header of 64 KiB: %v, %v", resp, err)
		}
		_ = flood.Close()
		time.Sleep(time.Second) // the server lingers, so that its answer is not lost
		if n := s.Stats().Connections; n != 0 {
			t.Errorf("%d connections are counted as open", n)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	cloud := emulator.Start(t, nil)
	l, err := sidecar.Listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, &sidecar.Options{Upstream: cloud.MetadataURL(), MaxConnections: 4})
	serve(t, s, l)
	addr := l.Addr().String()
	if resp, body := request(t, addr, root+tokenPath, nil); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	connections := func(want int64) {
		for s.Stats().Connections != want {
			time.Sleep(time.Millisecond) // nothing tells when a server has accepted or closed
		}
	}
	connections(0)
	// Whoever is connected and asks keeps the connection as long as there is room.
	kept := make([]net.Conn, 4)
	for i := range kept {
		if kept[i], err = net.Dial("tcp", addr); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = kept[i].Close() }()
		if _, err := io.WriteString(kept[i], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(kept[i]), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.Close != (i >= 2) {
			t.Errorf("connection %d of 4: to be closed %t", i+1, resp.Close)
		}
	}
	connections(2)
	silent := make([]net.Conn, 2)
	for i := range silent {
		if silent[i], err = net.Dial("tcp", addr); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent[i].Close() }()
	}
	connections(4) // the two that were told to close have made room for these
	for range 3 {
		resp, body := request(t, addr, root+tokenPath, nil)
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, "connections") {
			t.Errorf("one connection too many: %d %s", resp.StatusCode, body)
		}
	}
	if n := s.Stats().RefusedBy.Overload; n != 3 {
		t.Errorf("%d counted as refused", n)
	}
}

func TestGracefulEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{Latency: 2 * time.Second})
		s := start(t, &sidecar.Options{Transport: up})
		l := newPipeListener()
		stop := serve(t, s, l)
		send := func(path string) net.Conn {
			c := l.dial(t)
			if _, err := fmt.Fprintf(c, "GET %s%s HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n", root, path); err != nil {
				t.Fatal(err)
			}
			return c
		}
		statuses := make(chan string, 2)
		read := func(name string, c net.Conn) {
			defer func() { _ = c.Close() }()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				statuses <- name + " " + err.Error()
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			statuses <- fmt.Sprint(name, " ", resp.StatusCode)
		}
		waiting, subscribed := send(tokenPath), send("instance/preempted?wait_for_change=true")
		go read("token", waiting)
		go read("subscription", subscribed)
		time.Sleep(100 * time.Millisecond)
		if n := s.Stats().Subscribers; n != 1 {
			t.Errorf("%d subscribers", n)
		}
		within(t, "the end", 3*time.Second, stop)
		got := map[string]bool{<-statuses: true, <-statuses: true}
		if !got["token 200"] || !got["subscription 503"] {
			t.Errorf("what was under way got %v", got)
		}
	})
}

func TestListen(t *testing.T) {
	for _, remote := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "[::]:0", "example.com:80"} {
		l, err := sidecar.Listen(t.Context(), remote, nil)
		if err == nil {
			_ = l.Close()
		}
		if !errors.Is(err, sidecar.ErrNotLoopback) {
			t.Errorf("%s: %v", remote, err)
		}
	}
	for _, bad := range []string{"", "8080", "localhost", "127.0.0.1:port"} {
		if l, err := sidecar.Listen(t.Context(), bad, nil); err == nil {
			_ = l.Close()
			t.Errorf("%q was taken for an address", bad)
		}
	}
	for _, o := range []*sidecar.ListenOptions{nil, {}} {
		for _, good := range []string{"127.0.0.1:0", "localhost:0", "127.1.2.3:0"} {
			l, err := sidecar.Listen(t.Context(), good, o)
			if err != nil {
				t.Fatal(err)
			}
			_ = l.Close()
		}
	}
	l, err := sidecar.Listen(t.Context(), "0.0.0.0:0", &sidecar.ListenOptions{AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestListenOnASocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := sidecar.Listen(t.Context(), "unix:"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	s := start(t, &sidecar.Options{Transport: newUpstream(nil)})
	stop := serve(t, s, l)
	if _, err := sidecar.Listen(t.Context(), "unix:"+path, nil); err == nil || !strings.Contains(err.Error(), "somebody answers") {
		t.Errorf("a socket in use: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.Get("http://localhost/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	stop()

	// A process that was killed leaves its socket behind.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	if l, err = sidecar.Listen(t.Context(), "unix:"+path, nil); err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	_ = l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.Listen(t.Context(), "unix:"+file, nil); err == nil {
		t.Error("a file was taken for a socket")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
