package emulator

import (
	"net"
	"os"
	"syscall"
)

// reserve binds addr with a socket that never listens. The kernel refuses connections to it, gives its port to nobody
// else, and lets our own listener share it (both carry SO_REUSEADDR, as Go's listeners do), so that a gate that was
// shut finds its port again.
func reserve(addr *net.TCPAddr) (*net.TCPAddr, func(), error) {
	family := syscall.AF_INET6
	var sa syscall.Sockaddr
	if ip4 := addr.IP.To4(); ip4 != nil {
		family = syscall.AF_INET
		sa = &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip4)}
	} else {
		v6 := &syscall.SockaddrInet6{Port: addr.Port}
		copy(v6.Addr[:], addr.IP)
		sa = v6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	release := func() { _ = syscall.Close(fd) }
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		release()
		return nil, nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, sa); err != nil {
		release()
		return nil, nil, os.NewSyscallError("bind", err)
	}
	local, err := syscall.Getsockname(fd)
	if err != nil {
		release()
		return nil, nil, os.NewSyscallError("getsockname", err)
	}
	bound := *addr
	switch l := local.(type) {
	case *syscall.SockaddrInet4:
		bound.Port = l.Port
	case *syscall.SockaddrInet6:
		bound.Port = l.Port
	}
	return &bound, release, nil
}
