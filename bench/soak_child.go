package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/bench/soak"
)

// The orders of the soak's processes.
const (
	soakOpen   = "open"   // of the cloud: start; of the jobs: go to work
	soakBreak  = "break"  // of the cloud: begin with the faults
	soakState  = "state"  // of the cloud: what it saw so far
	soakHeal   = "heal"   // of the cloud: end all faults
	soakStored = "stored" // of the cloud: what is in the bucket
	soakFinish = "finish" // of the jobs: stop, look at everything, and say what came out
)

// cloudOrder and cloudAnswer are of the cloud's process.
type cloudOrder struct {
	Do   string            `json:"do"`
	Open soak.CloudOptions `json:"open"`
}

type cloudAnswer struct {
	Error    string                `json:"error,omitempty"`
	Store    string                `json:"store,omitempty"`
	Metadata string                `json:"metadata,omitempty"`
	State    soak.CloudState       `json:"state"`
	Sample   SoakSample            `json:"sample"`
	Stored   map[string]soak.Audit `json:"stored,omitempty"`
}

// serveSoakCloud carries out orders until its input ends.
func serveSoakCloud(in io.Reader, out io.Writer) (err error) {
	var c *soak.Cloud
	defer func() {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	orders, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o cloudOrder
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("bench: the cloud reads an order: %w", err)
		}
		var a cloudAnswer
		var err error
		switch o.Do {
		case soakOpen:
			if c, err = soak.OpenCloud(context.Background(), o.Open); err == nil {
				a.Store, a.Metadata = c.StoreURL(), c.MetadataHost()
			}
		case soakState:
			a.State, a.Sample = c.State(), takeSample()
		case soakBreak:
			err = c.Trouble()
		case soakHeal:
			err = c.Heal()
		case soakStored:
			a.Stored = c.Stored()
		default:
			err = fmt.Errorf("bench: the cloud has no order %q", o.Do)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return fmt.Errorf("bench: the cloud answers: %w", err)
		}
	}
}

// jobsOrder is what a process of jobs is told: to work, and at last to finish.
type jobsOrder struct {
	Do    string        `json:"do"`
	Plan  soak.Plan     `json:"plan"`
	New   []string      `json:"new,omitempty"`   // jobs to be created before the work begins
	Every time.Duration `json:"every,omitempty"` // a sample
}

// jobsEvent is what it says meanwhile. Of its fields one is set.
type jobsEvent struct {
	Sample    *SoakSample     `json:"sample,omitempty"`
	Note      *soak.Note      `json:"note,omitempty"`
	Violation *soak.Violation `json:"violation,omitempty"`
	Ready     bool            `json:"ready,omitempty"` // the jobs exist
	Done      *jobsDone       `json:"done,omitempty"`
}

// jobsDone is how it came out.
type jobsDone struct {
	Error  string       `json:"error,omitempty"`
	Work   SoakWork     `json:"work"`
	Audits []soak.Audit `json:"audits"`
	CPU    cpu          `json:"cpu"`
	Peak   int64        `json:"peak"`
	Left   SoakLeft     `json:"left"`
}

// SoakLeft is what a process had before its stores were opened, and after they were closed.
type SoakLeft struct {
	GoroutinesBefore  int `json:"goroutines_before"`
	GoroutinesAfter   int `json:"goroutines_after"`
	ConnectionsBefore int `json:"connections_before"`
	ConnectionsAfter  int `json:"connections_after"`
}

// SoakWork is what was done.
type SoakWork struct {
	Operations map[string]map[string]int64 `json:"operations"` // by operation, and by how it ended
	Owners     int64                       `json:"owners"`
	TakenOver  int64                       `json:"taken_over"`
	Closed     int64                       `json:"closed"`
	Abandoned  int64                       `json:"abandoned"`
	Restarts   int64                       `json:"worker_restarts"`
	Commits    int64                       `json:"checkpoints"` // acknowledged
	Compared   int64                       `json:"restores"`    // restored or read, compared bit for bit, and right
	Bytes      int64                       `json:"bytes"`       // compared
	Deleted    int64                       `json:"deleted"`     // objects, by collections
}

