package main

// mutant is one guard of the protocol that is taken away.
type mutant uint8

const (
	none mutant = iota
	// Named in the protocol's text.
	collectUnreferenced
	collectWithoutLast
	dedupAnything
	refusalFails
	timeoutFails
	readThenPut
	namesWithoutEpoch
	blindRebase
	// One for every further guard.
	collectNextEpoch
	baseUnchecked
	commitUnfenced
	commitOlder
	commitByNumber
	acquireByEpoch
	oneShotRebases
	oneShotRebasesCommit
	retireNewest
	retireTagged
	removeKeepsEpoch
	removeAnyEpoch
	removeDeletesHead
	deleteOnUnknown
	fenceByNonce
	namesWithoutNonce
	giveUpFails
	supersededFails
	handleOfOtherNumber
	handleOfOtherEpoch
	handleUnfenced
	handleBeforeUpload
	shareBaseUnchecked
	sharesWithoutNonce
	takesBothLives
	recogniseNothing
	takeNewHead
	acquireKeepsEpoch
	commitsAtOnce
	commitBeforeUpload
	collectBases
	tagUnchecked
	tagMoves
	untagAny
	retireLeased
	pinUnchecked
	pinByCheckpoint
	releaseAny
	neverLooks
	readerNeverLooks
	createOverRemains
	repairGood
	repairPuts
	repairListsFirst
	repairNextEpoch
	repairNextEpochUnfenced
	repairTakesNoNumber
	baseOfRepair
	repairUnchecked
	repairHigherEpoch
	repairLowerEpoch
	// What the protocol assumes, dropped.
	createOverFirst
	lateCreation
	namelessLoss
	adoptedAreLive
	// Guards that something else stands in for: nothing breaks without them within the bounds.
	fenceByEpoch
	oneShotOldEpoch
	namesWithoutEpochOnly
	workerNeverLooks
	numbersTwice
	mutants // their number
)

// trial is a mutant with the world that it is tried in.
type trial struct {
	mutant mutant
	what   string
	world  config // of a mutant that is to be caught; the others are tried in every small world
	// breaks is what has to be found; empty: nothing is, and why says why.
	breaks  violation
	why     string
	literal bool // see model
}

func (t trial) worlds() []config {
	if t.breaks != "" {
		return []config{t.world}
	}
	return small
}

func (t trial) model(c config) *model {
	m := newModel(c, t.mutant)
	m.literal, m.alone = t.literal, t.breaks == stuck
	return m
}

