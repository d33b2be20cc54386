//go:build unix

package checkpoint

import (
	"sync"

	"golang.org/x/sys/unix"
)

// slabs is memory outside of the Go heap: inside, the collector would let the heap grow by as much again before it runs. It is never
// unmapped, because a transport may still be reading the body of a request that it has given up; release gives the memory back to the system, and keeps the
// addresses for the next who asks.
type slabs struct {
	mu   sync.Mutex
	list [][]byte
}

var freeSlabs struct {
	mu     sync.Mutex
	bySize map[int][][]byte
}

func (s *slabs) allocate(size int) []byte {
	b := reuseSlab(size)
	if b == nil {
		var err error
		b, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return make([]byte, size) // a limit on mappings is none on the heap
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, b)
	return b
}

func reuseSlab(size int) []byte {
	freeSlabs.mu.Lock()
	defer freeSlabs.mu.Unlock()
	free := freeSlabs.bySize[size]
	if len(free) == 0 {
		return nil
	}
	freeSlabs.bySize[size] = free[:len(free)-1]
	return free[len(free)-1]
}

func (s *slabs) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	freeSlabs.mu.Lock()
	defer freeSlabs.mu.Unlock()
	if freeSlabs.bySize == nil {
		freeSlabs.bySize = map[int][][]byte{}
	}
	for _, b := range s.list {
		discard(b)
		freeSlabs.bySize[len(b)] = append(freeSlabs.bySize[len(b)], b)
	}
	s.list = nil
}

// discard gives the memory of a slab back to the system; its content is lost.
func discard(b []byte) {
	_ = unix.Madvise(b, unix.MADV_DONTNEED) // at worst the memory stays until it is used again
}
