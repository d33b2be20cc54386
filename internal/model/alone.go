package main

// Whether anything ever gets done: an actor in the middle of an operation that is left alone, with a store that answers, comes to an end.

// enough is more steps than any operation takes alone.
const enough = 12

// progress says which of the steps that it could take next an actor takes that is left alone; the highest wins. None is about giving up.
var progress = map[act]int{
	okArrives: 9, swapArrives: 8, looks: 7, manifestArrives: 6, dataArrives: 5, shareArrives: 4, listsAndSends: 3, lists: 2, gets: 1, misses: 1, asksHead: 1,
}

// checkAlone leaves each actor alone in turn.
func (m *model) checkAlone(s *state) violation {
	for i := range m.cast {
		if s.actors[i].phase != idle && !m.endsAlone(*s, i) {
			return stuck
		}
	}
	return ""
}

func (m *model) endsAlone(s state, i int) bool {
	at := s.actors[i].step
	for range enough {
		o, _ := m.current(&s, i)
		if s.actors[i].step != at || !s.readable() && s.actors[i].phase == sent || m.bounded(&s, i, o) {
			return true // without a HEAD that can be read it gives up in time; nothing else would end it
		}
		best, next := 0, s
		m.actorSteps(&s, i, func(via step, t *state, broken violation) {
			if n := progress[via.act]; n > best {
				best, next = n, *t
			}
		})
		if j := m.tokenHolder(&s, i); best == 0 && j >= 0 {
			return m.endsAlone(s, j) // another save of the same process is being committed
		}
		if best == 0 {
			return false
		}
		s = next
	}
	return false
}
