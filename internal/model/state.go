package main

// The bounds of the arrays, not of what a configuration explores.
const (
	maxActors  = 6
	maxSaves   = 6
	maxShares  = 3
	maxReaders = 2
)

// head is the content of HEAD. The zero value is a HEAD that does not exist. Versions are not in it: an actor knows whether
// the HEAD that it read is still the one in the store (actor.fresh), which is all that a version is ever compared for. So
// two histories that differ only in the number of writes are one state.
type head struct {
	epoch    uint8
	fence    uint8 // who took the epoch: a nonce, so each taking has its own
	last     uint8 // the save of the newest commit, plus one; 0: none yet
	retained set
	tag      uint8             // the save that the one tag names, plus one; 0: no tag
	leases   [maxReaders]uint8 // the save that each reader's lease keeps, plus one; 0: no lease
	removed  bool
}

// set is a set of saves, or of shares.
type set uint8

func (s set) has(k int) bool { return s&(1<<k) != 0 }

// save is one try to make a checkpoint. It owns two objects, its data (the packs) and its manifest, which share its name.
// The manifest refers to both and, if base is set, to the data of the base.
type save struct {
	epoch, number uint8 // its name; number 0: not begun
	base          uint8 // the save that it is deduplicated against, plus one; 0: a full save
	taken         set   // the workers' shares that its coordinator took in
	result        result
	committed     bool // HEAD has referred to it at some time
	objects       [2]object
}

func (s save) begun() bool { return s.number > 0 }

const (
	data = iota
	manifest
	shared // the one object of a share
)

var objectNames = [...]string{"data", "manifest", "share"}

// object is one immutable object of a save.
type object struct {
	sent   bool // its upload was begun: copies of the request may arrive for ever
	stored bool // it is in the store
	doomed bool // by some HEAD that a collector may have read it is deletable: so it may be deleted from now on
}

// share is what one life of a worker saves of a checkpoint: an object of its own, named like the save that it belongs to, and a handle that tells the
// coordinator of it. A handle may be delivered at any later time, more than once, to any coordinator, or never.
type share struct {
	epoch, number uint8 // its name; number 0: not begun
	save          uint8 // the one that it was begun for, plus one: what a handle says by job, fence and number
	base          uint8 // the save whose data it refers to, plus one
	handle        bool  // there is a handle
	object        object
}

// result is what the caller of a save was told.
type result uint8

const (
	pending result = iota
	succeeded
	failed
	unknown
)

func (r result) String() string { return [...]string{"pending", "ok", "failed", "fate unknown"}[r] }

// phase is where an actor stands in its present operation.
type phase uint8

const (
	idle phase = iota
	uploadingData
	uploadingManifest
	sent // a compare-and-swap of HEAD is on its way, perhaps in several copies, or its reply is
	readingManifest
	readingData
	readingBase
	missed // an object was not there: HEAD has to say why
)

// actor is a process. One that is never scheduled again has stopped for ever.
type actor struct {
	phase phase
	step  uint8 // index in its script

	at    head // HEAD as this operation read or wrote it last
	fresh bool // at is what the store holds now: a compare-and-swap on it would succeed
	// landed: the request under way was applied. With fresh, HEAD carries its nonce.
	landed bool
	taken  uint8 // how often its present operation, an acquisition or a removal, was applied

	late     head // what an abandoned request would still write
	hasLate  bool
	creates  bool  // its present write is conditioned on there being no HEAD
	lateStep uint8 // of its operation, in the script
	lateNew  bool  // it is conditioned on there being no HEAD

	own      head // of an owner: HEAD after its last acknowledged write; its next save starts from it. Of a repair: the HEAD that it would write
	ownFresh bool

	epoch  uint8 // of an owner: its own; of a one-shot save or a removal: the one that it read; of a repair: the highest in the names that it listed
	fence  uint8 // likewise
	begun  uint8 // the highest checkpoint number that this owner gave out; of a repair: the highest in the names that it listed
	target uint8 // of a tag, untag, a reader: the save, plus one
	listed set   // the saves whose manifests a repair has found
}

// state is the whole world. It is comparable and holds no pointers, so that it can be hashed and copied.
type state struct {
	head   head
	actors [maxActors]actor
	saves  [maxSaves]save
	shares [maxShares]share
	// The HEAD that allows collectors the most, of all that there were. It is the present one, unless a mutant lets HEAD go back.
	highEpoch, highNumber uint8

	condition condition // of HEAD
	harmed    bool      // HEAD was lost or damaged at some time
	kept      set       // while HEAD is lost: what it retained
	adopted   set       // what a repair made retained beside that
	excused   set       // of those, what had not been committed
}

// condition is what has become of HEAD.
type condition uint8

const (
	sound   condition = iota
	lost              // there is none any more; state.head is the zero value
	damaged           // it has its version still, and nobody can read it; state.head is what it was
)

// readable: whoever reads HEAD now learns what it holds, or that there is none.
func (s *state) readable() bool {
	return s.condition != damaged
}

func (s *state) number(last uint8) uint8 {
	if last == 0 {
		return 0
	}
	return s.saves[last-1].number
}

// newest is the newest retained save of h, plus one; 0: none.
func (s *state) newest(h head) uint8 {
	best := uint8(0)
	for k := range s.saves {
		if h.retained.has(k) && s.saves[k].number > s.number(best) {
			best = uint8(k + 1)
		}
	}
	return best
}
