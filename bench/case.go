package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what a case measures, and so which figures it has.
type Kind string

const (
	Hot     Kind = "hot"     // the time and memory of a call while a valid token is at hand
	Wait    Kind = "wait"    // how long a crowd of callers waits
	Episode Kind = "episode" // what happens, over seconds or minutes, while the server is not as it should be
)

// Case is one situation.
type Case struct {
	Name  string
	About string
	Kind  Kind
	Goal  string // what is asked of this project's cache; may be empty

	reached  func(Result) bool // whether it did
	rounds   int               // unless asked for otherwise
	together bool              // contenders run side by side: it takes long, and counts more than it times
	play     func(ctx context.Context, s *stage, c Contender) (Result, error)
}

// Cases are all of them, in their order.
func Cases() []Case {
	cases := hotCases()
	cases = append(cases, coldCase())
	cases = append(cases, clientCases()...)
	cases = append(cases, expiryCases()...)
	cases = append(cases, podCase(), throttleCase())
	cases = append(cases, repeatCases()...)
	cases = append(append(cases, outageCases()...), hangExpiryCase())
	return append(cases, sidecarCases()...)
}

// stage is where cases are played.
type stage struct {
	site        *site
	sidecar     []string // see [Options.Sidecar]
	quick, real bool
}

// pick chooses how long something takes: for a smoke test, by default, and as in life.
func (s *stage) pick(quick, usual, real time.Duration) time.Duration {
	switch {
	case s.real:
		return real
	case s.quick:
		return quick
	}
	return usual
}

// life is that of tokens in a case whose trouble begins at the first refresh: long enough for the contender to come to
// it soon after the start. own is for a contender whose window is a share of the life.
func (c *Contender) life(own time.Duration) time.Duration {
	if c.Window == 0 {
		return own
	}
	return c.Window + 2*time.Second
}

// warmUp bounds how long a contender takes for a first token from a healthy server.
const warmUp = 20 * time.Second

// warm opens a client of a server and gets a first token.
func (s *stage) warm(ctx context.Context, c Contender, h habits, do func(*server, Client, *tally) (Result, error)) (r Result, err error) {
	srv, err := s.site.open(h)
	if err != nil {
		return r, err
	}
	defer srv.close()
	client, err := c.Open(srv.endpoint)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	defer context.AfterFunc(ctx, srv.abandon)()
	bounded, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	first, err := client.Token(bounded)
	if err != nil {
		return r, fmt.Errorf("no first token from a healthy server: %w", err)
	}
	return do(srv, client, &tally{first: first})
}

// meanwhile counts the requests for a token that came before the recovery.
func (r *Result) meanwhile(srv *server, recovered time.Time) {
	n := 0
	began, _ := srv.troubled()
	for _, at := range srv.fetches() {
		if at.Before(recovered) && !at.Before(began) {
			n++
		}
	}
	r.Meanwhile = &n
}

// outcome is what callers saw between from and to, and what the server was asked from since on.
func outcome(v view, srv *server, since time.Time) Result {
	calls, fetches, conns := len(v.samples), 0, srv.connections()
	for _, at := range srv.fetches() {
		if !at.Before(since) {
			fetches++
		}
	}
	failed, last := v.errors()
	r := Result{Calls: &calls, Errors: &failed, Fetches: &fetches, Connections: &conns, Latency: v.latency()}
	if last != nil {
		r.LastError = last.Error()
	}
	return r
}
