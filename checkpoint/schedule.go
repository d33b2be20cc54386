package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"time"
)

// ScheduleOptions say when Schedule saves. The zero value, and nil, work.
type ScheduleOptions struct {
	// Interval is the time from the start of one save to the start of the next. Default one minute.
	Interval time.Duration
	// Jitter delays each start by a random time up to this; the first one comes anywhere in the first interval, so that jobs that were restarted together
	// do not save together. Default a tenth of the interval; negative: none, and the first save one interval from now.
	Jitter time.Duration
	// MinPause is the least time from the end of one save to the start of the next, for the job to get on with its work. Default none.
	MinPause time.Duration
	// Timeout is how long a save may run. Then it is aborted, by the end of its context, and the next one starts in its turn. Default ten intervals, at least a minute.
	Timeout time.Duration
	// Tolerate is how many saves in a row may fail. Default 3; negative: none.
	Tolerate int
	// Logger receives failures and overruns. Default: none.
	Logger *slog.Logger
}

// errOverran ends the context of a save that runs too long.
var errOverran = errors.New("the save ran longer than ScheduleOptions.Timeout")

// Schedule calls save again and again, one call at a time and in the caller's goroutine, until ctx ends (then it returns nil), or until going on is of no
// use: a newer owner has the job, the owner was closed, or more saves in a row have failed than are tolerated (then it returns the last failure). A save that takes longer than
// the interval is left to finish, and the next one starts after it and the pause; save has to return soon after its context has ended.
func Schedule(ctx context.Context, save func(context.Context) error, opts *ScheduleOptions) error {
	o, err := scheduleDefaults(opts)
	if err != nil {
		return err
	}
	first := o.Interval
	if o.Jitter > 0 {
		first = randomTime(o.Interval)
	}
	failures := 0
	for next := now().Add(first); ; {
		if sleep(ctx, next.Sub(now())) != nil {
			return nil
		}
		start := now()
		err := saveOnce(ctx, save, o.Timeout)
		took := now().Sub(start)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		case errors.Is(err, ErrFenced), errors.Is(err, ErrInvalid):
			return err // no later save can do better
		default:
			failures++
			o.Logger.WarnContext(ctx, "scheduled save failed", "error", err, "failures_in_a_row", failures, "tolerated", o.Tolerate, "duration", took)
			if failures > o.Tolerate {
				return fmt.Errorf("%d saves in a row have failed, the last one: %w", failures, err)
			}
		}
		next = start.Add(o.Interval + randomTime(o.Jitter))
		if earliest := start.Add(took + o.MinPause); next.Before(earliest) {
			o.Logger.InfoContext(ctx, "save overran its interval", "duration", took, "interval", o.Interval, "pause", o.MinPause)
			next = earliest
		}
	}
}

func saveOnce(ctx context.Context, save func(context.Context) error, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errOverran)
	defer cancel()
	err := save(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errOverran) && !errors.Is(err, errOverran) {
		err = fmt.Errorf("%w: %w", errOverran, err)
	}
	return err
}

func scheduleDefaults(opts *ScheduleOptions) (ScheduleOptions, error) {
	var o ScheduleOptions
	if opts != nil {
		o = *opts
	}
	if o.Interval < 0 || o.MinPause < 0 || o.Timeout < 0 {
		return o, &Error{Kind: ErrInvalid, Op: "schedule", Err: errors.New("an interval, a pause or a timeout is negative")}
	}
	o.Interval = cmp.Or(o.Interval, time.Minute)
	o.Jitter = cmp.Or(o.Jitter, o.Interval/10)
	o.Timeout = cmp.Or(o.Timeout, max(10*o.Interval, time.Minute))
	o.Tolerate = max(0, cmp.Or(o.Tolerate, 3))
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o, nil
}

// randomTime is anything from zero up to d.
func randomTime(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(mathrand.Int64N(int64(d)))
}
