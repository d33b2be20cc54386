package checkpoint

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run the simulation of this seed only, and print its trace")
	simSeeds = flag.Uint64("sim.seeds", 0, "how many seeds TestSimulation runs; default 10000, with -short 300")
	simCount = flag.Bool("sim.count", false, "count the seeds that fail instead of stopping at the first")
	simFirst = flag.Uint64("sim.first", 1, "the first of these seeds")
)

// TestSimulation runs the real code of owners, workers, one-shot savers, collectors, trimmers, taggers, readers and removers of one job against a store whose every
// request is at the mercy of an adversary: see docs/simulation.md.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		w := simulate(t, *simSeed, newSimMemory())
		t.Logf("seed %d:\n%s", w.seed, strings.Join(w.trace, "\n"))
		w.report(t)
		return
	}
	seeds := *simSeeds
	switch {
	case seeds != 0:
	case testing.Short():
		seeds = 300
	default:
		seeds = 10_000
	}
	var failed simFailures
	t.Run("seeds", func(t *testing.T) {
		shards := uint64(runtime.GOMAXPROCS(0))
		for shard := range shards {
			t.Run(fmt.Sprintf("shard %d", shard), func(t *testing.T) {
				t.Parallel()
				memory := newSimMemory()
				for seed := *simFirst + shard; seed < *simFirst+seeds; seed += shards {
					if w := simulate(t, seed, memory); len(w.fouls) == 0 {
						continue
					} else if failed.add(w); !*simCount {
						return
					}
					memory = newSimMemory() // what a broken seed kept is not the next one's fault
				}
			})
		}
	})
	if failed.n == 0 {
		return
	}
	t.Errorf("%d of %d seeds failed, the first of them %d: %s", failed.n, seeds, failed.first.seed, failed.first.fouls[0])
	if !*simCount {
		t.Logf("the trace of seed %d:\n%s", failed.first.seed, strings.Join(failed.first.trace, "\n"))
		failed.first.report(t)
	}
}

// simFailures are the seeds that failed.
type simFailures struct {
	mu    sync.Mutex
	n     int
	first *simWorld
}

func (f *simFailures) add(w *simWorld) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.first == nil || w.seed < f.first.seed {
		f.first = w
	}
}

func (w *simWorld) report(t *testing.T) {
	t.Helper()
	for _, f := range w.fouls {
		t.Error(f)
	}
	if t.Failed() {
		t.Errorf("seed %d; repeat it with: go test ./checkpoint -run 'TestSimulation$' -v -sim.seed=%d", w.seed, w.seed)
	}
}

// simulate plays one seed.
func simulate(t *testing.T, seed uint64, memory *simMemory) *simWorld {
	w := newSimWorld(seed, memory)
	synctest.Test(t, func(*testing.T) { w.run() })
	if wrong := w.linearizable(); wrong != "" {
		w.foul("%s", wrong)
	}
	return w
}

func (w *simWorld) hash() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(w.trace, "\n"))))
}

// TestSimulationIsRepeatable: the same seed, the same trace, to the last letter.
func TestSimulationIsRepeatable(t *testing.T) {
	memory := newSimMemory()
	for seed := uint64(1); seed <= 60; seed++ {
		first, second := simulate(t, seed, memory), simulate(t, seed, memory)
		if first.hash() == second.hash() {
			continue
		}
		for i := range first.trace {
			if i >= len(second.trace) || first.trace[i] != second.trace[i] {
				t.Fatalf("seed %d takes another way after\n%s\n%s\n---\n%s", seed, strings.Join(first.trace[max(0, i-10):i], "\n"), first.trace[i], second.trace[min(i, len(second.trace)-1)])
			}
		}
		t.Fatalf("seed %d goes on where it ended", seed)
	}
}
