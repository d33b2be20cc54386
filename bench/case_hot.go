package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is how many operations a goroutine does between looks at whether it is over: enough to hide the look.
const chunk = 1000

// healthy is a server that no hot case asks twice.
var healthy = habits{life: time.Hour, reuse: -1}

func hotCases() []Case {
	var cases []Case
	for _, g := range []struct {
		goroutines int
		goal       float64
	}{{1, 2.5}, {2, 1.5}, {256, 1.5}} {
		cases = append(cases, Case{
			Name: fmt.Sprintf("hot-%d", g.goroutines), Kind: Hot, rounds: 7,
			About: fmt.Sprintf("a valid token at hand, asked for by %s without a pause; wall time over calls", plural(g.goroutines, "goroutine")),
			Goal:  fmt.Sprintf("≤ %.1f ns, 0 allocations", g.goal),
			reached: func(r Result) bool {
				return *r.BestNsPerOp <= g.goal && *r.AllocsPerOp == 0
			},
			play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
				return s.warm(ctx, c, healthy, func(_ *server, client Client, _ *tally) (Result, error) {
					return s.spin(g.goroutines, client.Loop)
				})
			},
		})
	}
	return append(cases, Case{
		Name: "authorize", Kind: Hot, rounds: 7,
		About: "a token got and put into the header of a request that the caller owns",
		Goal:  "≤ 100 ns, 0 allocations",
		reached: func(r Result) bool {
			return *r.BestNsPerOp <= 100 && *r.AllocsPerOp == 0
		},
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return s.warm(ctx, c, healthy, func(_ *server, client Client, _ *tally) (Result, error) {
				a, ok := client.(Authorizer)
				if !ok {
					return Result{}, errNotOffered
				}
				req := sampleRequest(ctx)
				return s.spin(1, func(n int) error { return a.LoopAuthorize(req, n) })
			})
		},
	}, Case{
		Name: "transport", Kind: Hot, rounds: 7,
		About: "a request authorised on its way by the library's http.RoundTripper, which must not change the caller's request; nothing is sent",
		play: func(ctx context.Context, s *stage, c Contender) (Result, error) {
			return s.warm(ctx, c, healthy, func(_ *server, client Client, _ *tally) (Result, error) {
				t, ok := client.(Transporter)
				if !ok {
					return Result{}, errNotOffered
				}
				req, rt := sampleRequest(ctx), t.Transport(nowhere{})
				return s.spin(1, func(n int) error {
					for range n {
						resp, err := rt.RoundTrip(req)
						if err != nil {
							return err
						}
						_ = resp.Body.Close() // http.NoBody
					}
					return nil
				})
			})
		},
	})
}

// errNotOffered leaves a contender out of a case.
var errNotOffered = errors.New("not offered by this library")

// spin runs loop in so many goroutines for a while.
func (s *stage) spin(goroutines int, loop func(n int) error) (Result, error) {
	if err := loop(chunk); err != nil {
		return Result{}, err
	}
	var ops atomic.Int64
	var over atomic.Bool
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	start := make(chan struct{})
	for range goroutines {
		workers.Go(func() {
			<-start
			for !over.Load() {
				if err := loop(chunk); err != nil {
					failed.Store(&err)
					return
				}
				ops.Add(chunk)
			}
		})
	}
	runtime.GC() // or the garbage of the contender before would be collected in this one's time
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	end := time.AfterFunc(s.pick(20*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond), func() { over.Store(true) })
	defer end.Stop()
	close(start)
	workers.Wait()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if err := failed.Load(); err != nil {
		return Result{}, *err
	}
	n := float64(ops.Load())
	ns := float64(took.Nanoseconds()) / n
	allocs := perOp(after.Mallocs-before.Mallocs, n)
	bytes := perOp(after.TotalAlloc-before.TotalAlloc, n)
	return Result{NsPerOp: &ns, BestNsPerOp: &ns, AllocsPerOp: &allocs, BytesPerOp: &bytes}, nil
}

// perOp is rounded down, as by the testing package: the runtime allocates a little by itself meanwhile.
func perOp(total uint64, n float64) float64 { return float64(int64(float64(total) / n)) }

// nowhere answers without sending.
type nowhere struct{}

var nothing = &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nothing, nil }

// sampleRequest has the headers that a storage client sets.
func sampleRequest(ctx context.Context) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://storage.googleapis.com/storage/v1/b/bucket/o/name", nil)
	if err != nil {
		panic(err) // the address is a constant
	}
	req.Header.Set("User-Agent", "bench")
	req.Header.Set("X-Goog-Api-Client", "gl-go/1.26")
	req.Header.Set("Accept", "application/json")
	return req
}
