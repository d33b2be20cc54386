package soak

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// Plan is what a World is made from; it travels to the process under test.
type Plan struct {
	Store string        `json:"store"` // URL
	Dir   string        `json:"dir"`   // for the jobs' states and for what is restored
	Seed  uint64        `json:"seed"`
	Kinds []string      `json:"kinds"` // one job of each; its name is the kind's with Suffix behind it
	Pace  time.Duration `json:"pace"`  // from one save of a job to the next
	Life  time.Duration `json:"life"`  // mean time after which a job loses its owner
	// Suffix tells the jobs of one process from those of another.
	Suffix string `json:"suffix,omitempty"`
	// Others are jobs that live in other processes, to be collected from here.
	Others []string `json:"others,omitempty"`
	// Alone leaves out readers and those who clean up.
	Alone bool `json:"alone,omitempty"`
	// Patience is how long an operation may take before its caller gives up.
	Patience time.Duration `json:"patience"`
	// Swift leaves out the second between two writes of a HEAD, for a store that does not insist.
	Swift bool `json:"swift,omitempty"`
	// RetryFor is how long the store is tried again.
	RetryFor time.Duration `json:"retry_for"`
	Known    []Note        `json:"known,omitempty"` // the histories of the jobs
}

// Kinds are all kinds of jobs, those that need a key last.
func Kinds() []string {
	return []string{KindFiles, KindPages, KindAppend, KindContent, KindStreams, KindWorkers, KindSealed}
}

// Plain are the kinds that share one store without a key.
func Plain() []string { return Kinds()[:6] }

// memoryBudget is that of each store. There is one for good, a second if there is a key, and one more for an owner that comes as from another process.
const memoryBudget = 16 << 20

// keepLast is what jobs retain beside what is tagged or leased.
const keepLast = 5

// World is the jobs of one process, and everybody who works on them.
type World struct {
	Plan
	referee *Referee
	tally   Tally
	lives   Lives

	plain, sealed *tidemark.Store
	jobs          []*job

	guests   chan struct{} // room for owners with a store of their own, as owners in another process would have it
	stopping chan struct{}
	stop     sync.Once
	working  sync.WaitGroup
	next     atomic.Int64 // for names of directories
}

// Lives counts how owners came and went.
type Lives struct {
	Begun     atomic.Int64 // owners
	TakenOver atomic.Int64 // owners that found themselves fenced by another, which is the only way they may end so
	Closed    atomic.Int64
	Abandoned atomic.Int64 // left without Close, some in the middle of a save
	Restarts  atomic.Int64 // workers restarted within a checkpoint
	Acked     atomic.Int64 // checkpoints acknowledged
	Restored  atomic.Int64 // restores and reads that were compared and right
	Bytes     atomic.Int64 // compared
	Deleted   atomic.Int64 // objects, by collection
}

// job is one job of the world.
type job struct {
	name  string
	state State
	store *tidemark.Store
}

// Open makes the world and its stores; nothing happens yet.
func Open(ctx context.Context, plan Plan, referee *Referee) (_ *World, err error) {
	w := &World{Plan: plan, referee: referee, guests: make(chan struct{}, 1), stopping: make(chan struct{})}
	referee.Replay(plan.Known...)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.plain, err = w.open(ctx, false); err != nil {
		return nil, err
	}
	if slices.Contains(plan.Kinds, KindSealed) {
		if w.sealed, err = w.open(ctx, true); err != nil {
			return nil, err
		}
	}
	for _, kind := range plan.Kinds {
		j := &job{name: kind + plan.Suffix, state: State{plan.Seed, kind}, store: w.plain}
		if kind == KindSealed {
			j.store = w.sealed
		}
		w.jobs = append(w.jobs, j)
	}
	return w, nil
}

// open opens a store as a process would; sealed is with the key.
func (w *World) open(ctx context.Context, sealed bool) (*tidemark.Store, error) {
	o := &tidemark.Options{Options: checkpoint.Options{MemoryBudget: memoryBudget, RetryFor: w.RetryFor}}
	if w.Swift {
		o.HeadInterval = -1
	}
	if sealed {
		var key [32]byte
		binary.BigEndian.PutUint64(key[:], w.Seed)
		o.EncryptionKeyURL = "base64key://" + base64.URLEncoding.EncodeToString(key[:])
	}
	return tidemark.Open(ctx, w.Store, o)
}

// Create makes jobs that do not exist yet, before anything goes wrong: a store at an endpoint of its own is tried out first, by single requests that are not
// repeated.
func (w *World) Create(ctx context.Context, names ...string) error {
	for _, name := range names {
		owner, err := w.plain.Acquire(ctx, name, nil) // those that are to be encrypted begin so with their first save
		if err != nil {
			return err
		}
		w.referee.Acquired(name, owner.Epoch())
		if err := owner.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Start sets everybody to work, until Stop.
func (w *World) Start(ctx context.Context) {
	for _, j := range w.jobs {
		w.working.Go(func() { w.tend(ctx, j) })
	}
	if w.Alone {
		return
	}
	for range 2 {
		w.working.Go(func() { w.read(ctx) })
		w.working.Go(func() { w.collect(ctx, w.Others) })
	}
	w.working.Go(func() { w.careFor(ctx) })
}

// Stop has everybody end what they are at, and waits for them.
func (w *World) Stop() {
	w.stop.Do(func() { close(w.stopping) })
	w.working.Wait()
}

// Close closes the stores.
func (w *World) Close() error {
	var err error
	for _, s := range []*tidemark.Store{w.plain, w.sealed} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// Counts are how operations ended so far.
func (w *World) Counts() map[string]map[string]int64 { return w.tally.Counts() }

// Lives are how owners came and went so far.
func (w *World) Lives() *Lives { return &w.lives }

// pause waits for about d; it is false when the world stops.
func (w *World) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(max(d, 1)))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.stopping:
		return false
	case <-ctx.Done():
		return false
	}
}

func (w *World) stopped() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// errGaveUp is why the context of an operation ends.
var errGaveUp = errors.New("the caller's own time for it is over")

// try gives an operation its time; one in eight callers has little of it.
func (w *World) try(ctx context.Context) (context.Context, context.CancelFunc) {
	d := w.Patience
	if rand.N(8) == 0 {
		d = w.Patience/16 + rand.N(w.Patience/8)
	}
	return context.WithTimeoutCause(ctx, d, errGaveUp)
}

// scratch is a new directory's name.
func (w *World) scratch(what string) string {
	return filepath.Join(w.Dir, fmt.Sprintf("%s-%d-%d", what, os.Getpid(), w.next.Add(1)))
}

// stepKey is the metadata key of the step.
const stepKey = "step"

func stepOf(metadata map[string][]byte) (uint64, error) {
	b := metadata[stepKey]
	if len(b) != 8 {
		return 0, wrongf("the metadata has no step: %q", b)
	}
	return binary.BigEndian.Uint64(b), nil
}
