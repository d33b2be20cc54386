package sidecar

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tidemark-go/tidemark/credentials"
)

// counters count since the start.
type counters struct {
	requests, tokens, identities, values         atomic.Int64
	fetches, joined, stale                       atomic.Int64 // of values
	flavorless, forwarded, hosts, methods, loops atomic.Int64
	shed, shedConnections, failed, connections   atomic.Int64
}

// tally sums up caches.
type tally struct{ fetches, coalesced, stale, unavailable, refused, misconfigured int64 }

func (t *tally) add(s *credentials.Stats) {
	t.fetches += s.Fetches
	t.coalesced += s.Coalesced
	t.stale += s.StaleServes
	t.unavailable += s.Unavailable
	t.refused += s.Refused
	t.misconfigured += s.Misconfigured
}

// Stats are the counters of a [Server] since its start.
type Stats struct {
	Ready           bool  `json:"ready"`
	Requests        int64 `json:"requests"`         // all, and connections that were turned away
	UpstreamFetches int64 `json:"upstream_fetches"` // requests made upstream, for tokens and for values
	Coalesced       int64 `json:"coalesced"`        // requests that joined one of these that was under way
	ServedStale     int64 `json:"served_stale"`     // answered with a valid token while its renewal was due, or an old value
	Refused         int64 `json:"refused"`          // turned away: the sum of RefusedBy

	RefusedBy   RefusedBy           `json:"refused_by"`
	Answered    Answered            `json:"answered"`
	Failed      int64               `json:"failed"` // answered 503: nothing to serve, and no answer from upstream in time
	Failures    Failures            `json:"fetch_failures"`
	Waiting     int                 `json:"waiting"`     // requests that wait for the upstream now
	Subscribers int                 `json:"subscribers"` // of these, with wait_for_change
	Connections int64               `json:"connections"` // open now
	Identities  []credentials.Stats `json:"identities"`  // each cache by itself
}

// RefusedBy says why requests were turned away.
type RefusedBy struct {
	Flavor    int64 `json:"metadata_flavor"` // without Metadata-Flavor: Google
	Forwarded int64 `json:"forwarded"`       // with X-Forwarded-For
	Host      int64 `json:"host"`            // for the name of another host
	Method    int64 `json:"method"`          // neither GET nor HEAD, or with a body
	Loop      int64 `json:"loop"`            // by this server itself
	Overload  int64 `json:"overload"`        // 429: too many waited, or too many connections
}

// Answered says what was answered.
type Answered struct {
	Tokens     int64 `json:"tokens"`
	Identities int64 `json:"identity_tokens"`
	Values     int64 `json:"values"`
}

// Failures are attempts to get a token that failed, by kind.
type Failures struct {
	Unavailable   int64 `json:"unavailable"`
	Refused       int64 `json:"refused"`
	Misconfigured int64 `json:"misconfigured"`
}

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats {
	identities, sum := s.pool.stats()
	slices.SortFunc(identities, func(a, b credentials.Stats) int { return strings.Compare(a.Identity, b.Identity) })
	c := &s.count
	by := RefusedBy{
		Flavor: c.flavorless.Load(), Forwarded: c.forwarded.Load(), Host: c.hosts.Load(), Method: c.methods.Load(),
		Loop: c.loops.Load(), Overload: c.shed.Load() + c.shedConnections.Load(),
	}
	return Stats{
		Ready:           s.Ready(),
		Requests:        c.requests.Load() + c.shedConnections.Load(),
		UpstreamFetches: c.fetches.Load() + sum.fetches,
		Coalesced:       c.joined.Load() + sum.coalesced,
		ServedStale:     c.stale.Load() + sum.stale,
		Refused:         by.Flavor + by.Forwarded + by.Host + by.Method + by.Loop + by.Overload,
		RefusedBy:       by,
		Answered:        Answered{c.tokens.Load(), c.identities.Load(), c.values.Load()},
		Failed:          c.failed.Load(),
		Failures:        Failures{sum.unavailable, sum.refused, sum.misconfigured},
		Waiting:         len(s.waiting) + len(s.subscribe),
		Subscribers:     len(s.subscribe),
		Connections:     c.connections.Load(),
		Identities:      identities,
	}
}
