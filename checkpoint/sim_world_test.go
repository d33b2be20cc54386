package checkpoint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

const (
	simJob = "flows"

	// All time passes in jumps. The retry layers draw their pauses at random (10 s at most); a jump is so much longer that every pause is over with it, and no
	// deadline lies so near to the end of a jump that a drawn pause could decide: so what a jump wakes does not depend on what was drawn.
	simJump     = 10 * time.Minute
	simAttempt  = simJump * 3 / 2
	simPatience = simJump * 22 / 10
	simLease    = simJump * 225 / 100

	simMostTurns = 600 // of the disturbed part; then everybody finishes
	simMostJumps = 60  // of the undisturbed rest
	simMostFouls = 5   // more of them add nothing
)

// simWorld is one seed: a store, the actors, and the scheduler, which alone decides what happens next. Its fields are the scheduler's: it runs only while
// everybody else waits. What actors touch by themselves is behind mu.
type simWorld struct {
	seed    uint64
	rng     *rand.Rand
	mem     *memstore.Store
	memory  *simMemory
	weather float64 // how likely a request is disturbed
	actors  []*simActor
	last    *simActor // who moved last

	mu      sync.Mutex
	parked  []*simTicket
	late    []*simTicket // requests that nobody waits for any more
	seq     int
	gone    int // actors that have ended
	turn    int
	calm    bool // nothing is disturbed any more, and nothing new is begun
	jumped  bool // time has passed while requests were under way
	removed bool // the job was removed at least once

	serial sync.Mutex // of the judge's requests, some of which leave at once

	names  map[format.Nonce]int
	trace  []string
	fouls  []string
	ops    []*simOp
	truth  simTruth
	shares simShares
}

// simActor plays a role in one process after the other.
type simActor struct {
	w       *simWorld
	name    string
	rng     *rand.Rand
	lives   int
	play    func(*simActor, *simProcess)
	weight  float64
	stalled int // until this turn
}

// simProcess is one life of an actor.
type simProcess struct {
	w         *simWorld
	actor     *simActor
	id        int
	name      string
	store     *Store
	job       *Job
	free      bool // the judge: nothing is disturbed, and nobody decides when it may go on
	dead      bool // guarded by w.mu
	touched   bool // something was done to its requests or operations
	throttled int
}

func (w *simWorld) foul(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fouls) < simMostFouls {
		w.fouls = append(w.fouls, fmt.Sprintf(format, args...))
	}
}

func (w *simWorld) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%3d ", w.turn)+fmt.Sprintf(format, args...))
}

// now is the scheduler's turn, for actors.
func (w *simWorld) now() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turn
}

func (w *simWorld) park(t *simTicket) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.p.dead {
		return false
	}
	w.seq++
	t.seq = w.seq
	w.parked = append(w.parked, t)
	return true
}

func (w *simWorld) leaveBehind(t *simTicket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.parked, t); i >= 0 {
		w.parked = slices.Delete(w.parked, i, i+1)
		w.late = append(w.late, t)
		if t.method == "put" {
			w.mem.Excuse(t.key)
		}
	}
}

// take removes a ticket from those that wait.
func (w *simWorld) take(t *simTicket) {
	i := slices.Index(w.parked, t)
	w.parked = slices.Delete(w.parked, i, i+1)
}

// run is a whole seed, within a bubble.
func (w *simWorld) run() {
	for _, a := range w.actors {
		go a.run()
	}
	for w.settle(); w.gone < len(w.actors) && w.turn < simMostTurns; w.settle() {
		w.next()
	}
	w.finish()
	w.judge()
}

// settle waits until nobody can go on, and puts what waits for the scheduler in an order that does not depend on who ran first.
func (w *simWorld) settle() {
	synctest.Wait()
	w.turn++
	slices.SortFunc(w.parked, w.order)
	slices.SortFunc(w.late, w.order)
	for _, t := range w.parked {
		w.label(t)
	}
}

// finish lets everybody come to an end, undisturbed.
func (w *simWorld) finish() {
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	w.log("calm")
	for jumps := 0; w.gone < len(w.actors); w.settle() {
		switch {
		case len(w.parked) > 0:
			if t := w.parked[w.rng.IntN(len(w.parked))]; t.granted != nil {
				w.grant(t)
			} else {
				w.deliver(t)
			}
		case jumps == simMostJumps:
			w.foul("somebody hangs")
			return
		default:
			jumps++
			w.jump()
		}
	}
}

func (w *simWorld) jump() {
	w.log("time passes")
	w.mu.Lock()
	w.jumped = true
	w.mu.Unlock()
	time.Sleep(simJump)
}

func (a *simActor) run() {
	defer func() {
		a.w.mu.Lock()
		defer a.w.mu.Unlock()
		a.w.gone++
	}()
	for life := 1; ; life++ {
		p := a.w.newProcess(a, life)
		if !p.step("start " + p.name) {
			return
		}
		a.play(a, p)
		_ = p.store.Close()
		if !p.isDead() || life >= a.lives {
			return
		}
	}
}

func (w *simWorld) newProcess(a *simActor, life int) *simProcess {
	p := &simProcess{w: w, actor: a, name: fmt.Sprintf("%s.%d", a.name, life)}
	p.id = 100*slices.Index(w.actors, a) + life
	p.store = w.memory.open(simConn{p})
	p.job = &Job{store: p.store, name: simJob}
	return p
}

func (p *simProcess) isDead() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.dead
}

// step waits until the scheduler lets the actor do something. False: no more, the process is dead or the play over.
func (p *simProcess) step(what string) bool {
	t := &simTicket{p: p, method: "step", key: what, granted: make(chan bool, 1)}
	return p.free || p.w.park(t) && <-t.granted
}

// simMemory is what stores of simulated processes have in common with those of other seeds, because it takes longer to make than a seed runs. It is made
// outside of any bubble; nobody ever waits for it.
type simMemory struct {
	buffers *buffers
	workers *workers
}

const simBuffers = 64

func newSimMemory() *simMemory {
	m := &simMemory{newBuffers(minPackSize, simBuffers), newWorkers(simBuffers)}
	return m
}

func (m *simMemory) open(s objstore.Store) *Store {
	o := withDefaults(&Options{Concurrency: 64, RetryFor: simPatience})
	store, err := newStore(s, false, o)
	if err != nil {
		panic(err)
	}
	store.objects = objstore.NewRetrying(s, &objstore.RetryOptions{MaxElapsed: simPatience, Attempt: simAttempt, Concurrency: 64})
	store.buffers, store.workers = m.buffers, m.workers
	return store
}

// leaks tells whether a process kept what it has to give back.
func (m *simMemory) leaks() bool {
	return len(m.buffers.free) != simBuffers || len(m.workers.free) != simBuffers
}
