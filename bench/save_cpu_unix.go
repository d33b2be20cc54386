//go:build unix

package bench

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// ownCPU is the processor time that this process has used.
func ownCPU() cpu {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return cpu{}
	}
	return cpu{User: time.Duration(u.Utime.Nano()).Seconds(), System: time.Duration(u.Stime.Nano()).Seconds()}
}

// peakOf is the largest resident size that the system noted for a process that has ended. Linux counts into it what the parent
// held when it started the process.
func peakOf(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss // bytes there, KiB elsewhere
	}
	return u.Maxrss << 10
}
