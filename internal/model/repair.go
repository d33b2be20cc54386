package main

// HEAD may be lost, or damaged under the same version, and be written anew from what the names of the objects say. What they cannot say is which manifests were committed
// and not retired since: a save that failed leaves a whole manifest as well. So a repair adopts all that are whole; and some HEAD before it may have allowed collectors to delete some of them.

// jump is what a repair adds to the highest epoch in any name: more than the epochs that can have passed without one.
const jump = 10

// harmSteps are what happens to HEAD by nobody's request.
func (m *model) harmSteps(s *state, emit emitter) {
	if !m.harm || s.harmed || s.head.epoch == 0 {
		return
	}
	t := m.copyOf(s)
	t.condition, t.harmed = damaged, true
	emit(step{act: damagesHead}, t, "")
	if m.mutant != lateCreation && m.creating(s) || m.mutant != namelessLoss && s.head.retained == 0 {
		return // assumed not to happen: a first HEAD that arrives late, and a loss that leaves no name to tell it by
	}
	t = m.copyOf(s)
	t.condition, t.harmed, t.kept = lost, true, s.head.retained
	t.head = head{}
	m.moved(t)
	emit(step{act: losesHead}, t, "")
}

// creating: a request that makes a first HEAD is under way, from before there was one.
func (m *model) creating(s *state) bool {
	for j := range m.cast {
		if a := s.actors[j]; a.creates || a.hasLate && a.lateNew {
			return true
		}
	}
	return false
}

// mayCreate: where there is no HEAD and a manifest lies about, HEAD is lost, and no job is begun. In worlds without harm a job may begin beside what a failed first save has left.
func (m *model) mayCreate(s *state) bool {
	if s.condition != lost || m.mutant == createOverRemains {
		return true
	}
	for k := range m.saves {
		first := s.saves[k].epoch == 1 && s.saves[k].number == 1 && m.mutant == createOverFirst
		if s.saves[k].objects[manifest].stored && !first {
			return false
		}
	}
	return true
}

func (m *model) mayRepair(s *state) bool {
	return s.condition != sound || m.mutant == repairGood && s.head.epoch > 0 || m.mutant == repairListsFirst
}

// startRepair reads HEAD, or what of it there is: its version.
func (m *model) startRepair(s *state, i int) {
	a := &s.actors[i]
	a.at, a.fresh, a.phase, a.creates = s.head, true, uploadingData, s.head.epoch == 0
}

// listSteps are the two listings of a repair: the manifests, then the packs.
func (m *model) listSteps(s *state, i int, o op, do func(act, func(*state, *actor) violation)) {
	if s.actors[i].phase == uploadingData {
		do(lists, func(t *state, me *actor) violation { m.listManifests(t, me, true); return "" })
		if m.adversary {
			do(listsNoGarbage, func(t *state, me *actor) violation { m.listManifests(t, me, false); return "" })
		}
		return
	}
	if m.mutant == repairListsFirst && s.condition == sound {
		return
	}
	do(listsAndSends, func(t *state, me *actor) violation {
		broken := m.plan(t, i, o)
		if m.mutant == repairListsFirst {
			me.at, me.fresh = t.head, true
		}
		m.resend(t, i, o)
		return broken
	})
}

// listManifests: with collectors at their worst, what they may delete is either there still or not.
func (m *model) listManifests(s *state, me *actor, garbage bool) {
	for k := range m.saves {
		v := &s.saves[k]
		if o := v.objects[manifest]; o.stored && (garbage || !o.doomed) {
			me.listed |= 1 << k
			me.epoch, me.begun = max(me.epoch, v.epoch), max(me.begun, v.number)
		}
	}
	me.phase = uploadingManifest
}

// plan lists the packs, and makes the HEAD that a repair writes.
func (m *model) plan(s *state, i int, o op) violation {
	me := &s.actors[i]
	there := func(k int) bool {
		for p := range m.shares {
			if s.saves[k].taken.has(p) && !s.shares[p].object.stored {
				return false
			}
		}
		return s.saves[k].objects[data].stored
	}
	for k := range m.saves {
		v := &s.saves[k]
		if !there(k) {
			continue
		}
		me.epoch, me.begun = max(me.epoch, v.epoch), max(me.begun, v.number)
	}
	var whole set
	for k := range m.saves {
		b := int(s.saves[k].base) - 1
		if me.listed.has(k) && (there(k) && (b < 0 || there(b)) || m.mutant == repairUnchecked) {
			whole |= 1 << k
		}
	}
	next := head{epoch: me.epoch + jump, fence: m.fenceOf(i, o), retained: m.choose(s, whole)}
	if m.mutant == repairNextEpoch || m.mutant == repairNextEpochUnfenced {
		next.epoch = me.epoch + 1
	}
	// The repair takes a number of its own, so that the next save has no base: what is adopted may be deletable already.
	s.saves[o.save] = save{epoch: next.epoch, number: me.begun + 1}
	next.last = uint8(o.save + 1)
	if m.mutant == repairTakesNoNumber {
		next.last = s.newest(next)
	}
	me.own, me.listed, me.epoch, me.begun = next, 0, 0, 0
	for k := range m.saves {
		if next.retained.has(k) && !there(k) {
			return bornBroken
		}
	}
	return ""
}

// choose makes a history of the whole manifests: numbers go up, and epochs do not go down. Of two that contradict each other at most one was committed, and nothing in their names
// tells which: the operator does.
func (m *model) choose(s *state, whole set) set {
	var chosen set
	if m.mutant != repairHigherEpoch && m.mutant != repairLowerEpoch {
		chosen = s.kept // the operator knows
		if s.condition != lost {
			chosen = s.head.retained
		}
		chosen &= whole
	}
	rest := whole &^ chosen
	for rest != 0 {
		best := -1
		for k := range m.saves {
			if rest.has(k) && (best < 0 || m.before(s, k, best)) {
				best = k
			}
		}
		rest &^= 1 << best
		if m.agrees(s, best, chosen) {
			chosen |= 1 << best
		}
	}
	return chosen
}

// before: of two manifests, a is the first to be tried.
func (m *model) before(s *state, a, b int) bool {
	v, w := s.saves[a], s.saves[b]
	if v.epoch == w.epoch {
		return v.number > w.number
	}
	return (v.epoch > w.epoch) == (m.mutant != repairLowerEpoch)
}

func (m *model) agrees(s *state, k int, chosen set) bool {
	v := s.saves[k]
	for j := range m.saves {
		if w := s.saves[j]; chosen.has(j) && (w.number == v.number || (w.number < v.number) != (w.epoch < v.epoch) && w.epoch != v.epoch) {
			return false
		}
	}
	return true
}

// adopt notes what a repair that was applied has made retained.
func (m *model) adopt(s *state, before head) {
	kept := s.kept
	if before.epoch > 0 {
		kept = before.retained
	}
	for k := range m.saves {
		if !s.head.retained.has(k) {
			continue
		}
		v := &s.saves[k]
		if !v.committed { // what its caller is told of its own write can be true no more
			s.excused |= 1 << k
		}
		v.committed = true
		if !kept.has(k) {
			s.adopted |= 1 << k
		}
	}
}

// goesBack: the mutant lets the epoch go back, and is to be seen by what comes of that.
func (m mutant) goesBack() bool {
	return m == removeDeletesHead || m == repairNextEpoch || m == repairNextEpochUnfenced || m == lateCreation || m == createOverRemains || m == takeNewHead || m == createOverFirst || m == namelessLoss
}
