package checkpoint

import (
	"errors"
)

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
		op.policy = []Retention{{KeepLast: 1}, {KeepLast: 2}, {KeepWithin: simJump / 4}}[a.rng.IntN(3)]
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
		if err == nil && !report.OK() { // with an error the report is not finished
			p.w.foul("%s: verify found %+v", p.name, report.Problems)
		}
	}
}
