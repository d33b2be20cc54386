package bench

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// habits are how a metadata server behaves while it is well.
type habits struct {
	life    time.Duration // of its tokens
	reuse   time.Duration // it hands out the same token while more than this is left; negative: never the same
	latency time.Duration // of each answer
}

// server is the metadata server of one contender in one case.
type server struct {
	endpoint Endpoint
	leave    func()
	faults   *emulator.Faults
	next     http.Handler
	stop     context.Context // ends what hangs
	cancel   context.CancelFunc
	inflight sync.WaitGroup

	mu      sync.Mutex
	asked   []time.Time         // when requests for a token arrived, answered or not
	conns   map[string]struct{} // that they came on
	arm     func() trouble      // what the next request sets off
	began   time.Time           // when it did
	trouble trouble
}

func newServer(h habits) (*server, error) {
	faults, err := emulator.NewFaults()
	if err != nil {
		return nil, err
	}
	issuer := emulator.NewIssuer()
	metadata := emulator.NewMetadata(&emulator.MetadataOptions{TokenLifetime: h.life, ReuseUntil: h.reuse, Latency: h.latency}, issuer)
	s := &server{faults: faults, next: faults.Wrap(emulator.ServerMetadata, metadata), conns: map[string]struct{}{}}
	s.stop, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// abandon ends every request that hangs, and with it whoever waits for it in a library that knows no contexts.
func (s *server) abandon() {
	s.leave()
	s.cancel()
}

// close abandons the server and returns when no request is left.
func (s *server) close() {
	s.abandon()
	s.inflight.Wait()
}

// trouble is what befalls a server for a while.
type trouble struct {
	lasts  time.Duration
	faults []emulator.Fault
}

// onNext makes trouble begin with the next request for a token. So every contender meets it at the same point of its
// own doing, however early it refreshes.
func (s *server) onNext(arm func() trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arm = arm
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.inflight.Done() // the site has added it
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	if r.URL.Path == tokenPath {
		s.arrived(r)
	}
	s.next.ServeHTTP(w, r.WithContext(ctx))
}

func (s *server) arrived(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.asked = append(s.asked, now)
	s.conns[r.RemoteAddr] = struct{}{}
	if s.arm == nil {
		return
	}
	s.began, s.trouble, s.arm = now, s.arm(), nil
	if err := s.faults.Set(s.trouble.faults...); err != nil {
		panic(err) // the rules are made in this package
	}
}

// fetches are the requests for a token so far.
func (s *server) fetches() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// troubled is when the trouble began and when it ended or will end; zero times if it has not begun.
func (s *server) troubled() (began, recovered time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		return time.Time{}, time.Time{}
	}
	return s.began, s.began.Add(s.trouble.lasts)
}
