package checkpoint

import "context"

const (
	maxPackSize = 8 << 20 // larger packs save few requests more and cost memory for each one in flight
	minPackSize = 2 << 20
)

// buffers is the memory budget of a store, as a fixed number of buffers of one size: packs in flight and read ranges
// draw from it, so that a save or restore waits instead of growing. What is left of the budget (two buffers' worth) is for tables and the chunk buffers
// of the workers.
type buffers struct {
	size int
	free chan []byte // holds nil for a buffer that was not needed yet
}

func newBuffers(budget int64) *buffers {
	size := int(min(maxPackSize, max(minPackSize, budget/6)))
	n := int(budget)/size - 2
	b := &buffers{size: size, free: make(chan []byte, n)}
	for range n {
		b.free <- nil
	}
	return b
}

// get waits for a buffer of b.size bytes, to be given back by put.
func (b *buffers) get(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-b.free:
		if buf == nil {
			buf = make([]byte, b.size)
		}
		return buf[:b.size], nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (b *buffers) put(buf []byte) { b.free <- buf[:0:cap(buf)] }
