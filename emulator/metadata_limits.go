package emulator

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

func (m *Metadata) latency() time.Duration {
	d := m.opts.Latency
	if m.opts.LatencySpread > 0 {
		d += rand.N(m.opts.LatencySpread)
	}
	return d
}

// ready answers for a server that is not there yet.
func (m *Metadata) ready(w http.ResponseWriter) bool {
	age := time.Since(m.started)
	if age >= m.opts.NotReadyFor {
		return true
	}
	m.notReady.Add(1)
	if age < m.opts.NotReadyFor/2 {
		resetConnection(w)
		return false
	}
	htmlError(w, http.StatusServiceUnavailable, "")
	return false
}

// admit keeps to MaxConnections and MaxPerSecond.
func (m *Metadata) admit(w http.ResponseWriter, r *http.Request) bool {
	now := time.Now()
	m.mu.Lock()
	_, known := m.conns[r.RemoteAddr]
	full := !known && m.opts.MaxConnections > 0 && len(m.conns) >= m.opts.MaxConnections
	if !known {
		m.total++
		if !full {
			m.conns[r.RemoteAddr] = struct{}{}
		}
	}
	fast := !full && m.tooFast(now)
	m.mu.Unlock()

	if !full && !fast {
		return true
	}
	m.throttled.Add(1)
	w.Header().Set("Retry-After", "1")
	if full {
		w.Header().Set("Connection", "close")
	}
	htmlError(w, http.StatusTooManyRequests, "")
	return false
}

// tooFast is called with mu held.
func (m *Metadata) tooFast(now time.Time) bool {
	if m.opts.MaxPerSecond <= 0 {
		return false
	}
	for len(m.recent) > 0 && now.Sub(m.recent[0]) >= time.Second {
		m.recent = m.recent[1:]
	}
	if len(m.recent) >= m.opts.MaxPerSecond {
		return true
	}
	m.recent = append(m.recent, now)
	return false
}

// pause waits for d and reports whether ctx is still alive after it.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
