package credentials

import (
	"log/slog"
	"time"
)

// attemptTime bounds one request to a token server.
const attemptTime = 6 * time.Second

// Options adjusts a cache. The zero value and a nil pointer are good.
type Options struct {
	// AttemptTimeout bounds one fetch. Default 6 s, as a throttled metadata server has been seen to take 5 s; for
	// sources that run a program, as long as the program may take.
	AttemptTimeout time.Duration
	// Patience bounds the wait of a caller whose context has no deadline. Default 1 min.
	Patience time.Duration
	// KeepWarm is how long after its last use a cache goes on refreshing. Default 2 h, so that a job that
	// checkpoints every hour or two finds a valid token each time.
	KeepWarm time.Duration
	// Logger is told of refreshes and failures, never of a token. Default: none.
	Logger *slog.Logger

	// wall is the wall clock, which a test must be able to move by itself to suspend the machine.
	wall func() time.Time
}

func (o *Options) withDefaults(src Source) Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.AttemptTimeout <= 0 {
		d.AttemptTimeout = max(patienceOf(src), attemptTime)
	}
	if d.Patience <= 0 {
		d.Patience = time.Minute
	}
	if d.KeepWarm <= 0 {
		d.KeepWarm = 2 * time.Hour
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.wall == nil {
		d.wall = time.Now
	}
	return d
}
