package sidecar

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

// TestLeftByTheClockThatSaysLess: a wall clock that was set back must not lengthen a token's life. No test can set it, so
// the monotonic end is moved instead.
func TestLeftByTheClockThatSaysLess(t *testing.T) {
	now := time.Now()
	token, err := credentials.NewToken("secret", "", "", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for end, want := range map[time.Duration]time.Duration{10 * time.Minute: 10 * time.Minute, 2 * time.Hour: time.Hour} {
		var id identity
		id.seen.Store(&deadline{token, now.Add(end)})
		if left := id.left(token, now); left != want {
			t.Errorf("the monotonic clock says %v, the wall clock 1h: %v", end, left)
		}
	}
}

// TestComplaintsAreFew: a client that tries again and again must not fill a disk.
func TestComplaintsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		var c complaints
		for range 100 {
			c.log(logger, slog.LevelWarn, "request failed")
		}
		time.Sleep(time.Second)
		c.log(logger, slog.LevelWarn, "request failed")
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "more_since_the_last=99") {
			t.Errorf("%d lines: %s", lines, &log)
		}
	})
}
