package main

// The store: HEAD with its versions, and the immutable objects. A request that was sent may be applied at any later time or never, and
// more than once; a reply may be lost. Nothing here says whether a sender is still waiting.

// land makes next the HEAD: a write that the store accepts. It returns what it breaks. The caller says what the writer knows of it.
func (m *model) land(s *state, i int, o op, next head) violation {
	before := s.head
	s.head = next
	m.moved(s)
	broken := m.checkWrite(s, i, o, before)
	switch o.kind {
	case commit, saveOnce:
		s.saves[o.save].committed = true
	case acquire, remove:
		s.actors[i].taken++
	case pin:
		s.actors[i].taken = 1
	case repair:
		m.adopt(s, before)
	}
	s.adopted &= next.retained
	s.condition, s.kept = sound, 0
	if n := s.number(next.last); next.epoch > s.highEpoch {
		s.highEpoch, s.highNumber = next.epoch, n
	} else if next.epoch == s.highEpoch {
		s.highNumber = max(s.highNumber, n)
	}
	m.doom(s)
	return broken
}

// moved: HEAD has another version now. A request conditioned on an older one can only be refused from here on. "Absent" is the one version that can
// come back.
func (m *model) moved(s *state) {
	absent := s.head.epoch == 0
	for j := range m.cast {
		a := &s.actors[j]
		a.fresh, a.ownFresh = absent && a.creates && !a.landed, false
		if a.hasLate && m.conditional() && (!absent || !a.lateNew) {
			a.dropLate()
		}
		if m.rereads(s, j) {
			a.at = head{}
		}
	}
}

func (a *actor) dropLate() { a.late, a.hasLate, a.lateStep, a.lateNew = head{}, false, 0, false }

// rereads: whatever happens, the actor reads HEAD before it needs one, so what it knew of HEAD makes no difference any more.
func (m *model) rereads(s *state, j int) bool {
	a := &s.actors[j]
	return a.phase == sent && !a.landed && !a.fresh && m.conditional() && m.mutant != blindRebase && m.mutant != removeDeletesHead && !m.harm
}

// conditional: HEAD is written by compare-and-swap, the protocol's way.
func (m *model) conditional() bool { return m.mutant != readThenPut }

// doom notes which objects have become deletable. Collectors may list at any time, decide by any HEAD that they ever read, and delete at any later
// time, so all that matters of them is whether some HEAD so far allows the deletion; that HEAD never has to be the present one.
func (m *model) doom(s *state) {
	if s.head.epoch == 0 {
		return // nobody can read it
	}
	for k := range m.saves {
		m.doomSave(s, k)
	}
	m.doomShares(s)
}

func (m *model) doomSave(s *state, k int) {
	v := &s.saves[k]
	if !v.begun() || !m.deletable(s, v.epoch, v.number) {
		return
	}
	for x := range v.objects {
		if !m.refers(s, k, x) {
			v.objects[x].doomed = true
		}
	}
}

// refers reports whether HEAD refers to the key of object x of save k.
func (m *model) refers(s *state, k, x int) bool {
	for j := range m.saves {
		if !s.head.retained.has(j) {
			continue
		}
		if m.sameKey(s, j, k) {
			return true
		}
		if b := s.saves[j].base; x == data && b != 0 && m.mutant != collectBases && m.sameKey(s, int(b)-1, k) {
			return true
		}
		if x == data && m.sharesReferTo(s, s.saves[j].taken, k) {
			return true
		}
	}
	return false
}

// sameKey reports whether two saves name their objects alike. With a nonce in the names they never do.
func (m *model) sameKey(s *state, j, k int) bool {
	if j == k {
		return true
	}
	a, b := s.saves[j], s.saves[k]
	switch m.mutant {
	case namesWithoutEpoch:
		return a.number == b.number
	case namesWithoutNonce:
		return a.number == b.number && a.epoch == b.epoch
	}
	return false
}

// put is the arrival of a create-if-absent request for object x of save k. An object that exists is left alone, and taken for our own earlier try.
func (m *model) put(s *state, k, x int) {
	for j := range m.saves {
		if s.saves[j].objects[x].stored && m.sameKey(s, j, k) {
			return
		}
	}
	s.saves[k].objects[x].stored = true
}

// present reports whether the bytes that a manifest means by object x of save k are there, and stay: see config.adversary.
func (m *model) present(s *state, k, x int) bool {
	o := s.saves[k].objects[x]
	return o.stored && (!m.adversary || !o.doomed)
}

// storeSteps are what happens to immutable objects by others than their writer.
func (m *model) storeSteps(s *state, emit emitter) {
	m.harmSteps(s, emit)
	if m.adversary {
		return
	}
	m.shareSteps(s, emit)
	for k := range m.saves {
		for x := range s.saves[k].objects {
			switch o := s.saves[k].objects[x]; {
			case o.stored && o.doomed:
				t := m.copyOf(s)
				t.saves[k].objects[x].stored = false
				emit(step{actor: uint8(k), act: collectorDeletes, arg: uint8(x)}, t, "")
			case o.sent && !o.stored:
				t := m.copyOf(s)
				m.put(t, k, x)
				emit(step{actor: uint8(k), act: putArrivesAgain, arg: uint8(x)}, t, "")
			}
		}
	}
}
