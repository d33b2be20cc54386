package sidecar

import (
	"testing"
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
