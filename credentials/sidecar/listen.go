package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// ErrNotLoopback is the refusal of an address that other machines can reach.
var ErrNotLoopback = errors.New("the address is not on loopback, and whoever reaches it gets tokens")

// ListenOptions adjusts [Listen]. The zero value and a nil pointer are good.
type ListenOptions struct {
	// AllowRemote allows addresses that other machines can reach. Whoever reaches them gets tokens.
	AllowRemote bool
}

// Listen opens an address to serve tokens on: HOST:PORT on loopback, or unix:PATH. The socket at PATH can be used by this
// user alone; one that a process left behind when it died is replaced.
func Listen(ctx context.Context, address string, o *ListenOptions) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("sidecar: listen on %s: an address is HOST:PORT or unix:PATH: %w", address, err)
	}
	ip, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && ip.Unmap().IsLoopback()
	if !loopback && (o == nil || !o.AllowRemote) {
		return nil, fmt.Errorf("sidecar: listen on %s: %w", address, ErrNotLoopback)
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	// A hosts file may say of localhost what it likes.
	if at, ok := l.Addr().(*net.TCPAddr); host == "localhost" && (!ok || !at.IP.IsLoopback()) {
		return nil, errors.Join(fmt.Errorf("sidecar: listen on %s (%v): %w", address, l.Addr(), ErrNotLoopback), l.Close())
	}
	return l, nil
}

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := removeDead(ctx, path); err != nil {
		return nil, fmt.Errorf("sidecar: listen on unix:%s: %w", path, err)
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("sidecar: keep the socket to this user: %w", err), l.Close())
	}
	return l, nil
}

// removeDead removes a socket that nobody answers on. It touches nothing that is not a socket.
func removeDead(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file of that name that is no socket")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return errors.New("somebody answers there already")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
