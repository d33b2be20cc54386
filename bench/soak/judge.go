package soak

import "slices"

// Try says that a commit is about to be sent. The returned function is told how it ended.
func (r *Referee) Try(job string, epoch, checkpoint, step uint64) (ended func(acked, unknown bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(Note{noteTry, job, epoch, checkpoint, step})
	newest := r.job(job).epoch
	return func(acked, unknown bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		do := noteRefused
		switch {
		case acked:
			do = noteAcked
			if epoch < newest {
				r.object(Fence, job, "checkpoint %d was committed by epoch %d after epoch %d had been acquired", checkpoint, epoch, newest)
			}
			for _, other := range r.job(job).tries[checkpoint] {
				if other.state == noteAcked && other.step != step {
					r.object(Lost, job, "checkpoint %d was acknowledged twice: to step %d and to step %d", checkpoint, other.step, step)
				}
			}
		case r.job(job).find(checkpoint, step).state == noteAcked:
			if !unknown {
				r.object(Lost, job, "the commit of checkpoint %d (step %d) failed for good after it had been seen", checkpoint, step)
			}
			return
		case unknown:
			do = noteUnknown
		}
		r.note(Note{do, job, epoch, checkpoint, step})
	}
}

// Claim says that somebody tries to acquire the job. ended is told the epoch, 0 if it failed; others tells then whether somebody else may have
// acquired the job since, so that being fenced is right.
func (r *Referee) Claim(job string) (ended func(epoch uint64), others func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.job(job)
	r.clock++
	c := &claim{begun: r.clock, known: j.epoch}
	if len(j.claims) > 2*remembered {
		j.claims = slices.Delete(j.claims, 0, remembered)
	}
	j.claims = append(j.claims, c)
	ended = func(epoch uint64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.clock++
		c.ended, c.epoch = r.clock, epoch
		if epoch == 0 {
			return
		}
		if epoch <= c.known {
			r.object(Fence, job, "epoch %d was acquired after epoch %d", epoch, c.known)
		}
		j.epoch = max(j.epoch, epoch)
		r.note(Note{Do: noteFloor, Job: job, Epoch: epoch})
	}
	others = func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(j.claims, func(o *claim) bool { return o != c && (o.ended == 0 || o.ended > c.begun) })
	}
	return ended, others
}

// Acquired says that a job was acquired by somebody who owns it no more.
func (r *Referee) Acquired(job string, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(Note{Do: noteFloor, Job: job, Epoch: epoch})
}

// Floor is the number that nobody who looks from now on may find less than.
func (r *Referee) Floor(job string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.job(job).floor
}

// Tagged says that a checkpoint carries a tag, or none any more.
func (r *Referee) Tagged(job string, checkpoint uint64, tagged bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if tagged {
		r.job(job).tagged[checkpoint] = true
	} else {
		delete(r.job(job).tagged, checkpoint)
	}
}

// Latest says that a checkpoint was found to be the latest by somebody who began to look when the floor was as given.
func (r *Referee) Latest(job string, floor, checkpoint uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if checkpoint < floor {
		r.object(Lost, job, "the latest checkpoint is %d after %d had been acknowledged or seen", checkpoint, floor)
	}
	r.note(Note{Do: noteFloor, Job: job, Checkpoint: checkpoint})
}

// Found says what a visible checkpoint claims to hold.
func (r *Referee) Found(job string, checkpoint, epoch, step uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.job(job)
	tries := j.tries[checkpoint]
	if len(tries) == 0 && checkpoint+remembered < j.floor {
		return // forgotten; its content is compared all the same
	}
	t := j.find(checkpoint, step)
	switch {
	case t == nil || t.epoch != epoch:
		r.object(Wrong, job, "checkpoint %d of epoch %d holds step %d, which nobody saved under that number", checkpoint, epoch, step)
		return
	case t.state == noteRefused:
		r.object(Lost, job, "checkpoint %d (step %d) is visible after its commit had failed for good", checkpoint, step)
	}
	for _, other := range tries {
		if other != t && other.state == noteAcked {
			r.object(Lost, job, "checkpoint %d holds step %d, and was acknowledged to step %d", checkpoint, step, other.step)
		}
	}
	// Whoever commits next under that number would contradict what has been seen.
	t.state = noteAcked
	r.note(Note{noteAcked, job, epoch, checkpoint, step})
}