func workOf(w *soak.World) SoakWork {
	l := w.Lives()
	return SoakWork{
		Operations: w.Counts(), Owners: l.Begun.Load(), TakenOver: l.TakenOver.Load(), Closed: l.Closed.Load(), Abandoned: l.Abandoned.Load(),
		Restarts: l.Restarts.Load(), Commits: l.Acked.Load(), Compared: l.Restored.Load(), Bytes: l.Bytes.Load(), Deleted: l.Deleted.Load(),
	}
}

// add adds the work of another process, or of a later life of the same.
func (w *SoakWork) add(o SoakWork) {
	if w.Operations == nil {
		w.Operations = map[string]map[string]int64{}
	}
	for op, kinds := range o.Operations {
		if w.Operations[op] == nil {
			w.Operations[op] = map[string]int64{}
		}
		for kind, n := range kinds {
			w.Operations[op][kind] += n
		}
	}
	w.Owners += o.Owners
	w.TakenOver += o.TakenOver
	w.Closed += o.Closed
	w.Abandoned += o.Abandoned
	w.Restarts += o.Restarts
	w.Commits += o.Commits
	w.Compared += o.Compared
	w.Bytes += o.Bytes
	w.Deleted += o.Deleted
}

// serveSoakJobs works until it is told to finish, or its input ends.
func serveSoakJobs(in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	say := func(e jobsEvent) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(e) // who has gone need not be told; the end of the input ends this process
	}
	orders := json.NewDecoder(in)
	var o jobsOrder
	if err := orders.Decode(&o); err != nil {
		return fmt.Errorf("bench: read what to do: %w", err)
	}
	before := takeSample()
	referee := &soak.Referee{Object: func(v soak.Violation) { say(jobsEvent{Violation: &v}) }}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	world, err := soak.Open(ctx, o.Plan, referee)
	if err != nil {
		return err
	}
	if o.Plan.Alone { // its jobs outlive this process, so somebody else has to remember; what it was told is known there
		referee.Tell = func(n soak.Note) { say(jobsEvent{Note: &n}) }
	}
	if err := world.Create(ctx, o.New...); err != nil {
		return errors.Join(err, world.Close())
	}
	say(jobsEvent{Ready: true})
	world.Start(ctx)
	sampling, stopSampling := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() {
		ticks := time.NewTicker(o.Every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				s := takeSample()
				s.Work = new(workOf(world))
				say(jobsEvent{Sample: &s})
			case <-sampling.Done():
				return
			}
		}
	})
	if err := orders.Decode(&o); err != nil { // nobody wants to know how it ends
		cancel()
	}
	stopSampling()
	sampler.Wait()
	world.Stop()
	var done jobsDone
	if ctx.Err() == nil {
		done.Audits, err = world.Audit(ctx)
	}
	if err = errors.Join(err, world.Close()); err != nil {
		done.Error = err.Error()
	}
	done.Work, done.CPU, done.Peak, done.Left = workOf(world), ownCPU(), ownMemory("self").Peak, settled(before)
	say(jobsEvent{Done: &done})
	return nil
}

// settled waits a little for what ends by itself once the stores are closed, such as the goroutines of connections that were told to close.
func settled(before SoakSample) SoakLeft {
	left := SoakLeft{GoroutinesBefore: before.Goroutines, ConnectionsBefore: before.Connections}
	for range 100 {
		after := takeSample()
		left.GoroutinesAfter, left.ConnectionsAfter = after.Goroutines, after.Connections
		if left.GoroutinesAfter <= left.GoroutinesBefore && left.ConnectionsAfter <= left.ConnectionsBefore {
			break
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond)
	}
	return left
}
