package main

// violation names what is broken; empty: nothing.
type violation string

const (
	missingData    violation = "HEAD refers to an object that is gone"
	wrongBytes     violation = "HEAD refers to an object with another save's bytes"
	backToLife     violation = "HEAD refers to an object that was deletable once"
	wentBack       violation = "the commit history went back"
	epochWentBack  violation = "the epoch went back"
	fencedCommit   violation = "somebody who did not own the job committed"
	lostNewest     violation = "the newest checkpoint was dropped by something else than a removal"
	undeadJob      violation = "a removed job has checkpoints"
	danglingTag    violation = "a tag names a checkpoint that is not retained"
	falseOK        violation = "a save was reported ok and is not committed"
	falseFailure   violation = "a save was reported failed and was committed"
	visibleFailure violation = "a save was reported failed and is visible"
	twoOwners      violation = "two owners hold one epoch"
	twice          violation = "one call took effect twice"
	bothLives      violation = "a checkpoint holds the shares of two lives of one worker"
	foreignShare   violation = "a checkpoint holds a share of another save"
	danglingLease  violation = "a lease keeps a checkpoint that is not retained"
	droppedPin     violation = "a tag or a lease was dropped by somebody who had no right to"
	falsePin       violation = "a reader was told that it has a lease, and never had one"
	falseDamage    violation = "a reader was told of damage where nothing is damaged"
	forgotten      violation = "what was committed before HEAD was lost is not in the HEAD after it"
	bornBroken     violation = "a repair adopted a checkpoint whose packs its own listing does not have"
	hopeless       violation = "nobody can save any more: a new save could be collected before its commit"
	stuck          violation = "an actor that is left alone does not come to an end"
)

// checkWrite judges one accepted write of HEAD by what was there before.
func (m *model) checkWrite(s *state, i int, o op, before head) violation {
	h := s.head
	saves := o.kind == commit || o.kind == saveOnce
	switch {
	case s.condition == lost && s.kept&^h.retained != 0, o.kind == repair && before.retained&^h.retained != 0:
		return forgotten
	case h.epoch < s.highEpoch && !m.mutant.goesBack(), o.kind == repair && h.epoch == s.highEpoch && !m.mutant.goesBack():
		return epochWentBack
	case !m.keepsPins(s, i, o, before):
		return droppedPin
	case o.kind == repair:
		return ""
	case saves && (s.number(h.last) <= s.number(before.last) || s.lastEpoch(h) < s.lastEpoch(before)):
		return wentBack
	case !saves && o.kind != remove && h.last != before.last:
		return wentBack
	case o.kind == commit && (before.epoch != s.saves[o.save].epoch || before.fence != uint8(1+m.ownerOf(i))):
		return fencedCommit
	case !saves && o.kind != remove && before.retained != 0 && !h.retained.has(int(s.newest(before))-1):
		return lostNewest
	case saves && !h.retained.has(int(h.last)-1):
		return lostNewest
	case h.retained&^before.retained&^saved(o) != 0:
		return backToLife
	case saves && s.saves[o.save].committed, o.kind == remove && s.actors[i].taken > 0:
		return twice // taking a job, tagging or trimming twice does no more than was asked for
	}
	return ""
}

func saved(o op) set {
	if o.kind == commit || o.kind == saveOnce {
		return 1 << o.save
	}
	return 0
}

func (s *state) lastEpoch(h head) uint8 {
	if h.last == 0 {
		return 0
	}
	return s.saves[h.last-1].epoch
}

// checkState judges a state by itself.
func (m *model) checkState(s *state) violation {
	h := s.head
	if h.removed && h.retained != 0 {
		return undeadJob
	}
	if h.tag != 0 && !h.retained.has(int(h.tag)-1) {
		return danglingTag
	}
	for _, l := range h.leases {
		if l != 0 && !h.retained.has(int(l)-1) {
			return danglingLease
		}
	}
	if m.mutant == none && h.epoch > 0 && m.deletable(s, h.epoch+1, s.number(h.last)+1) {
		return hopeless
	}
	for k := range m.saves {
		v := s.saves[k]
		if broken := m.checkResult(s, k, v); broken != "" {
			return broken
		}
		if !h.retained.has(k) {
			continue
		}
		if broken := m.checkObject(s, k, k, manifest); broken != "" {
			return broken
		}
		if broken := m.checkObject(s, k, k, data); broken != "" {
			return broken
		}
		if v.base != 0 {
			if broken := m.checkObject(s, k, int(v.base)-1, data); broken != "" {
				return broken
			}
		}
		if broken := m.checkShares(s, k); broken != "" {
			return broken
		}
	}
	return ""
}

func (m *model) checkResult(s *state, k int, v save) violation {
	switch {
	case v.result == succeeded && !v.committed:
		return falseOK
	case s.excused.has(k):
		return ""
	case v.result == failed && m.literal && (s.head.retained.has(k) || int(s.head.last) == k+1):
		return visibleFailure
	case v.result == failed && v.committed && !m.literal:
		return falseFailure
	}
	return ""
}

// checkObject judges object x of save k, which the retained checkpoint of save by refers to. Mutants are held to real loss, not to the possibility of it, so that their traces show it.
func (m *model) checkObject(s *state, by, k, x int) violation {
	excused := s.adopted.has(by) && m.mutant != adoptedAreLive // some HEAD may have allowed to collect it before the repair
	if !m.present(s, k, x) {
		for j := range m.saves {
			if j != k && s.saves[j].objects[x].stored && m.sameKey(s, j, k) {
				return wrongBytes
			}
		}
		if excused {
			return ""
		}
		return missingData
	}
	if s.saves[k].objects[x].doomed && m.mutant == none && !excused {
		return backToLife
	}
	return ""
}
