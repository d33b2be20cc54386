package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scheduled runs Schedule in a bubble, for at most d of its time, and returns when saves started.
func scheduled(t *testing.T, d time.Duration, o *ScheduleOptions, save func(ctx context.Context, n int) error) (starts []time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		begin := time.Now()
		err = Schedule(ctx, func(ctx context.Context) error {
			starts = append(starts, time.Since(begin))
			return save(ctx, len(starts))
		}, o)
	})
	return starts, err
}

func wantStarts(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("saves started at %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("saves started at %v, want %v", got, want)
		}
	}
}

func quick(context.Context, int) error { return nil }

func takes(d time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error { return sleep(ctx, d) }
}

func TestScheduleKeepsItsInterval(t *testing.T) {
	starts, err := scheduled(t, 35*time.Second, &ScheduleOptions{Interval: 10 * time.Second, Jitter: -1}, takes(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	wantStarts(t, starts, 10*time.Second, 20*time.Second, 30*time.Second)
}

func TestSchedulePausesAfterALongSave(t *testing.T) {
	var log bytes.Buffer
	o := &ScheduleOptions{Interval: 10 * time.Second, Jitter: -1, MinPause: 4 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	starts, err := scheduled(t, 50*time.Second, o, takes(13*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	wantStarts(t, starts, 10*time.Second, 27*time.Second, 44*time.Second)
	if !strings.Contains(log.String(), "overran") {
		t.Errorf("nothing was said of the overrun: %s", &log)
	}
}

// Jobs that are restarted at one moment spread over the interval, and drift apart later.
func TestScheduleJitter(t *testing.T) {
	firsts, gaps := map[time.Duration]bool{}, map[time.Duration]bool{}
	for range 20 {
		starts, err := scheduled(t, time.Minute, &ScheduleOptions{Interval: 10 * time.Second, Jitter: 2 * time.Second}, quick)
		if err != nil || len(starts) < 4 {
			t.Fatalf("%v, %v", starts, err)
		}
		if starts[0] >= 10*time.Second {
			t.Errorf("the first save came at %s", starts[0])
		}
		firsts[starts[0]/(2*time.Second)] = true
		for i := range starts[1:] {
			gap := starts[i+1] - starts[i]
			if gap < 10*time.Second || gap >= 12*time.Second {
				t.Errorf("a gap of %s", gap)
			}
			gaps[gap] = true
		}
	}
	if len(firsts) < 3 || len(gaps) < 20 {
		t.Errorf("first saves in %d fifths of the interval, %d different gaps", len(firsts), len(gaps))
	}
}

func TestScheduleAbortsWhatRunsTooLong(t *testing.T) {
	var ended []error
	starts, err := scheduled(t, 45*time.Second, &ScheduleOptions{Interval: 10 * time.Second, Jitter: -1, Timeout: 12 * time.Second}, func(ctx context.Context, n int) error {
		if n > 1 {
			return nil
		}
		<-ctx.Done()
		ended = append(ended, context.Cause(ctx))
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	wantStarts(t, starts, 10*time.Second, 22*time.Second, 32*time.Second, 42*time.Second)
	if len(ended) != 1 || !errors.Is(ended[0], errOverran) {
		t.Errorf("it was ended by %v", ended)
	}
}

func TestScheduleToleratesFailures(t *testing.T) {
	unavailable := &Error{Kind: ErrUnavailable, Op: "save"}
	fail := func(when func(n int) bool) func(context.Context, int) error {
		return func(_ context.Context, n int) error {
			if when(n) {
				return unavailable
			}
			return nil
		}
	}
	o := ScheduleOptions{Interval: time.Second, Jitter: -1, Tolerate: 2}
	starts, err := scheduled(t, 20500*time.Millisecond, &o, fail(func(n int) bool { return n%3 != 0 })) // never three in a row
	if err != nil || len(starts) != 20 {
		t.Errorf("%d saves, %v", len(starts), err)
	}
	starts, err = scheduled(t, 20*time.Second, &o, fail(func(n int) bool { return n > 4 }))
	if !errors.Is(err, ErrUnavailable) || len(starts) != 7 {
		t.Errorf("%d saves, %v", len(starts), err)
	}
	o.Tolerate = -1
	if starts, err = scheduled(t, 20*time.Second, &o, fail(func(n int) bool { return n == 2 })); err == nil || len(starts) != 2 {
		t.Errorf("%d saves, %v", len(starts), err)
	}
}

// What no later save can mend ends the schedule at once.
func TestScheduleEndsWithTheOwnership(t *testing.T) {
	for _, kind := range []error{ErrFenced, ErrInvalid} {
		starts, err := scheduled(t, time.Hour, nil, func(context.Context, int) error { return &Error{Kind: kind, Op: "save"} })
		if !errors.Is(err, kind) || len(starts) != 1 {
			t.Errorf("%d saves, %v", len(starts), err)
		}
	}
}

// The end of the job is not a failure, wherever it meets the schedule.
func TestScheduleStops(t *testing.T) {
	if starts, err := scheduled(t, 5*time.Second, &ScheduleOptions{Interval: 10 * time.Second, Jitter: -1}, quick); err != nil || len(starts) != 0 {
		t.Errorf("between saves: %v, %v", starts, err)
	}
	if starts, err := scheduled(t, 15*time.Second, &ScheduleOptions{Interval: 10 * time.Second, Jitter: -1}, takes(time.Hour)); err != nil || len(starts) != 1 {
		t.Errorf("in a save: %v, %v", starts, err)
	}
	err := Schedule(context.Background(), nil, &ScheduleOptions{Interval: -1})
	wantKind(t, err, ErrInvalid)
}
