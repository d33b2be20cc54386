package emulator

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultScope is the scope of the fake instance's service account.
const DefaultScope = "https://www.googleapis.com/auth/cloud-platform"

const (
	// defaultLifetime is Google's: an access token lives an hour.
	defaultLifetime = time.Hour
	// maxDefaultReuse is what GCE does: it returns the same token until about four minutes before expiry.
	maxDefaultReuse = 4 * time.Minute
	// maxWait bounds wait_for_change where the client set no timeout_sec, so that a forgotten subscriber ends.
	maxWait = 5 * time.Minute
)

// MetadataOptions shape the metadata server. The zero value is a GCE instance with a default service account.
type MetadataOptions struct {
	// Account is the e-mail address of the instance's service account.
	Account string
	// Project is the project id.
	Project string
	// Scopes are the access scopes of the account; DefaultScope if empty.
	Scopes []string
	// Attributes are the values below instance/attributes/.
	Attributes map[string]string

	// TokenLifetime is how long a token lives; an hour if zero.
	TokenLifetime time.Duration
	// ReuseUntil is the habit that defeats token caches: while more than this is left of a token's life, every request
	// is answered with that token. Zero is GCE's habit, four minutes, or a fifteenth of a shorter TokenLifetime. GKE has been seen with five
	// minutes, one minute and 30 s. Negative: a new token for every request.
	ReuseUntil time.Duration
	// ClockSkew is how far this server's clock is behind the API's: a token's stated life is that much longer than the
	// API honours it (negative: shorter), and the Date header is that much early.
	ClockSkew time.Duration

	// Latency is added to every reply, and a share of LatencySpread, uniformly drawn.
	Latency, LatencySpread time.Duration
	// MaxConnections is how many connections may hold a place at once; requests on others are answered 429. Zero: no limit.
	MaxConnections int
	// MaxPerSecond is how many requests are answered in any one second; the others get 429. Zero: no limit.
	MaxPerSecond int
	// NotReadyFor is how long after its start the server is not there, as for a new GKE pod: for the first half
	// connections are refused, for the second half requests are answered 503.
	NotReadyFor time.Duration
}

func (o *MetadataOptions) withDefaults() MetadataOptions {
	var d MetadataOptions
	if o != nil {
		d = *o
	}
	if d.Account == "" {
		d.Account = "tidemark@emulator-project.iam.gserviceaccount.com"
	}
	if d.Project == "" {
		d.Project = "emulator-project"
	}
	if len(d.Scopes) == 0 {
		d.Scopes = []string{DefaultScope}
	}
	if d.TokenLifetime <= 0 {
		d.TokenLifetime = defaultLifetime
	}
	if d.ReuseUntil == 0 {
		d.ReuseUntil = min(maxDefaultReuse, d.TokenLifetime/15)
	}
	return d
}

// MetadataStats counts what the metadata server was asked.
type MetadataStats struct {
	Requests      int64 `json:"requests"`       // all, the refused ones too
	TokenRequests int64 `json:"token_requests"` // answered with a token
	TokensIssued  int64 `json:"tokens_issued"`  // distinct tokens among these answers
	Throttled     int64 `json:"throttled"`      // answered 429
	NotReady      int64 `json:"not_ready"`      // refused or answered 503 because of NotReadyFor
	Refused       int64 `json:"refused"`        // answered 403: no Metadata-Flavor, or X-Forwarded-For
	Connections   int64 `json:"connections"`    // distinct connections that asked something: how many clients
	Open          int64 `json:"open"`           // of these, open now
}

// Metadata is the metadata server of a fake instance, an http.Handler. It speaks to the Go, Python, Java, Rust and
// Hadoop clients and to gcloud.
type Metadata struct {
	opts    MetadataOptions
	values  *valueTree
	tokens  *tokenShop
	started time.Time

	requests, throttled, notReady, refused atomic.Int64

	mu     sync.Mutex
	conns  map[string]struct{} // remote addresses that hold a place
	total  int64
	recent []time.Time // answered requests of the last second, for MaxPerSecond
}

// NewMetadata returns a metadata server whose tokens come from issuer. NotReadyFor counts from now.
func NewMetadata(opts *MetadataOptions, issuer *Issuer) *Metadata {
	o := opts.withDefaults()
	return &Metadata{
		opts:    o,
		values:  newValueTree(o),
		tokens:  newTokenShop(o, issuer),
		started: time.Now(),
		conns:   make(map[string]struct{}),
	}
}

// ConnState is for http.Server.ConnState: it frees the place of a connection that closed. Without it MaxConnections
// counts every connection that ever was, and Stats reports them as open.
func (m *Metadata) ConnState(c net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.conns, c.RemoteAddr().String())
	}
}

// Set changes a value, by its path below /computeMetadata/v1/ such as instance/preempted or
// instance/attributes/colour, and wakes the clients that wait for a change of it.
func (m *Metadata) Set(path, value string) { m.values.set(path, value) }

// Stats returns the counters.
func (m *Metadata) Stats() MetadataStats {
	m.mu.Lock()
	open, total := int64(len(m.conns)), m.total
	m.mu.Unlock()
	requests, issued := m.tokens.stats()
	return MetadataStats{
		Requests: m.requests.Load(), TokenRequests: requests, TokensIssued: issued,
		Throttled: m.throttled.Load(), NotReady: m.notReady.Load(), Refused: m.refused.Load(),
		Connections: total, Open: open,
	}
}

func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.requests.Add(1)
	h := w.Header()
	h.Set("Metadata-Flavor", "Google")
	h.Set("Server", "Metadata Server for VM")
	if m.opts.ClockSkew != 0 {
		h.Set("Date", time.Now().Add(-m.opts.ClockSkew).UTC().Format(http.TimeFormat))
	}
	if !m.ready(w) || !m.admit(w, r) {
		return
	}
	if !pause(r.Context(), m.latency()) {
		panic(http.ErrAbortHandler) // to return would be to answer 200
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		htmlError(w, http.StatusMethodNotAllowed, "")
	case len(r.Header.Values("X-Forwarded-For")) > 0:
		// A proxy that forwards foreign requests must not be able to fetch the instance's token for them.
		m.refused.Add(1)
		htmlError(w, http.StatusForbidden, "")
	case r.URL.Path == "/":
		// The probe of clients that ask "is this Google Cloud?"; some send the header, some do not.
		h.Set("Content-Type", "application/text")
		_, _ = w.Write([]byte("computeMetadata/\n"))
	case r.Header.Get("Metadata-Flavor") != "Google":
		m.refused.Add(1)
		htmlError(w, http.StatusForbidden, "Missing Metadata-Flavor:Google header.")
	default:
		m.serve(w, r)
	}
}

func (m *Metadata) serve(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/computeMetadata/v1/")
	if !ok {
		switch r.URL.Path {
		case "/computeMetadata/v1":
			redirectToDirectory(w, r)
		case "/computeMetadata/":
			w.Header().Set("Content-Type", "application/text")
			_, _ = w.Write([]byte("v1/\n"))
		default:
			htmlError(w, http.StatusNotFound, "")
		}
		return
	}
	if rest, ok := strings.CutPrefix(path, "instance/service-accounts/"); ok {
		if account, what, _ := strings.Cut(rest, "/"); what == "token" || what == "identity" {
			m.tokens.serve(w, r, account, what)
			return
		}
	}
	m.values.serve(w, r, path)
}
