package main

// act is one thing that can happen.
type act uint8

const (
	starts act = iota
	startsFull
	dataArrives
	manifestArrives
	aborts
	swapArrives
	okArrives
	looks
	givesUp
	hearsRefusal
	hearsNothing
	lateArrives
	collectorDeletes
	putArrivesAgain
	joins
	joinsByHead
	shareArrives
	takesHandle
	losesHead
	damagesHead
	lists
	listsNoGarbage
	listsAndSends
	gets
	misses
	asksHead
	swapArrivesLate // without the leases, which had expired
	acts            // their number
)

// step is one edge of the graph. Of what happens to an object, actor is the save, or the share, and arg the object; of joining, arg is the save, of taking a
// handle the share.
type step struct {
	actor uint8
	act   act
	arg   uint8
}

// emitter takes a successor, and what the step broke.
type emitter func(step, *state, violation)

// successors emits every state that one step leads to.
func (m *model) successors(s *state, emit emitter) {
	for i := range m.cast {
		m.actorSteps(s, i, emit)
	}
	m.storeSteps(s, emit)
}

func (m *model) copyOf(s *state) *state {
	m.scratch = *s
	return &m.scratch
}

func (m *model) actorSteps(s *state, i int, emit emitter) {
	do := func(a act, change func(t *state, me *actor) violation) {
		t := m.copyOf(s)
		broken := change(t, &t.actors[i])
		emit(step{actor: uint8(i), act: a}, t, broken)
	}
	a := &s.actors[i]
	if a.hasLate {
		do(lateArrives, func(t *state, me *actor) violation {
			next := me.late
			o := m.scripts[i][me.lateStep]
			me.dropLate()
			broken := m.land(t, i, o, next)
			if me.phase == idle {
				me.taken = 0
			}
			return broken
		})
	}
	o, ok := m.current(s, i)
	if !ok {
		return
	}
	if o.kind == join {
		m.workerSteps(s, i, o.save, emit)
		return
	}
	if o.kind == repair && a.phase != idle && a.phase != sent {
		m.listSteps(s, i, o, do)
		return
	}
	switch a.phase {
	case idle:
		if m.canStart(s, i, o) {
			do(starts, func(t *state, me *actor) violation { m.start(t, i, o, false); return "" })
			if m.fullToo && (o.kind == commit || o.kind == saveOnce) {
				do(startsFull, func(t *state, me *actor) violation { m.start(t, i, o, true); return "" })
			}
		}
	case uploadingData:
		m.handleSteps(s, i, o.save, emit)
		do(dataArrives, func(t *state, me *actor) violation {
			m.upload(t, o.save, data)
			if m.adversary && m.tokenFree(t, i) {
				if m.mutant != commitBeforeUpload {
					m.upload(t, o.save, manifest)
				}
				return m.send(t, i, o) // the two arrivals and the send in one step: nobody can tell the difference
			}
			me.phase = uploadingManifest
			return ""
		})
		do(aborts, func(t *state, me *actor) violation { return m.finish(t, i, o, failed, admitted) })
	case uploadingManifest:
		do(aborts, func(t *state, me *actor) violation { return m.finish(t, i, o, failed, admitted) })
		if m.tokenFree(s, i) {
			do(manifestArrives, func(t *state, me *actor) violation {
				if m.mutant != commitBeforeUpload {
					m.upload(t, o.save, manifest)
				}
				return m.send(t, i, o)
			})
		}
	case sent:
		m.sentSteps(s, i, o, do)
	default:
		m.readSteps(s, i, do)
	}
}

func (m *model) upload(s *state, k, x int) {
	m.put(s, k, x)
	if x == data {
		s.saves[k].objects[manifest].sent = true
	}
}

// tokenFree: commits of one owner follow each other.
func (m *model) tokenFree(s *state, i int) bool { return m.tokenHolder(s, i) < 0 }

func (m *model) tokenHolder(s *state, i int) int {
	if m.mutant == commitsAtOnce {
		return -1
	}
	for j := range m.cast {
		if j != i && m.ownerOf(j) == m.ownerOf(i) && s.actors[j].phase == sent {
			return j
		}
	}
	return -1
}

