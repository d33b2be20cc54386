package objstore

import (
	"context"
	"sync/atomic"
)

// Class is the kind of a request as a store bills it.
type Class uint8

const (
	ClassPut Class = iota
	ClassGet
	ClassList
	ClassDelete
	ClassHead
	classRetry // not a request of its own: how many of the others were repetitions
	classes
)

// Meter counts the requests of one operation. It is safe for concurrent use.
type Meter struct{ n [classes]atomic.Int64 }

// Requests is a snapshot of a Meter.
type Requests struct {
	Put, Get, List, Delete, Head int64
	Retries                      int64 // how many of them repeated a failed one
}

// Snapshot reads the counters.
func (m *Meter) Snapshot() Requests {
	return Requests{
		Put: m.n[ClassPut].Load(), Get: m.n[ClassGet].Load(), List: m.n[ClassList].Load(),
		Delete: m.n[ClassDelete].Load(), Head: m.n[ClassHead].Load(), Retries: m.n[classRetry].Load(),
	}
}

type meterKey struct{}

// WithMeter makes every request below ctx count into m, and into the meter that ctx already had.
func WithMeter(ctx context.Context, m *Meter) context.Context {
	chain, _ := ctx.Value(meterKey{}).([]*Meter)
	return context.WithValue(ctx, meterKey{}, append(chain[:len(chain):len(chain)], m))
}

// Count is called by an adapter once for each request that it sends (a List counts each page).
func Count(ctx context.Context, c Class) {
	chain, _ := ctx.Value(meterKey{}).([]*Meter)
	for _, m := range chain {
		m.n[c].Add(1)
	}
}

func countRetry(ctx context.Context) { Count(ctx, classRetry) }