var trials = []trial{
	{mutant: collectUnreferenced, what: "collect whatever HEAD does not refer to", world: oneOwner, breaks: missingData},
	{mutant: collectWithoutLast, what: "collect by epoch alone, without HEAD.last", world: oneOwner, breaks: missingData},
	{mutant: dedupAnything, what: "deduplicate against anything that is stored", world: handOver, breaks: missingData},
	{mutant: refusalFails, what: "412 means failed", world: oneOwner, breaks: falseFailure},
	{mutant: timeoutFails, what: "a time-out means failed", world: oneOwner, breaks: falseFailure},
	{mutant: readThenPut, what: "write HEAD by read, then unconditional put", world: trimmed, breaks: wentBack},
	{mutant: namesWithoutEpoch, what: "name objects by checkpoint alone, without epoch and nonce", world: handOver, breaks: wrongBytes},
	{mutant: blindRebase, what: "after a lost compare-and-swap send the same bytes on the new version", world: oneShots, breaks: wentBack},

	{mutant: collectNextEpoch, what: "collect names of the epoch after HEAD's", world: oneShots, breaks: missingData},
	{mutant: baseUnchecked, what: "do not check again that the base is retained", world: trimmed, breaks: missingData},
	{mutant: commitUnfenced, what: "an owner commits without comparing epoch and fence", world: handOver, breaks: fencedCommit},
	{mutant: commitOlder, what: "commit a checkpoint older than the last", world: twoWriters, breaks: wentBack},
	{mutant: commitByNumber, what: "recognise a commit by its number, not its nonce", world: oneShots, breaks: falseOK},
	{mutant: acquireByEpoch, what: "recognise an acquisition by its epoch, not its fence", world: handOver, breaks: twoOwners},
	{mutant: oneShotRebases, what: "a one-shot save rebases over another's acquisition", world: mixed, breaks: missingData},
	{mutant: oneShotRebasesCommit, what: "a one-shot save rebases over another's commit", world: oneShots, breaks: wentBack},
	{mutant: retireNewest, what: "retention may retire the newest", world: trimmed, breaks: lostNewest},
	{mutant: retireTagged, what: "retention ignores tags", world: tagged, breaks: danglingTag},
	{mutant: removeKeepsEpoch, what: "a tombstone that keeps the epoch and the fence", world: removal, breaks: undeadJob},
	{mutant: removeAnyEpoch, what: "a removal rebases over a new owner", world: removal, breaks: twice},
	{mutant: removeDeletesHead, what: "a removal deletes HEAD", world: removal, breaks: twoOwners},
	{mutant: deleteOnUnknown, what: "a save of unknown fate deletes its objects", world: oneOwner, breaks: missingData},
	{mutant: fenceByNonce, what: "fence by the nonce alone, without the epoch", world: retaken, breaks: missingData},
	{mutant: namesWithoutNonce, what: "name objects by epoch and checkpoint, without nonce", world: oneShots, breaks: wrongBytes},
	{mutant: giveUpFails, what: "giving up while HEAD has not moved means failed", world: oneOwner, breaks: falseFailure},
	{mutant: giveUpFails, what: "the same, if failed promises only that it is not visible now or later", world: oneOwner, breaks: visibleFailure, literal: true},
	{mutant: supersededFails, what: "being fenced means failed, whatever was sent before", world: handOver, breaks: falseFailure},
	{mutant: supersededFails, what: "the same, if failed promises only that it is not visible now or later", world: headLostTaken, breaks: visibleFailure, literal: true},

	{mutant: recogniseNothing, what: "do not recognise the own write in a HEAD that has moved", world: trimmed, breaks: falseFailure},
	{mutant: acquireKeepsEpoch, what: "acquire with a new fence in the same epoch", world: handOver, breaks: twoOwners},
	{mutant: commitsAtOnce, what: "two commits of one owner at once", world: twoWriters, breaks: falseFailure},
	{mutant: commitBeforeUpload, what: "commit before the manifest is stored", world: oneOwner, breaks: missingData},
	{mutant: collectBases, what: "take only a checkpoint's own packs for needed", world: oneOwner, breaks: missingData},
	{mutant: tagUnchecked, what: "tag without looking whether the checkpoint is still retained", world: tagged, breaks: danglingTag},
	{mutant: tagMoves, what: "a tag moves a tag of its name", world: taggedTwice, breaks: droppedPin},
	{mutant: untagAny, what: "untag whatever the tag names by then", world: taggedTwice, breaks: droppedPin},

	{mutant: handleOfOtherNumber, what: "take a handle of another checkpoint of the epoch", world: workersOvertaken, breaks: missingData},
	{mutant: handleOfOtherEpoch, what: "take a handle of an older epoch", world: workersHandOver, breaks: missingData},
	{mutant: handleUnfenced, what: "take a handle by epoch and number, without the fence", world: workersOneShot, breaks: foreignShare},
	{mutant: handleBeforeUpload, what: "a worker hands over before its objects are stored", world: workersAtWork, breaks: missingData},
	{mutant: shareBaseUnchecked, what: "do not check again that a worker's base is retained", world: workersTrimmed, breaks: missingData},
	{mutant: sharesWithoutNonce, what: "name a worker's objects without nonce", world: workersAtWork, breaks: wrongBytes},
	{mutant: takesBothLives, what: "take the handles of both lives of a worker", world: workersAtWork, breaks: bothLives},

	{mutant: retireLeased, what: "retention ignores leases", world: leases, breaks: danglingLease},
	{mutant: pinUnchecked, what: "pin without looking whether the checkpoint is still retained", world: leases, breaks: danglingLease},
	{mutant: pinByCheckpoint, what: "recognise a lease by its checkpoint, not its nonce", world: leases, breaks: falsePin},
	{mutant: releaseAny, what: "a release drops all leases, not the one of its nonce", world: leases, breaks: droppedPin},
	{mutant: readerNeverLooks, what: "a reader takes what is missing for damage, without a look at HEAD", world: readers, breaks: falseDamage},

	{mutant: neverLooks, what: "wait for the answer to a write of HEAD, without a look at HEAD", world: oneOwner, breaks: stuck},

	{mutant: takeNewHead, what: "take a HEAD that has disappeared for that of a new job", world: headLost, breaks: falseFailure},
	{mutant: createOverRemains, what: "begin a job where HEAD is absent and manifests are there", world: headLost, breaks: forgotten},
	{mutant: repairGood, what: "repair a HEAD that can be read", world: headLostTagged, breaks: droppedPin},
	{mutant: repairPuts, what: "a repair writes HEAD without a condition", world: headLost, breaks: forgotten},
	{mutant: repairListsFirst, what: "a repair lists first and reads HEAD then", world: headLost, breaks: forgotten},
	{mutant: repairNextEpoch, what: "a repair takes the epoch after the highest in any name", world: headLostTaken, breaks: missingData},
	{mutant: repairNextEpochUnfenced, what: "the same, and fences are compared by epoch alone", world: headLostOwner, breaks: fencedCommit},
	{mutant: repairTakesNoNumber, what: "a repair makes the newest that it adopts the last commit", world: headLostTaken, breaks: missingData},
	{mutant: baseOfRepair, what: "deduplicate against what a repair has adopted", world: headLostTaken, breaks: missingData},
	{mutant: repairUnchecked, what: "a repair adopts manifests without their packs", world: headLostCron, breaks: bornBroken},
	{mutant: repairHigherEpoch, what: "of two manifests that contradict each other adopt that of the higher epoch", world: headLost, breaks: forgotten},
	{mutant: repairLowerEpoch, what: "of two manifests that contradict each other adopt that of the lower epoch", world: headLost, breaks: forgotten},

	{mutant: lateCreation, what: "assumption dropped: a request that makes a first HEAD arrives after the loss", world: headLost, breaks: forgotten},
	{mutant: createOverFirst, what: "assumption dropped: HEAD is not lost while a first one-shot save is the only one", world: headLostCron, breaks: forgotten},
	{mutant: namelessLoss, what: "assumption dropped: HEAD is lost where no name is left", world: headLostTaken, breaks: missingData},
	{mutant: adoptedAreLive, what: "assumption dropped: collectors from before the loss are stopped before a repair", world: headLostCron, breaks: missingData},

	{mutant: fenceByEpoch, what: "fence by the epoch's number alone",
		why: "compare-and-swap gives each epoch to one taker, so the number says as much as the nonce, as long as HEAD never goes back"},
	{mutant: oneShotOldEpoch, what: "name a one-shot save's objects by the epoch that was read",
		why: "whatever makes (e, last+1) deletable also makes the one compare-and-swap fail"},
	{mutant: namesWithoutEpochOnly, what: "name objects by checkpoint and nonce, without epoch",
		why: "checkpoint numbers grow across epochs; what is lost is only that a dead owner's leftovers can be collected before the next commits"},
	{mutant: workerNeverLooks, what: "a worker that is given only numbers takes any HEAD's newest as its base",
		why: "the coordinator looks: at the handle's fence and number, and in its commit at the base"},
	{mutant: numbersTwice, what: "give two saves of one owner the same number",
		why: "the nonces keep their objects apart, and only one of them can be newer than the last"},
}