func (m *model) canStart(s *state, i int, o op) bool {
	h := s.head
	exists := h.epoch > 0 && !h.removed
	switch {
	case o.kind == commit:
		return s.actors[m.ownerOf(i)].epoch > 0
	case o.kind == repair:
		return m.mayRepair(s)
	case o.kind == read && s.actors[i].target != 0:
		return true
	case !s.readable():
		return false
	}
	switch o.kind {
	case trim:
		next, _ := m.apply(s, i, o, h)
		return exists && next != h
	case tag:
		return exists && h.retained != 0 && h.tag == 0
	case untag:
		return exists && h.tag != 0
	case remove, release:
		return exists
	case pin, read:
		return exists && h.retained != 0 && m.mayStart(s, i)
	}
	return m.mayStart(s, i) && m.mayCreate(s)
}

// start begins an operation: a save gets its name, everything else reads HEAD and sends its change.
func (m *model) start(s *state, i int, o op, full bool) {
	a := &s.actors[i]
	switch o.kind {
	case commit:
		by := &s.actors[m.ownerOf(i)]
		by.begun = max(by.begun, s.number(by.own.last)) + 1
		if m.mutant == numbersTwice {
			by.begun = s.number(by.own.last) + 1
		}
		m.begin(s, i, o, by.epoch, by.begun, by.own, full)
		return
	case saveOnce:
		a.at, a.fresh, a.epoch, a.fence, a.creates = s.head, true, s.head.epoch, s.head.fence, s.head.epoch == 0
		epoch := s.head.epoch + 1
		if m.mutant == oneShotOldEpoch {
			epoch--
		}
		m.begin(s, i, o, epoch, s.number(s.head.last)+1, a.at, full)
		return
	case tag:
		a.target = s.newest(s.head)
	case untag:
		a.target = s.head.tag
	case remove:
		a.epoch, a.fence = s.head.epoch, s.head.fence
	case pin:
		a.target = s.newest(s.head)
	case read:
		if a.target == 0 {
			a.target = s.newest(s.head)
		}
		a.phase = readingManifest
		return
	case repair:
		m.startRepair(s, i)
		return
	}
	a.at, a.fresh = s.head, true
	m.resend(s, i, o)
}

// begin names a save and chooses its base: the newest checkpoint retained in the HEAD at hand.
func (m *model) begin(s *state, i int, o op, epoch, number uint8, h head, full bool) {
	base := s.newest(h)
	if base != h.last && m.mutant != baseOfRepair {
		base = 0 // a repair has adopted it
	}
	if m.mutant == dedupAnything {
		for k := range m.saves {
			if s.saves[k].objects[data].stored {
				base = uint8(k + 1)
			}
		}
	}
	if full {
		base = 0
	}
	s.saves[o.save] = save{epoch: epoch, number: number, base: base}
	s.saves[o.save].objects[data].sent = true
	s.actors[i].phase = uploadingData
	m.doomSave(s, o.save)
}

// send is the first try of a save's commit: on the HEAD that its owner knows.
func (m *model) send(s *state, i int, o op) violation {
	a := &s.actors[i]
	if o.kind == commit {
		by := s.actors[m.ownerOf(i)]
		a.at, a.fresh = by.own, by.ownFresh
	}
	if _, why := m.apply(s, i, o, a.at); why != admitted {
		return m.finish(s, i, o, failed, why) // nothing was sent
	}
	m.resend(s, i, o)
	return ""
}

// resend puts a compare-and-swap on a.at on its way.
func (m *model) resend(s *state, i int, o op) {
	a := &s.actors[i]
	a.phase, a.landed, a.creates = sent, false, a.at.epoch == 0
	if o.kind == acquire {
		a.target = a.at.epoch + 1
	}
	if m.mutant == blindRebase {
		a.late, _ = m.apply(s, i, o, a.at) // the bytes, to be sent again on any version
	}
	if m.rereads(s, i) {
		a.at = head{}
	}
}
