package main

// Readers: they look at HEAD, perhaps pin what they found with a lease, and read its objects one after the other. A lease may be dropped by whoever writes HEAD next, because
// its clock says so; when that is, the adversary decides.

func (h head) leased() bool { return h.leases != [maxReaders]uint8{} }

// unleased is h as somebody writes it by whose clock all leases have expired.
func (h head) unleased() head {
	h.leases = [maxReaders]uint8{}
	return h
}

// readSteps are what a reader under way can meet: each object is there, or it is not, and then HEAD is asked why.
func (m *model) readSteps(s *state, i int, do func(act, func(*state, *actor) violation)) {
	a := &s.actors[i]
	o, _ := m.current(s, i)
	k, x := int(a.target)-1, data
	switch a.phase {
	case missed:
		do(asksHead, func(t *state, _ *actor) violation {
			if t.readable() && t.head.retained.has(k) && !t.adopted.has(k) {
				return falseDamage
			}
			return m.finish(t, i, o, failed, retired)
		})
		return
	case readingManifest:
		x = manifest
	case readingBase:
		k = int(s.saves[k].base) - 1
	}
	if !m.present(s, k, x) {
		do(misses, func(_ *state, me *actor) violation {
			if m.mutant == readerNeverLooks {
				return falseDamage
			}
			me.phase = missed
			return ""
		})
		return
	}
	do(gets, func(t *state, me *actor) violation {
		if me.phase == readingBase || me.phase == readingData && t.saves[k].base == 0 {
			return m.finish(t, i, o, succeeded, admitted)
		}
		me.phase++
		return ""
	})
}

// finishReading ends one of a reader's operations; without a lease that it wanted it does not read.
func (m *model) finishReading(s *state, i int, o op, r result) violation {
	a := &s.actors[i]
	if o.kind == read {
		a.target = 0
		return ""
	}
	if r != succeeded {
		a.step, a.target = uint8(len(m.scripts[i])), 0
		return ""
	}
	if a.taken == 0 {
		return falsePin
	}
	return ""
}

// keepsPins: only who set a tag or a lease takes it away, or a removal, or a repair, which cannot know of it. That leases expire is no part of a write here: see swapArrivesLate.
func (m *model) keepsPins(s *state, i int, o op, before head) bool {
	h := s.head
	if o.kind == remove || s.condition != sound {
		return true
	}
	if before.tag != 0 && h.tag != before.tag && (o.kind != untag || s.actors[i].target != 0 && before.tag != s.actors[i].target) {
		return false
	}
	for r, l := range before.leases {
		if own := m.cast[i].kind == reader && m.reads[i] == r; l != 0 && h.leases[r] != l && !own {
			return false
		}
	}
	return true
}
