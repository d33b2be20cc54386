package credentials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a token server in memory. It hands out the same token until renewBefore is left of it, as
// metadata servers do.
type server struct {
	name        string
	life        time.Duration
	renewBefore time.Duration
	latency     time.Duration
	fails       func(nth int, at time.Duration) error // nil or nil error: answers

	mu     sync.Mutex
	start  time.Time
	asked  []time.Time
	issued int
	expiry time.Time
}

func (s *server) Identity() string { return "test|" + s.name }

func (s *server) Fetch(ctx context.Context) (*Token, error) {
	sent := time.Now()
	s.mu.Lock()
	if s.asked == nil && s.start.IsZero() {
		s.start = sent
	}
	s.asked = append(s.asked, sent)
	nth := len(s.asked)
	s.mu.Unlock()
	select {
	case <-time.After(s.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.fails != nil {
		if err := s.fails(nth, time.Since(s.start)); err != nil {
			if errors.Is(err, errHang) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.issued == 0 || s.expiry.Sub(now) <= s.renewBefore {
		s.issued++
		s.expiry = now.Add(s.life)
	}
	return NewToken(fmt.Sprintf("%s-token-%d", s.name, s.issued), "Bearer", "robot@example.com", sent, time.Until(s.expiry))
}

var errHang = fmt.Errorf("hang")

func (s *server) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// revoke makes the next fetch bring another token.
func (s *server) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry = time.Time{}
}

func closing(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// get asks for a token, and says how long that took.
func get(t *testing.T, c Tokens) (*Token, time.Duration) {
	t.Helper()
	began := time.Now()
	token, err := c.Get(t.Context())
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return token, time.Since(began)
}
