package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
)

func simRetention(rng *rand.Rand) Retention {
	return []Retention{{}, {KeepLast: 1}, {KeepLast: 1}, {KeepLast: 2}, {KeepLast: 3}, {KeepWithin: simJump / 4}}[rng.IntN(6)]
}

func simTag(rng *rand.Rand, oneIn int) string {
	if rng.IntN(oneIn) > 0 {
		return ""
	}
	return []string{"red", "blue"}[rng.IntN(2)]
}

// playOwner acquires the job and saves a few times. One who is fenced often takes the job back.
func playOwner(workers bool) func(*simActor, *simProcess) {
	return func(a *simActor, p *simProcess) {
		for range 1 + a.rng.IntN(2) {
			op, ok := p.begin("acquire")
			if !ok {
				return
			}
			retention := simRetention(a.rng)
			o, err := p.store.Acquire(op.ctx, simJob, &AcquireOptions{Owner: p.name, Retention: retention})
			if err == nil {
				op.epoch = o.Epoch()
			}
			p.end(op, err)
			if err != nil {
				continue
			}
			for range 1 + a.rng.IntN(3) {
				if !p.saveOwned(o, a.rng, retention, workers) {
					break
				}
			}
			_ = o.Close()
		}
	}
}

// simUnderWay is a save of an owner between Begin and Commit.
type simUnderWay struct {
	op *simOp
	wr *Writer
}

// saveOwned makes one checkpoint, or two at once. False: the ownership is over.
func (p *simProcess) saveOwned(o *Owner, rng *rand.Rand, retention Retention, workers bool) bool {
	var all []simUnderWay
	for range []int{1, 1, 1, 2}[rng.IntN(4)] {
		op, ok := p.begin("save")
		if !ok {
			break
		}
		op.policy, op.tag = retention, simTag(rng, 6)
		wr, err := o.Begin(op.ctx, &BeginOptions{Full: rng.IntN(6) == 0, Tag: op.tag})
		if err == nil {
			err = p.fill(wr, p.w.newSave(op, wr, rng), rng, workers)
			if err != nil {
				_ = wr.Abort()
			}
		}
		if err != nil {
			p.end(op, err)
			return len(all) == 0 && !errors.Is(err, ErrFenced)
		}
		all = append(all, simUnderWay{op, wr})
	}
	var g sync.WaitGroup
	for i, s := range all {
		s.op.others = append(append(s.op.others, all[:i]...), all[i+1:]...)
		abort, late := rng.IntN(12) == 0, workers && rng.IntN(3) == 0
		g.Go(func() {
			p.commit(s, abort)
			if late {
				p.offerLate(s)
			}
		})
	}
	g.Wait()
	return !slices.ContainsFunc(all, func(s simUnderWay) bool { return errors.Is(s.op.err, ErrFenced) })
}

func (p *simProcess) commit(s simUnderWay, abort bool) {
	if !p.step("commit "+s.op.save.name) || abort {
		_ = s.wr.Abort()
		p.end(s.op, errSimAborted)
		return
	}
	s.op.called = p.w.now()
	_, err := s.wr.Commit(s.op.ctx)
	p.end(s.op, err)
}

// offerLate offers a handle to a save that has ended.
func (p *simProcess) offerLate(s simUnderWay) {
	if !p.step("a late handle for " + s.op.save.name) {
		return
	}
	p.w.mu.Lock()
	all := slices.Clone(p.w.shares.handles)
	p.w.mu.Unlock()
	for _, share := range all {
		if share.save != s.op.save || s.op.save.taken[share.worker] != nil {
			continue
		}
		if _, err := s.wr.AddHandle(share.handle); err == nil {
			p.w.foul("%s: a handle was taken into %s, which has ended", p.name, s.op.save.name)
		}
	}
}

// playOneShot saves without owning.
func playOneShot(workers bool) func(*simActor, *simProcess) {
	return func(a *simActor, p *simProcess) {
		for range 1 + a.rng.IntN(3) {
			op, ok := p.begin("one-shot")
			if !ok {
				return
			}
			op.policy, op.tag = simRetention(a.rng), simTag(a.rng, 6)
			_, err := p.store.Save(op.ctx, simJob, func(wr *Writer) error {
				err := p.fill(wr, p.w.newSave(op, wr, a.rng), a.rng, workers)
				if err == nil && !p.step("commit "+op.save.name) {
					err = errSimAborted
				}
				op.called = p.w.now()
				return err
			}, &SaveOptions{Owner: p.name, Retention: op.policy, Full: a.rng.IntN(6) == 0, Tag: op.tag})
			p.end(op, err)
		}
	}
}

// playWorker joins saves by their assignments, the newest or an old one, and hands its shares over.
func playWorker(a *simActor, p *simProcess) {
	for range 2 + a.rng.IntN(4) {
		op, ok := p.begin("share")
		if !ok {
			return
		}
		err := p.share(a, op)
		p.end(op, err)
	}
}

func (p *simProcess) share(a *simActor, op *simOp) error {
	w := p.w
	w.mu.Lock()
	n := len(w.shares.assignments)
	if n == 0 {
		w.mu.Unlock()
		return nil
	}
	from := n - 1
	if a.rng.IntN(3) == 0 {
		from = a.rng.IntN(n)
	}
	given := w.shares.assignments[from]
	w.truth.tags++
	part := simSharePre + a.name
	share := &simShare{save: given.save, worker: a.name, marks: append([]uint32(nil), w.truth.newest[part]...)}
	if len(share.marks) == 0 {
		share.marks = make([]uint32, 3)
	}
	share.marks[a.rng.IntN(3)] = w.truth.tags
	w.mu.Unlock()

	wr, err := p.join(op.ctx, a, given)
	if err != nil {
		return err
	}
	defer func() { _ = wr.Abort() }()
	stop := context.AfterFunc(op.ctx, func() { wr.cancel(context.Cause(op.ctx)) })
	defer stop()
	if err := wr.Add(part, bytes.NewReader(simParts{part: share.marks}.bytes(part))); err != nil {
		return err
	}
	if !p.step("finish a share") {
		return errSimAborted
	}
	if share.handle, err = wr.Finish(op.ctx); err != nil {
		return err
	}
	if !p.step("hand over a share of " + given.save.name) {
		return errSimAborted
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shares.handles = append(w.shares.handles, share)
	return nil
}

// join joins by the assignment, or by its numbers alone. Those of a one-shot save would not do.
func (p *simProcess) join(ctx context.Context, a *simActor, given simAssignment) (*Worker, error) {
	if given.save.op.kind == "save" && a.rng.IntN(3) == 0 {
		return p.job.Worker(given.save.epoch, given.save.number, a.name), nil
	}
	return p.job.Join(ctx, given.bytes, a.name)
}
