package sidecar

import (
	"errors"
	"time"
)

// retrySoon is what a client is told that was turned away: by then what filled the slots has usually been answered.
const retrySoon = time.Second

// errBusy is the answer to a request that there is no room for.
var errBusy = errors.New("too many requests wait already; retry in a second")

// slots bounds how many requests do something at once. None of them queues for a slot: a queue in front of a server that
// has stopped answering only makes everybody late.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, n) }

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) give() { <-s }
