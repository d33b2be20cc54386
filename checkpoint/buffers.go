package checkpoint

import (
	"context"
	"runtime"
	"sync"
)

const (
	maxPackSize = 16 << 20 // larger packs save few requests more and cost memory for each one in flight
	minPackSize = 2 << 20

	// maxWorkers bounds the workers of a store: beyond it the processors are busy, and each has memory of its own.
	maxWorkers = 8
)

// shares is how a store's memory budget is divided.
type shares struct {
	workers  int // each with a workspace
	tables   int // bytes of the table cache
	packSize int
	packs    int // buffers of packSize
}

// divide gives a sixth of the budget to the workers and a fifth to tables, which for the default is what 1 GiB of state needs, keeps tableSlack for the tables on
// their way to the store, and makes packs of the rest: at least three, so that one is filled while another is on its way and a third waits for its reply.
func divide(budget int64, processors int) shares {
	s := shares{workers: min(processors, maxWorkers, max(1, int(budget/6)/workspaceSize)), tables: int(min(budget/5, maxCachedTables))}
	rest := int(budget) - s.workers*workspaceSize - s.tables - tableSlack
	s.packSize = min(maxPackSize, max(minPackSize, rest/3)) &^ (4<<10 - 1)
	s.packs = rest / s.packSize
	return s
}

// buffers are those of packs in flight and of ranges read: a fixed number of one size, so that a save or restore waits instead of growing.
type buffers struct {
	size  int
	free  chan struct{} // a token for each buffer that may be taken
	slabs *slabs        // what buffers are made of

	mu   sync.Mutex
	warm [][]byte // given back: taken first, so that a store that is fast takes less memory than it may
	cold [][]byte // the same, without memory behind their addresses
}

func newBuffers(size, n int) *buffers {
	b := &buffers{size: size, free: make(chan struct{}, n), slabs: new(slabs)}
	for range n {
		b.free <- struct{}{}
	}
	runtime.AddCleanup(b, (*slabs).release, b.slabs)
	return b
}

// get waits for a buffer of b.size bytes, to be given back by put. Its content is undefined.
func (b *buffers) get(ctx context.Context) ([]byte, error) {
	select {
	case <-b.free:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return b.take(), nil
}

// idle returns a buffer if one is free.
func (b *buffers) idle() ([]byte, bool) {
	select {
	case <-b.free:
		return b.take(), true
	default:
		return nil, false
	}
}

func (b *buffers) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.warm) - 1; n >= 0 {
		buf := b.warm[n]
		b.warm = b.warm[:n]
		return buf
	}
	if n := len(b.cold) - 1; n >= 0 {
		buf := b.cold[n]
		b.cold = b.cold[:n]
		return buf
	}
	return b.slabs.allocate(b.size)
}

func (b *buffers) put(buf []byte) {
	b.mu.Lock()
	b.warm = append(b.warm, buf[:b.size])
	b.mu.Unlock()
	b.free <- struct{}{}
}
