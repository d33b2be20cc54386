package main

// sentSteps are what can happen while a compare-and-swap of HEAD is under way: rule 5, as one loop of "send, and if the answer is not yes, look".
func (m *model) sentSteps(s *state, i int, o op, do func(act, func(*state, *actor) violation)) {
	a := &s.actors[i]
	if !a.landed && (a.fresh || !m.conditional() || m.mutant == repairPuts && o.kind == repair) {
		do(swapArrives, func(t *state, me *actor) violation { return m.swap(t, i, o, me.at) })
		if a.at.leased() {
			do(swapArrivesLate, func(t *state, me *actor) violation {
				t.head = t.head.unleased()
				return m.swap(t, i, o, me.at.unleased())
			})
		}
	}
	if a.landed {
		do(okArrives, func(t *state, me *actor) violation { return m.finish(t, i, o, succeeded, admitted) })
	}
	if (a.landed || !a.fresh) && !m.bounded(s, i, o) && s.readable() && m.mutant != neverLooks {
		do(looks, func(t *state, me *actor) violation { return m.look(t, i, o) })
	}
	if !a.hasLate {
		do(givesUp, func(t *state, me *actor) violation {
			verdict := unknown
			if m.mutant == giveUpFails && !me.landed && me.fresh {
				verdict = failed
			}
			m.abandon(t, i, o)
			return m.finish(t, i, o, verdict, admitted)
		})
	}
	if m.mutant == refusalFails && (a.landed || !a.fresh) { // some copy of the request arrives and finds another version
		do(hearsRefusal, func(t *state, me *actor) violation { return m.finish(t, i, o, failed, admitted) })
	}
	if m.mutant == timeoutFails {
		do(hearsNothing, func(t *state, me *actor) violation {
			m.abandon(t, i, o)
			return m.finish(t, i, o, failed, admitted)
		})
	}
}

// bounded: an acquisition has taken the job as often as this world allows, was overtaken each time, and stops here.
func (m *model) bounded(s *state, i int, o op) bool {
	return o.kind == acquire && int(s.actors[i].taken) > m.retakes && !m.applied(s, i, o, s.head)
}

// swap is the acceptance of the write that o makes of the HEAD at.
func (m *model) swap(s *state, i int, o op, at head) violation {
	a := &s.actors[i]
	next, _ := m.apply(s, i, o, at)
	if m.mutant == blindRebase {
		next = a.late
	}
	broken := m.land(s, i, o, next)
	a.at, a.fresh, a.landed = next, true, true
	if o.kind != commit && o.kind != acquire {
		a.at = head{} // only owners go on from it
	}
	return broken
}

// abandon leaves the request on its way behind. Copies that are conditioned on an older version cannot do anything any more.
func (m *model) abandon(s *state, i int, o op) {
	a := &s.actors[i]
	if !a.landed && (a.fresh || !m.conditional()) && m.mutant != blindRebase {
		a.late, _ = m.apply(s, i, o, a.at)
		a.hasLate, a.lateNew, a.lateStep = true, a.creates, a.step
	}
}

// look is what a writer does with anything but a yes: it reads HEAD. A HEAD whose version has not moved makes it send the identical bytes again, which
// is the state that it is in.
func (m *model) look(s *state, i int, o op) violation {
	a := &s.actors[i]
	now := s.head
	if s.condition == lost && !a.creates && m.mutant != takeNewHead {
		return m.finish(s, i, o, unknown, admitted) // HEAD has disappeared
	}
	if a.landed && a.fresh || m.applied(s, i, o, now) {
		a.at, a.fresh = now, true
		return m.finish(s, i, o, succeeded, admitted)
	}
	if m.mutant == blindRebase {
		a.fresh, a.landed = true, false
		return ""
	}
	a.at, a.fresh = now, true
	if o.kind == repair {
		return m.finish(s, i, o, failed, conflict) // somebody else has mended it
	}
	if _, why := m.apply(s, i, o, now); why != admitted {
		verdict := failed
		if o.kind == commit || o.kind == saveOnce {
			if !m.certain(s, i, o, now) {
				verdict = unknown
			}
		}
		return m.finish(s, i, o, verdict, why)
	}
	m.resend(s, i, o)
	return ""
}

// finish ends an operation and tells the caller.
func (m *model) finish(s *state, i int, o op, r result, why refusal) violation {
	a := &s.actors[i]
	a.phase, a.landed, a.creates = idle, false, false
	a.step++
	if o.kind != pin && o.kind != read {
		a.target = 0
	}
	var broken violation
	switch o.kind {
	case pin, read:
		broken = m.finishReading(s, i, o, r)
	case acquire:
		if r != succeeded {
			a.step = uint8(len(m.scripts[i]))
			break
		}
		a.epoch, a.own, a.ownFresh = a.at.epoch, a.at, a.fresh
		broken = m.checkOwners(s, i)
	case commit, saveOnce:
		v := &s.saves[o.save]
		v.result = r
		if m.mutant == deleteOnUnknown && r == unknown {
			v.objects[data].stored, v.objects[manifest].stored = false, false
		}
		if by := &s.actors[m.ownerOf(i)]; o.kind == commit && r == succeeded {
			by.own, by.ownFresh = a.at, a.fresh
		}
		if why == fenced {
			a.step = uint8(len(m.scripts[i]))
		}
	}
	m.forget(s, i)
	return broken
}

// forget drops what an actor will never look at again, so that states that differ only in it are one.
func (m *model) forget(s *state, i int) {
	a := &s.actors[i]
	if !a.hasLate {
		a.late, a.taken = head{}, 0
	}
	_, more := m.current(s, i)
	a.at, a.fresh = head{}, false
	if m.cast[i].kind == owner && (more || m.hasWriter(i)) {
		return
	}
	a.own, a.ownFresh, a.epoch, a.fence, a.begun, a.listed = head{}, false, 0, 0, 0, 0
}

func (m *model) hasWriter(i int) bool {
	for j := range m.cast {
		if j != i && m.ownerOf(j) == i {
			return true
		}
	}
	return false
}

func (m *model) checkOwners(s *state, i int) violation {
	for j, a := range s.actors[:len(m.cast)] {
		if j != i && m.cast[j].kind == owner && a.epoch == s.actors[i].epoch && m.cast[i].kind == owner {
			return twoOwners
		}
	}
	return ""
}
