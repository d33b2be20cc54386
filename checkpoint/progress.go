package checkpoint

import "sync/atomic"

// Progress is written by an operation and may be read at any time while it runs.
type Progress struct {
	Bytes atomic.Int64 // of part content dealt with so far
	Total atomic.Int64 // expected; zero while unknown
	Parts atomic.Int64 // finished
}
