package main

import "slices"

// Small worlds, in which every step of a collector and every late arrival is a step of its own. The mutants are tried in them.
var (
	oneOwner = config{
		name: "one owner", why: "saves one after the other, with unknown outcomes and abandoned requests",
		cast: []role{{kind: owner, times: 2}}, keepLast: 1,
	}
	handOver = config{
		name: "hand-over", why: "an owner that is taken over comes back from a pause",
		cast: []role{{kind: owner, times: 2}, {kind: owner, times: 1}}, keepLast: 1,
	}
	trimmed = config{
		name: "trimmed", why: "somebody else retires the base of a save under way",
		cast: []role{{kind: owner, times: 3}, {kind: trimmer, times: 1}}, fullToo: true,
	}
	twoWriters = config{
		name: "two saves at once", why: "an owner's newer save overtakes its older one",
		cast: []role{{kind: owner, times: 1}, {kind: writer, times: 1, of: 0}, {kind: owner, times: 1}}, keepLast: 1,
	}
	oneShots = config{
		name: "one-shot saves", why: "cron jobs that overlap, and try again",
		cast: []role{{kind: oneShot, times: 2}, {kind: oneShot, times: 1}}, keepLast: 1, fullToo: true,
	}
	mixed = config{
		name: "owners and a one-shot save", why: "a command beside running jobs",
		cast: []role{{kind: owner, times: 1}, {kind: owner, times: 1}, {kind: oneShot, times: 1}}, keepLast: 1,
	}
	tagged = config{
		name: "tagged", why: "tags come and go between a save's start and its commit",
		cast: []role{{kind: oneShot, times: 2}, {kind: tagger}, {kind: trimmer, times: 1}}, keepLast: 1, fullToo: true,
	}
	taggedTwice = config{
		name: "tagged twice", why: "two give the same tag, and take it away",
		cast: []role{{kind: oneShot, times: 2}, {kind: tagger}, {kind: tagger}}, fullToo: true,
	}
	retaken = config{
		name: "taken twice", why: "an acquisition that is applied, overtaken and applied again",
		cast: []role{{kind: owner, times: 1}, {kind: owner, times: 1}, {kind: oneShot, times: 1}}, retakes: 1,
	}
	removal = config{
		name: "removal", why: "a job is removed under its owner and revived by another, or by the same",
		cast: []role{{kind: owner, times: 1}, {kind: remover}, {kind: owner, times: 1}}, keepLast: 1, retakes: 1,
	}

	// With workers. The first role is the coordinator.
	workersAtWork = config{
		name: "workers", why: "a worker dies and is restarted inside an epoch; handles come late, twice and never",
		cast: []role{{kind: owner, times: 2}, {kind: worker, times: 2}}, keepLast: 1,
	}
	workersOvertaken = config{
		name: "workers, overtaken", why: "a checkpoint is given up or overtaken while its workers go on",
		cast: []role{{kind: owner, times: 3}, {kind: worker, times: 1}}, keepLast: 1,
	}
	workersHandOver = config{
		name: "workers, hand-over", why: "workers of an owner that is taken over go on",
		cast: []role{{kind: owner, times: 1}, {kind: worker, times: 2}, {kind: owner, times: 1}}, keepLast: 1,
	}
	workersOneShot = config{
		name: "workers of one-shot saves", why: "two coordinators name their objects alike, but for the fence",
		cast: []role{{kind: oneShot, times: 1}, {kind: worker, times: 1}, {kind: oneShot, times: 1}, {kind: worker, times: 1, of: 2}}, keepLast: 1,
	}
	workersTrimmed = config{
		name: "workers, trimmed", why: "somebody else retires the base of a share",
		cast: []role{{kind: owner, times: 3}, {kind: worker, times: 1}, {kind: trimmer, times: 1}}, fullToo: true,
	}
)

// small are the worlds that mutants are tried in which nothing is expected to catch.
var small = []config{oneOwner, handOver, trimmed, twoWriters, oneShots, mixed, tagged, taggedTwice, retaken, removal,
	workersAtWork, workersOvertaken, workersHandOver, workersOneShot, workersTrimmed, readers, headLostOwner, headLostTagged}

