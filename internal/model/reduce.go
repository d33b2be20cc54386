package main

// reduce makes states alike whose difference nothing can ever see, in worlds with an adversary. (In the others an object that is in the store is not
// the same as one that was deleted, and everything stays as it happened; and what nothing refers to, a repair may adopt.)
func (m *model) reduce(s *state) {
	if !m.adversary || m.harm {
		return
	}
	for k := range m.saves {
		v := &s.saves[k]
		if v.result == pending || m.mayStillLand(s, k) {
			continue
		}
		// What its caller was told agrees with what happened, and nothing can happen to it any more.
		switch {
		case v.result == unknown && v.committed:
			v.result = succeeded
		case v.result == unknown:
			v.result = failed
		}
		visible := s.head.retained.has(k) || int(s.head.last) == k+1
		if v.objects[data].doomed && v.objects[manifest].doomed && !visible && !m.isRead(s, k) {
			*v = save{number: v.number, result: failed, objects: [2]object{{doomed: true}, {doomed: true}}}
			if !m.known(s, k) {
				v.number = 1
			}
		}
	}
}

// mayStillLand: an abandoned request would commit save k.
func (m *model) mayStillLand(s *state, k int) bool {
	for i := range m.cast {
		if a := &s.actors[i]; a.hasLate && int(a.late.last) == k+1 {
			return true
		}
	}
	return false
}

// isRead: a reader is on its way through save k.
func (m *model) isRead(s *state, k int) bool {
	for i := range m.cast {
		if (m.cast[i].kind == reader || m.cast[i].kind == passer) && int(s.actors[i].target) == k+1 {
			return true
		}
	}
	return false
}

// known: some actor has a HEAD in mind whose last or retained saves k is one of.
func (m *model) known(s *state, k int) bool {
	for i := range m.cast {
		a := &s.actors[i]
		for _, h := range [...]head{a.at, a.own, a.late} {
			if h.retained.has(k) || int(h.last) == k+1 {
				return true
			}
		}
	}
	return false
}
