package sidecar

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// complaints logs what goes wrong with requests, at most once a second: a client that tries again and again must not be able
// to fill a disk.
type complaints struct {
	mu      sync.Mutex
	last    time.Time
	dropped int
}

func (c *complaints) log(logger *slog.Logger, level slog.Level, msg string, args ...any) {
	now := time.Now()
	c.mu.Lock()
	if now.Sub(c.last) < time.Second {
		c.dropped++
		c.mu.Unlock()
		return
	}
	dropped := c.dropped
	c.last, c.dropped = now, 0
	c.mu.Unlock()
	if dropped > 0 {
		args = append(args, "more_since_the_last", dropped)
	}
	logger.Log(context.Background(), level, msg, args...)
}
