package sidecar

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

// Server is a metadata server that answers from token caches. It is an [http.Handler].
type Server struct {
	opts  *Options
	hosts map[string]bool
	via   string // how requests that this server sent are recognised

	up        *upstream   // nil when the server stands alone
	values    *values     // nil when the server stands alone
	alone     *standalone // nil when there is an upstream
	pool      *pool
	waiting   slots
	subscribe slots
	count     counters

	complaints, refusals complaints

	ctx     context.Context // ends the background work
	cancel  context.CancelFunc
	ending  context.Context // ends subscriptions
	end     context.CancelFunc
	work    sync.WaitGroup
	closing sync.Once
}

// New makes a server and starts to fetch the tokens of [Options.Accounts]. It does not wait for them: [Server.Ready].
func New(o *Options) (*Server, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, hosts: hostNames(opts.Hosts), via: "tidemark-" + rand.Text()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.ending, s.end = context.WithCancel(s.ctx)
	s.waiting = newSlots(opts.MaxWaiting)
	s.subscribe = newSlots(opts.MaxSubscribers)
	s.pool = newPool(opts.MaxIdentities)
	if opts.Source != nil {
		if s.alone, err = newStandalone(s.ctx, opts); err != nil {
			s.cancel()
			return nil, err
		}
	} else {
		s.up = newUpstream(opts.Upstream, opts.Transport, s.via)
		s.values = newValues(s.ctx, &s.work, s.up, s.waiting, opts.Patience, &s.count)
	}
	for _, account := range opts.Accounts {
		src, err := s.tokenSource(s.ctx, account, tokenQuery{scopes: opts.Scopes})
		if err != nil {
			return nil, joinClose(err, s)
		}
		id := s.pool.pin(tokenKey(account, tokenQuery{scopes: opts.Scopes}), credentials.New(src, &credentials.Options{
			Logger: opts.Logger, Patience: opts.Patience,
			// These are what the server is there for, whether or not somebody asked lately.
			KeepWarm: math.MaxInt64,
		}))
		s.work.Go(func() { s.warm(id) })
	}
	return s, nil
}

func joinClose(err error, c io.Closer) error {
	_ = c.Close() // nothing runs yet that could fail to end
	return err
}

// warm waits for the first token. From then on the cache keeps itself fresh.
func (s *Server) warm(id *identity) {
	for s.ctx.Err() == nil {
		began := time.Now()
		if _, err := id.cache.Get(s.ctx); err == nil {
			return
		}
		// A refusal is answered at once, and remembered by the cache for a while.
		select {
		case <-time.After(max(warmEvery-time.Since(began), 0)):
		case <-s.ctx.Done():
		}
	}
}

// warmEvery is how soon a fixed permission is noticed while no client asks.
const warmEvery = 5 * time.Second

// Ready reports whether the server holds a valid token for each of its [Options.Accounts].
func (s *Server) Ready() bool {
	for _, id := range s.pool.pins() {
		if id.cache.Stats().State == credentials.Expired.String() {
			return false
		}
	}
	return s.ctx.Err() == nil
}

// Close ends the background work and waits for it. Requests that are still served fail.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.cancel()
		if s.values != nil {
			s.values.close()
		}
		s.pool.close()
		s.work.Wait()
		if s.up != nil {
			s.up.close()
		}
	})
	return nil
}

// tokenSource is where the tokens of an account come from.
func (s *Server) tokenSource(ctx context.Context, account string, q tokenQuery) (credentials.Source, error) {
	if s.alone != nil {
		return s.opts.Source(ctx, q.scopes)
	}
	return credentials.Metadata(&credentials.MetadataOptions{
		Host: s.up.host, Account: account, Scopes: q.scopes, Client: s.up.client(q.kind),
	}), nil
}

// String names the server by what it stands in front of.
func (s *Server) String() string {
	if s.alone != nil {
		return "sidecar of " + s.alone.account
	}
	return "sidecar of " + s.up.host
}

// Format is String under every verb: fmt would otherwise read fields that change meanwhile.
func (s *Server) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

var _ http.Handler = (*Server)(nil)
