package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressLine(t *testing.T) {
	p := &progress{verb: "saved"}
	p.Bytes.Store(3 << 20)
	p.Parts.Store(2)
	if got, want := p.line(2*time.Second), "saved 3.0 MiB, 2 parts, 1.5 MiB/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Total.Store(9 << 20)
	if got, want := p.line(2*time.Second), "saved 3.0 MiB of 9.0 MiB, 2 parts, 1.5 MiB/s, 4.0 s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Bytes.Store(0)
	if got, want := p.line(2*time.Second), "saved 0 B of 9.0 MiB, 2 parts, 0 B/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressIntervals(t *testing.T) {
	for _, test := range []struct {
		name            string
		terminal, quiet bool
		work            time.Duration
		lines           int
	}{
		{"short on a terminal", true, false, 900 * time.Millisecond, 0},
		{"on a terminal", true, false, 1500 * time.Millisecond, 3}, // at 1.0, 1.2 and 1.4 s
		{"short in a log", false, false, 9 * time.Second, 0},
		{"in a log", false, false, 35 * time.Second, 3},
		{"quiet", true, true, 35 * time.Second, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				p := newProgress("saved", &out, test.terminal)
				p.start(test.quiet)
				time.Sleep(test.work) // fake time: the bubble's clock jumps
				p.stop()
				if n := strings.Count(out.String(), "saved "); n != test.lines {
					t.Errorf("%d lines, want %d:\n%q", n, test.lines, out.String())
				}
				if test.terminal && test.lines > 0 && !strings.HasSuffix(out.String(), "\r\x1b[K") {
					t.Errorf("the terminal's line is left behind: %q", out.String())
				}
			})
		})
	}
}
