package main

// Workers: a save whose state lies in several processes. Each worker uploads packs of its own, named by the coordinator's (epoch, checkpoint), and hands over a handle;
// only what the coordinator takes in before it commits exists. A worker may be restarted inside the epoch, and finish again.

// workerSteps are what a worker's present life does with share p.
func (m *model) workerSteps(s *state, i, p int, emit emitter) {
	a := &s.actors[i]
	if a.phase == idle {
		for k := range m.saves {
			if s.saves[k].begun() && s.saves[k].epoch > 0 && m.ownerOf(m.savedBy[k]) == m.cast[i].of {
				m.joinSteps(s, i, p, k, emit)
			}
		}
		return
	}
	end := func(act act, handle bool, change func(*state)) {
		t := m.copyOf(s)
		change(t)
		t.shares[p].handle = t.shares[p].handle || handle
		t.actors[i].phase = idle
		t.actors[i].step++
		emit(step{actor: uint8(i), act: act}, t, "")
	}
	end(shareArrives, true, func(t *state) { m.putShare(t, p) })
	end(aborts, false, func(*state) {})
}

// joinSteps begin a share of save k: with the base that the coordinator assigns, or, given only the numbers, with the newest checkpoint of the HEAD that the worker reads.
// An assignment may be old when it arrives.
func (m *model) joinSteps(s *state, i, p, k int, emit emitter) {
	v := s.saves[k]
	begin := func(act act, base uint8) {
		t := m.copyOf(s)
		t.shares[p] = share{epoch: v.epoch, number: v.number, save: uint8(k + 1), base: base, handle: m.mutant == handleBeforeUpload}
		t.shares[p].object.sent = true
		t.actors[i].phase = uploadingData
		m.doomShare(t, p)
		emit(step{actor: uint8(i), act: act, arg: uint8(k)}, t, "")
	}
	begin(joins, v.base)
	by := m.ownerOf(m.savedBy[k])
	current := s.readable() && s.head.epoch == v.epoch && s.head.fence == uint8(1+by) && s.number(s.head.last) < v.number
	if base := s.newest(s.head); (current || m.mutant == workerNeverLooks) && base != v.base {
		begin(joinsByHead, base)
	}
}

// handleSteps are the handles that the coordinator of save k may be given, and take.
func (m *model) handleSteps(s *state, i, k int, emit emitter) {
	for p := range m.shares {
		if !s.shares[p].handle || s.saves[k].taken.has(p) || !m.takes(s, k, p) {
			continue
		}
		t := m.copyOf(s)
		t.saves[k].taken |= 1 << p
		emit(step{actor: uint8(i), act: takesHandle, arg: uint8(p)}, t, "")
	}
}

// takes: a handle is taken in only if it is of this very save, and the only one of its worker.
func (m *model) takes(s *state, k, p int) bool {
	v, h := s.saves[k], s.shares[p]
	for q := range m.shares {
		if v.taken.has(q) && m.workers[q] == m.workers[p] && m.mutant != takesBothLives {
			return false
		}
	}
	switch m.mutant {
	case handleOfOtherNumber:
		return h.epoch == v.epoch
	case handleOfOtherEpoch:
		return h.number == v.number
	case handleUnfenced:
		return h.epoch == v.epoch && h.number == v.number
	}
	return int(h.save) == k+1
}

// sharesAdmissible is rule 3 for what a save took in: the base of each share is still retained.
func (m *model) sharesAdmissible(s *state, v save, h head) bool {
	for p := range m.shares {
		if b := s.shares[p].base; v.taken.has(p) && b != 0 && !h.retained.has(int(b)-1) && m.mutant != shareBaseUnchecked {
			return false
		}
	}
	return true
}

// sharesReferTo reports whether one of the shares refers to the data of save k.
func (m *model) sharesReferTo(s *state, taken set, k int) bool {
	for p := range m.shares {
		if b := s.shares[p].base; taken.has(p) && b != 0 && m.sameKey(s, int(b)-1, k) {
			return true
		}
	}
	return false
}

// sameShareKey: with a nonce in the names no two are alike.
func (m *model) sameShareKey(s *state, p, q int) bool {
	a, b := s.shares[p], s.shares[q]
	return p == q || m.mutant == sharesWithoutNonce && m.workers[p] == m.workers[q] && a.epoch == b.epoch && a.number == b.number
}

// putShare is the arrival of a create-if-absent request. An object that exists is taken for our own earlier try.
func (m *model) putShare(s *state, p int) {
	for q := range m.shares {
		if s.shares[q].object.stored && m.sameShareKey(s, p, q) {
			return
		}
	}
	s.shares[p].object.stored = true
}

func (m *model) doomShares(s *state) {
	for p := range m.shares {
		m.doomShare(s, p)
	}
}

func (m *model) doomShare(s *state, p int) {
	h := &s.shares[p]
	if h.number > 0 && m.deletable(s, h.epoch, h.number) && !m.referredShare(s, p) {
		h.object.doomed = true
	}
}

func (m *model) referredShare(s *state, p int) bool {
	for k := range m.saves {
		for q := range m.shares {
			if s.head.retained.has(k) && s.saves[k].taken.has(q) && m.sameShareKey(s, p, q) {
				return true
			}
		}
	}
	return false
}

// shareSteps are what happens to shares' objects by others than their writer.
func (m *model) shareSteps(s *state, emit emitter) {
	for p := range m.shares {
		switch o := s.shares[p].object; {
		case o.stored && o.doomed:
			t := m.copyOf(s)
			t.shares[p].object.stored = false
			emit(step{actor: uint8(p), act: collectorDeletes, arg: shared}, t, "")
		case o.sent && !o.stored:
			t := m.copyOf(s)
			m.putShare(t, p)
			if *t != *s {
				emit(step{actor: uint8(p), act: putArrivesAgain, arg: shared}, t, "")
			}
		}
	}
}

// checkShares judges what a retained save took in.
func (m *model) checkShares(s *state, k int) violation {
	taken := s.saves[k].taken
	var lives set
	for p := range m.shares {
		if !taken.has(p) {
			continue
		}
		h := s.shares[p]
		switch {
		case lives.has(m.workers[p]):
			return bothLives
		case int(h.save) != k+1 && (m.mutant == none || m.mutant == handleUnfenced):
			return foreignShare
		case s.adopted.has(k) && m.mutant != adoptedAreLive && (!h.object.stored || h.object.doomed):
			return "" // see checkObject
		case !h.object.stored || m.adversary && h.object.doomed:
			for q := range m.shares {
				if q != p && s.shares[q].object.stored && m.sameShareKey(s, p, q) {
					return wrongBytes
				}
			}
			return missingData
		case h.object.doomed && m.mutant == none:
			return backToLife
		}
		lives |= 1 << m.workers[p]
		if h.base != 0 {
			if broken := m.checkObject(s, k, int(h.base)-1, data); broken != "" {
				return broken
			}
		}
	}
	return ""
}
