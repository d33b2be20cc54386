package main

// refusal says why a change of HEAD is not admissible.
type refusal uint8

const (
	admitted refusal = iota
	fenced           // the job is somebody else's now
	conflict         // somebody committed, or acquired, first
	retired          // what the change refers to is not retained any more
)

// apply makes the change that operation o of actor i intends on a HEAD, or refuses it: rules 1 to 3, 7 and 8.
func (m *model) apply(s *state, i int, o op, h head) (head, refusal) {
	a := &s.actors[i]
	switch o.kind {
	case acquire:
		if m.mutant != acquireKeepsEpoch || h.epoch == 0 {
			h.epoch++
		}
		h.fence, h.removed = m.fenceOf(i, o), false
	case commit:
		by := m.ownerOf(i)
		if !m.owns(&s.actors[by], uint8(1+by), h) {
			return h, fenced
		}
		return m.appendSave(s, o.save, h)
	case saveOnce:
		if !m.stillRead(a, h) {
			return h, conflict
		}
		h.epoch++
		h.fence, h.removed = m.fenceOf(i, o), false
		return m.appendSave(s, o.save, h)
	case trim:
		h = m.trim(s, h, 1)
		if m.mutant == retireNewest && h.last > 0 {
			h.retained &^= 1 << (h.last - 1)
		}
	case tag:
		if !h.retained.has(int(a.target)-1) && m.mutant != tagUnchecked {
			return h, retired
		}
		if h.tag != 0 && h.tag != a.target && m.mutant != tagMoves {
			return h, conflict
		}
		h.tag = a.target
	case untag:
		if h.tag == a.target || m.mutant == untagAny {
			h.tag = 0
		}
	case pin:
		if !h.retained.has(int(a.target)-1) && m.mutant != pinUnchecked {
			return h, retired
		}
		h.leases[m.reads[i]] = a.target
	case release:
		h.leases[m.reads[i]] = 0
		if m.mutant == releaseAny {
			h.leases = [maxReaders]uint8{}
		}
	case repair:
		return a.own, admitted
	case remove:
		if m.mutant != removeAnyEpoch && !m.stillRead(a, h) {
			return h, conflict
		}
		if m.mutant == removeDeletesHead {
			return head{}, admitted
		}
		if m.mutant != removeKeepsEpoch {
			h.epoch++
			h.fence = m.fenceOf(i, o)
		}
		h.retained, h.tag, h.leases, h.removed = 0, 0, [maxReaders]uint8{}, true
	}
	return h, admitted
}

// owns is rule 1: this HEAD is of this ownership.
func (m *model) owns(a *actor, fence uint8, h head) bool {
	switch m.mutant {
	case commitUnfenced:
		return true
	case fenceByEpoch, repairNextEpochUnfenced:
		return h.epoch == a.epoch
	case fenceByNonce:
		return h.fence == fence
	}
	return h.epoch == a.epoch && h.fence == fence
}

// stillRead is rule 8: since a one-shot save or a removal read HEAD, nobody took the job. The fence alone would not do: an acquisition that is applied
// twice, because its first reply was lost and another came between, has two epochs of one fence.
func (m *model) stillRead(a *actor, h head) bool {
	switch m.mutant {
	case oneShotRebases, oneShotRebasesCommit:
		return true
	case fenceByEpoch, repairNextEpochUnfenced:
		return h.epoch == a.epoch
	case fenceByNonce:
		return h.fence == a.fence
	}
	return h.epoch == a.epoch && h.fence == a.fence
}

// appendSave makes save k the newest checkpoint of h, if rules 2 and 3 allow it, and applies the retention.
func (m *model) appendSave(s *state, k int, h head) (head, refusal) {
	v := s.saves[k]
	if s.number(h.last) >= v.number && m.mutant != commitOlder && m.mutant != oneShotRebasesCommit {
		return h, conflict
	}
	if v.base != 0 && !h.retained.has(int(v.base)-1) && m.mutant != baseUnchecked && m.mutant != dedupAnything {
		return h, retired
	}
	if !m.sharesAdmissible(s, v, h) {
		return h, retired
	}
	h.last = uint8(k + 1)
	h.retained |= 1 << k
	if m.keepLast > 0 {
		h = m.trim(s, h, m.keepLast)
	}
	return h, admitted
}

// trim retires all but the newest keep checkpoints and the tagged one.
func (m *model) trim(s *state, h head, keep int) head {
	kept := set(0)
	if h.tag != 0 && m.mutant != retireTagged {
		kept |= 1 << (h.tag - 1)
	}
	for _, l := range h.leases {
		if l != 0 && m.mutant != retireLeased {
			kept |= 1 << (l - 1)
		}
	}
	rest := h
	for range keep {
		if n := s.newest(rest); n != 0 {
			kept |= 1 << (n - 1)
			rest.retained &^= 1 << (n - 1)
		}
	}
	h.retained &= kept
	return h
}

// applied recognises the change in a HEAD that others may have written since. A removed job keeps the name of its last commit.
func (m *model) applied(s *state, i int, o op, h head) bool {
	if m.mutant == recogniseNothing {
		return false
	}
	a := &s.actors[i]
	switch o.kind {
	case acquire:
		if m.mutant == acquireByEpoch {
			return h.epoch == a.target
		}
		return h.fence == m.fenceOf(i, o)
	case commit, saveOnce:
		if m.mutant == commitByNumber {
			return s.retainsNumber(h, s.saves[o.save].number)
		}
		return int(h.last) == o.save+1 || h.retained.has(o.save)
	case tag:
		return h.tag == a.target
	case untag:
		return h.tag == 0
	case pin:
		if m.mutant == pinByCheckpoint {
			return h.leased()
		}
		return h.leases[m.reads[i]] == a.target
	case release:
		return h.leases[m.reads[i]] == 0
	case repair:
		return h.fence == m.fenceOf(i, o)
	case remove:
		return h.removed
	}
	return false // a trim that somebody else has done finds nothing to do
}

func (s *state) retainsNumber(h head, number uint8) bool {
	for k, v := range s.saves {
		if v.number == number && (int(h.last) == k+1 || h.retained.has(k)) {
			return true
		}
	}
	return false
}

// certain reports whether a save that was refused after a request of it had been sent can be told to have failed. If not, it may have been committed
// by that request and retired since by whoever took the job: this HEAD does not remember it.
func (m *model) certain(s *state, i int, o op, h head) bool {
	v := s.saves[o.save]
	switch {
	case m.mutant == supersededFails:
		return true
	case s.number(h.last) < v.number:
		return true // last only grows, so it was never ours
	case o.kind == saveOnce && h.epoch == v.epoch:
		return true // our commit would have been the taking of this epoch
	case o.kind == commit && h.epoch == v.epoch:
		return true // in our own epoch only a commit of ours retires ours, and those wait for each other
	}
	return false
}

// deletable is rule 4 for a name, by the HEAD that says the most; the caller adds that HEAD does not refer to it.
func (m *model) deletable(s *state, epoch, number uint8) bool {
	e, last := s.highEpoch, s.highNumber
	if e == 0 {
		return false // no HEAD, no collection
	}
	switch m.mutant {
	case collectUnreferenced:
		return true
	case collectWithoutLast:
		return epoch <= e
	case collectNextEpoch:
		return epoch <= e || epoch == e+1
	case namesWithoutEpoch, namesWithoutEpochOnly:
		return number <= last
	}
	return epoch < e || epoch == e && number <= last
}
