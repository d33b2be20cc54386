//go:build !linux

package emulator

import "net"

// reserve does nothing here: other kernels do not let a listener share the port of a bound socket. A gate that was shut
// then has to hope that nobody took its port meanwhile.
func reserve(addr *net.TCPAddr) (*net.TCPAddr, func(), error) { return addr, func() {}, nil }
