package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
)

func simRetention(rng *rand.Rand) Retention {
	return Retention{KeepLast: []int{0, 1, 1, 2, 3}[rng.IntN(5)]}
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
				if err := p.saveOwned(o, a.rng, retention, workers); err != nil {
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

// saveOwned makes one checkpoint, or two at once. Its error ends the ownership.
func (p *simProcess) saveOwned(o *Owner, rng *rand.Rand, retention Retention, workers bool) error {
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
			return err
		}
		all = append(all, simUnderWay{op, wr})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, s := range all {
		p.resume(s.op)
		if !p.step("commit "+s.op.save.name) || rng.IntN(12) == 0 {
			_ = s.wr.Abort()
			p.end(s.op, errSimAborted)
			continue
		}
		for _, other := range all[i+1:] {
			for _, b := range other.wr.bases() {
				s.op.keep = append(s.op.keep, b.retained.Id.Checkpoint)
			}
		}
		s.op.called = p.w.now()
		_, err := s.wr.Commit(s.op.ctx)
		p.end(s.op, err)
		if errors.Is(err, ErrFenced) {
			return err
		}
	}
	return nil
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

// playReader looks up checkpoints and reads them, with a lease or without.
func playReader(a *simActor, p *simProcess) {
	for range 1 + a.rng.IntN(3) {
		op, ok := p.begin("latest")
		if !ok {
			return
		}
		op.tag = []string{"latest", "latest", "-1", "red"}[a.rng.IntN(4)]
		c, err := p.job.Find(op.ctx, op.tag)
		if err == nil {
			op.checkpoint = c.Info().Checkpoint
		}
		p.end(op, err)
		if err != nil {
			continue
		}
		var lease *Lease
		if a.rng.IntN(2) == 0 {
			if lease = p.pin(c); lease == nil {
				continue
			}
		}
		p.readAll(c, lease)
		if lease != nil && a.rng.IntN(3) > 0 {
			if op, ok = p.begin("release"); ok {
				p.end(op, lease.Release(op.ctx))
			}
		}
	}
}

func (p *simProcess) pin(c *Checkpoint) *Lease {
	op, ok := p.begin("pin")
	if !ok {
		return nil
	}
	op.checkpoint = c.Info().Checkpoint
	l, err := c.Pin(op.ctx, p.name, simLease)
	p.end(op, err)
	return l
}

// readAll reads a checkpoint; while a lease holds and the job is not removed, it may not be retired.
func (p *simProcess) readAll(c *Checkpoint, lease *Lease) {
	op, ok := p.begin("read")
	if !ok {
		return
	}
	op.checkpoint = c.Info().Checkpoint
	before := now()
	err := p.w.read(op.ctx, c, p.step)
	p.end(op, err)
	if lease != nil && errors.Is(err, ErrRetired) && now().Sub(before) < simJump && !p.w.everRemoved() {
		p.w.foul("%s: checkpoint %d was retired under a lease", p.name, op.checkpoint)
	}
}

func (w *simWorld) everRemoved() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removed
}

// playTrimmer retires.
func playTrimmer(a *simActor, p *simProcess) {
	for range 2 + a.rng.IntN(2) {
		op, ok := p.begin("retain")
		if !ok {
			return
		}
		op.policy = Retention{KeepLast: 1 + a.rng.IntN(2)}
		_, err := p.job.Retain(op.ctx, op.policy, false)
		p.end(op, err)
	}
}

// playTagger tags and untags.
func playTagger(a *simActor, p *simProcess) {
	for range 2 + a.rng.IntN(3) {
		kind := []string{"tag", "untag"}[a.rng.IntN(2)]
		op, ok := p.begin(kind)
		if !ok {
			return
		}
		var err error
		var info Info
		if op.tag = simTag(a.rng, 1); kind == "tag" {
			info, err = p.job.Tag(op.ctx, []string{"latest", "-1"}[a.rng.IntN(2)], op.tag)
		} else {
			info, err = p.job.Untag(op.ctx, op.tag)
		}
		op.checkpoint = info.Checkpoint
		p.end(op, err)
	}
}

// playCollector collects. It is often slow, and so works by a HEAD that others have left behind.
func playCollector(a *simActor, p *simProcess) {
	for range 2 + a.rng.IntN(3) {
		op, ok := p.begin("collect")
		if !ok {
			return
		}
		_, err := p.job.Collect(op.ctx, nil)
		p.end(op, err)
	}
}

// playRemover removes the job; owners and one-shot savers make it anew.
func playRemover(a *simActor, p *simProcess) {
	for range 1 + a.rng.IntN(2) {
		op, ok := p.begin("remove")
		if !ok {
			return
		}
		p.end(op, p.job.Remove(op.ctx))
	}
}

// playLister lists, and verifies beside everybody else.
func playLister(a *simActor, p *simProcess) {
	for range 2 + a.rng.IntN(2) {
		op, ok := p.begin("list")
		if !ok {
			return
		}
		infos, err := p.job.List(op.ctx)
		for _, i := range infos {
			op.listed = append(op.listed, i.Checkpoint)
		}
		p.end(op, err)
		if a.rng.IntN(2) == 0 {
			continue
		}
		if op, ok = p.begin("verify"); !ok {
			return
		}
		report, err := p.job.Verify(op.ctx, &VerifyOptions{Data: true})
		p.end(op, err)
		for _, problem := range report.Problems {
			if p.w.retains(problem.Checkpoint) {
				p.w.foul("%s: verify found %+v", p.name, problem)
			}
		}
	}
}

// simCast is who plays in a world.
type simCast struct {
	name  string
	roles []simRole
}

type simRole struct {
	name string
	play func(*simActor, *simProcess)
}

var (
	simOwner     = simRole{"owner", playOwner(false)}
	simLeader    = simRole{"coordinator", playOwner(true)}
	simOnce      = simRole{"saver", playOneShot(false)}
	simOnceLeads = simRole{"saver", playOneShot(true)}
	simWorker    = simRole{"worker", playWorker}
	simReader    = simRole{"reader", playReader}
	simTrimmer   = simRole{"trimmer", playTrimmer}
	simTagger    = simRole{"tagger", playTagger}
	simCollector = simRole{"collector", playCollector}
	simRemover   = simRole{"remover", playRemover}
	simLister    = simRole{"lister", playLister}
)

// simCasts are small, so that a seed gets deep into what few can do to each other.
var simCasts = []simCast{
	{"an owner at work", []simRole{simOwner, simCollector, simReader}},
	{"hand-over", []simRole{simOwner, simOwner, simCollector}},
	{"retention by others", []simRole{simOwner, simTrimmer, simCollector, simReader}},
	{"one-shot savers", []simRole{simOnce, simOnce, simCollector}},
	{"one-shot savers and a trimmer", []simRole{simOnce, simOnce, simTrimmer, simCollector}},
	{"owner and one-shot saver", []simRole{simOwner, simOnce, simCollector, simLister}},
	{"tags", []simRole{simOwner, simTagger, simTrimmer, simCollector}},
	{"removal", []simRole{simOwner, simRemover, simOnce, simCollector}},
	{"removal of an owned job", []simRole{simOwner, simOwner, simRemover, simReader}},
	{"workers", []simRole{simLeader, simWorker, simWorker, simCollector}},
	{"workers and a trimmer", []simRole{simLeader, simWorker, simTrimmer, simCollector}},
	{"workers, hand-over", []simRole{simLeader, simLeader, simWorker, simCollector}},
	{"workers of one-shot savers", []simRole{simOnceLeads, simOnceLeads, simWorker, simCollector}},
	{"readers", []simRole{simOwner, simReader, simReader, simTrimmer, simCollector}},
	{"everybody", []simRole{simOwner, simOnce, simTrimmer, simTagger, simRemover, simReader, simCollector, simLister}},
}

// newSimWorld casts the roles of a seed.
func newSimWorld(seed uint64, memory *simMemory) *simWorld {
	rng := rand.New(rand.NewPCG(seed, 1))
	cast := simCasts[seed%uint64(len(simCasts))]
	w := simEmptyWorld(seed, rng, memory)
	w.weather = []float64{0, 0.02, 0.08, 0.2}[rng.IntN(4)]
	w.log("%s, %.0f%% of requests disturbed", cast.name, 100*w.weather)
	for i, r := range cast.roles {
		name := r.name
		for _, other := range cast.roles[:i] {
			if other.name == r.name {
				name = fmt.Sprintf("%s%d", r.name, i)
			}
		}
		w.actors = append(w.actors, &simActor{w: w, name: name, rng: rand.New(rand.NewPCG(seed, uint64(2+i))), lives: 1 + rng.IntN(3), play: r.play})
	}
	w.reweigh()
	return w
}