// isSmall: in these worlds each actor is left alone in each state as well.
func isSmall(c config) bool {
	return slices.ContainsFunc(small, func(s config) bool { return s.name == c.name })
}

// worlds are all of them: the small ones, then larger ones, most with collectors at their worst.
var worlds = slices.Concat(small, []config{leases, readersOfRemoved, headLost, headLostCron, headLostTaken}, grown, harmed)

var grown = []config{
	{
		name: "three owners", why: "two hand-overs under retention and a trimmer",
		cast:     []role{{kind: owner, times: 2}, {kind: owner, times: 1}, {kind: owner, times: 1}, {kind: trimmer, times: 2}},
		keepLast: 2, adversary: true, retakes: 1,
	},
	{
		name: "cron", why: "one-shot saves against each other, an owner and a trimmer",
		cast:     []role{{kind: oneShot, times: 2}, {kind: oneShot, times: 2}, {kind: owner, times: 2}, {kind: trimmer, times: 1}},
		keepLast: 1, adversary: true,
	},
	{
		name: "removal at work", why: "a job is removed under two saves of one owner, and revived by another and by a one-shot save",
		cast:     []role{{kind: owner, times: 1}, {kind: writer, times: 1, of: 0}, {kind: owner, times: 1}, {kind: remover}, {kind: oneShot, times: 1}},
		keepLast: 1, adversary: true,
	},
	{
		name: "everybody", why: "all kinds of writers of HEAD at once",
		cast:     []role{{kind: owner, times: 1}, {kind: owner, times: 1}, {kind: oneShot, times: 1}, {kind: trimmer, times: 1}, {kind: tagger}, {kind: remover}},
		keepLast: 2, adversary: true,
	},
	{
		name: "two workers", why: "each restarted or slow, under two saves of one owner, and taken over",
		cast:     []role{{kind: owner, times: 1}, {kind: writer, times: 1, of: 0}, {kind: worker, times: 2}, {kind: worker, times: 1}, {kind: owner, times: 1}},
		keepLast: 1, adversary: true, large: true,
	},
	{
		name: "workers, all steps", why: "a worker of two lives under three saves, with every deletion and every late arrival", large: true,
		cast: []role{{kind: owner, times: 3}, {kind: worker, times: 2}}, keepLast: 1,
	},
	{
		name: "workers at work", why: "two long owners, a restarted worker and a trimmer", large: true,
		cast:     []role{{kind: owner, times: 2}, {kind: owner, times: 2}, {kind: worker, times: 2}, {kind: trimmer, times: 1}},
		keepLast: 1, adversary: true, fullToo: true,
	},
	{
		name: "everybody, longer", why: "the same with a second save", large: true,
		cast:     []role{{kind: owner, times: 2}, {kind: owner, times: 1}, {kind: oneShot, times: 1}, {kind: trimmer, times: 1}, {kind: tagger}, {kind: remover}},
		keepLast: 1, adversary: true,
	},
	{
		name: "two long owners", why: "many saves with a choice of bases, retention by two, and tags", large: true,
		cast:     []role{{kind: owner, times: 2}, {kind: owner, times: 2}, {kind: trimmer, times: 1}, {kind: tagger}},
		keepLast: 2, adversary: true, fullToo: true,
	},
	{
		name: "three long owners", why: "two hand-overs, with saves of two owners under way at once", large: true,
		cast:     []role{{kind: owner, times: 2}, {kind: owner, times: 2}, {kind: owner, times: 2}, {kind: trimmer, times: 1}},
		keepLast: 1, adversary: true,
	},
	{
		name: "one-shot saves, all steps", why: "with every deletion and every late arrival", large: true,
		cast: []role{{kind: oneShot, times: 2}, {kind: oneShot, times: 2}, {kind: trimmer, times: 1}}, keepLast: 1, fullToo: true,
	},
	{
		name: "owners and one-shot saves, all steps", why: "with every deletion and every late arrival", large: true,
		cast: []role{{kind: owner, times: 1}, {kind: owner, times: 1}, {kind: oneShot, times: 2}}, keepLast: 1, retakes: 1,
	},
}
