package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// crowd runs n callers at once and waits for all.
func crowd(n int, caller func(i int)) {
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { caller(i) })
	}
	callers.Wait()
}

func coldCase() Case {
	const callers, latency, leaderGivesUp, short, long = 1000, 200 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 10 * time.Second
	return Case{
		Name: "cold", Kind: Wait, rounds: 3,
		About: "1,000 callers at once and no token yet; the server takes 200 ms. The first caller is cancelled after 50 ms, half of " +
			"the others have a deadline of 100 ms, half of 10 s. Errors are those of callers who had time left; late are those " +
			"held for more than 20 ms past their deadline",
		Goal:    "1 fetch, 0 errors, nobody late",
		reached: func(r Result) bool { return *r.Fetches == 1 && *r.Errors == 0 && *r.Late == 0 },
		play: func(ctx context.Context, s *stage, c Contender) (r Result, err error) {
			srv, err := s.site.open(habits{life: time.Hour, reuse: -1, latency: latency})
			if err != nil {
				return r, err
			}
			defer srv.close()
			defer context.AfterFunc(ctx, srv.abandon)()
			client, err := c.Open(srv.endpoint)
			if err != nil {
				return r, err
			}
			began := time.Now()
			patient, hasty := &tally{}, &tally{}
			lead, giveUp := context.WithTimeout(ctx, leaderGivesUp)
			defer giveUp()
			var leader sync.WaitGroup
			leader.Go(func() { _, _ = client.Token(lead) })
			awaits(ctx, time.Second, func() bool { return len(srv.fetches()) > 0 })
			crowd(callers-1, func(i int) {
				if i%2 == 0 {
					call(ctx, client, hasty, short, 0)
				} else {
					call(ctx, client, patient, long, 0)
				}
			})
			leader.Wait()
			now := time.Now()
			r = outcome(patient.between(began, now), srv, began)
			late, overrun := 0, 0.0
			for _, t := range []struct {
				*tally
				deadline time.Duration
			}{{hasty, short}, {patient, long}} {
				for _, s := range t.samples {
					if over := s.ended.Sub(s.began) - t.deadline; over > lateness {
						late++
						overrun = max(overrun, over.Seconds())
					}
				}
			}
			calls := callers
			r.Calls, r.Late, r.Overrun = &calls, &late, &overrun
			return r, client.Close()
		},
	}
}

func clientCases() []Case {
	var cases []Case
	for _, n := range []int{1, 100, 1000} {
		c := Case{
			Name: fmt.Sprintf("clients-%d", n), Kind: Wait, rounds: 3,
			About: fmt.Sprintf("%s opened by one process for one identity, each asking for a token at once; the server takes 20 ms", plural(n, "client")),
			Goal:  "1 fetch, ≤ 2 connections",
			reached: func(r Result) bool {
				return *r.Fetches == 1 && *r.Connections <= 2 && *r.Errors == 0
			},
			play: func(ctx context.Context, s *stage, c Contender) (Result, error) { return openClients(ctx, s, c, n) },
		}
		cases = append(cases, c)
	}
	return cases
}

func openClients(ctx context.Context, s *stage, c Contender, n int) (r Result, err error) {
	srv, err := s.site.open(habits{life: time.Hour, latency: 20 * time.Millisecond})
	if err != nil {
		return r, err
	}
	defer srv.close()
	clients := make([]Client, n)
	for i := range clients {
		if clients[i], err = c.Open(srv.endpoint); err != nil {
			return r, err
		}
	}
	began, seen := time.Now(), &tally{}
	crowd(n, func(i int) { call(ctx, clients[i], seen, 10*time.Second, 0) })
	r = outcome(seen.between(began, time.Now()), srv, began)
	for _, client := range clients {
		if err := client.Close(); err != nil {
			return r, err
		}
	}
	return r, nil
}

func podCase() Case {
	const callers, patience = 100, 10 * time.Second
	return Case{
		Name: "pod-start", Kind: Wait, rounds: 1,
		About: "the metadata server of a new pod: connections are refused for 3 s, then it answers 503 for 2 s. 100 callers come at " +
			"once at the very start, each with 10 s. Refreshed counts from the recovery",
		Goal: "0 errors, ≤ 1 s after recovery",
		reached: func(r Result) bool {
			return *r.Errors == 0 && r.Refreshed != nil && *r.Refreshed <= 1
		},
		play: func(ctx context.Context, s *stage, c Contender) (r Result, err error) {
			refused := s.pick(600*time.Millisecond, 3*time.Second, 3*time.Second)
			failing := s.pick(400*time.Millisecond, 2*time.Second, 2*time.Second)
			srv, err := s.site.open(habits{life: time.Hour})
			if err != nil {
				return r, err
			}
			defer srv.close()
			defer context.AfterFunc(ctx, srv.abandon)()
			client, err := c.Open(srv.endpoint)
			if err != nil {
				return r, err
			}
			if err := s.site.refuse(); err != nil {
				return r, err
			}
			began, seen := time.Now(), &tally{}
			var waiting sync.WaitGroup
			waiting.Go(func() { crowd(callers, func(int) { call(ctx, client, seen, patience, 0) }) })
			pause(ctx, refused)
			if err := srv.faults.Set(unavailable(failing)); err != nil {
				return r, err
			}
			if err := s.site.admit(); err != nil {
				return r, err
			}
			recovered := time.Now().Add(failing)
			waiting.Wait()
			now := time.Now()
			r = outcome(seen.between(began, now), srv, began)
			r.after(recovered, seen.renewedAt())
			r.Timeline = lane(began, began, now, recovered.Sub(began), srv.fetches(), nil, seen.renewedAt())
			return r, client.Close()
		},
	}
}

// unavailable answers every request for a token with 503 for d.
func unavailable(d time.Duration) emulator.Fault {
	return emulator.Fault{
		Match: emulator.Match{Server: emulator.ServerMetadata, Path: tokenPath, Until: d},
		Then:  emulator.Then{Effect: emulator.EffectStatus, Status: 503},
	}
}

// after fills in how long after the recovery a new token was first seen.
func (r *Result) after(recovered, renewed time.Time) {
	if renewed.IsZero() {
		r.Unrenewed = true
		return
	}
	took := max(renewed.Sub(recovered).Seconds(), 0)
	r.Refreshed = &took
}
