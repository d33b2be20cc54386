//go:build !unix

package checkpoint

// slabs is memory of the Go heap, which the collector frees.
type slabs struct{}

func (*slabs) allocate(size int) []byte { return make([]byte, size) }

func (*slabs) release() {}

func discard([]byte) {}
