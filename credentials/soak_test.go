package credentials

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two days of a bad server and worse clients: whatever happens, no token is served that has expired, no
// caller stays past its deadline, and a caller who is patient enough is served.
func TestSoak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(2)
		upstream := &server{name: "a", life: time.Hour, renewBefore: 3 * time.Minute, latency: time.Second}
		upstream.fails = func(int, time.Duration) error {
			switch n := rand.N(10); {
			case time.Now().Hour()%6 == 5: // an hour out of six it is down
				return errDown
			case n < 1:
				return errHang
			case n < 3:
				return &Error{Kind: Unavailable, Err: errors.New("HTTP 429"), RetryAfter: rand.N(5 * time.Second)}
			}
			return nil
		}
		end := time.Now().Add(48 * time.Hour)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for time.Now().Before(end) {
					h := r.open(upstream, nil)
					for range rand.N(20) {
						time.Sleep(rand.N(2 * time.Minute))
						soak(t, h, upstream)
					}
					closing(t, h)
				}
			})
		}
		wg.Wait()
		if n := upstream.fetches(); n > 8*3600+1000 { // one a second while it is down and somebody waits
			t.Errorf("%d fetches in two days", n)
		}
	})
}

func soak(t *testing.T, h *Handle, upstream *server) {
	limit := rand.N(time.Minute) + time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	token, err := h.Get(ctx)
	took := time.Since(began)
	switch {
	case took > limit:
		t.Errorf("a caller was held %v past its deadline", took-limit)
	case err == nil && time.Until(token.Expiry()) < time.Second:
		t.Errorf("served a token with %v left", time.Until(token.Expiry()))
	case err == nil && rand.N(500) == 0:
		upstream.revoke()
		h.Invalidate(token)
	case err != nil && !errors.Is(err, ErrUnavailable):
		t.Errorf("got %v", err)
	case err != nil && limit > 50*time.Second && began.Hour()%6 != 5 && time.Now().Hour()%6 != 5:
		t.Errorf("a server that answers most of the time did not within %v: %v", limit, err)
	}
}
