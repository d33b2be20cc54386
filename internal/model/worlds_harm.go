package main

// Worlds with readers, and worlds in which HEAD is lost.
var (
	readers = config{
		name: "readers", why: "with and without a lease, while others commit and retire; leases expire at the worst moment",
		cast: []role{{kind: oneShot, times: 2}, {kind: reader}, {kind: passer}}, keepLast: 1,
	}
	leases = config{
		name: "leases", why: "two readers pin one checkpoint or two, and a trimmer is about",
		cast: []role{{kind: oneShot, times: 2}, {kind: reader}, {kind: reader}, {kind: trimmer, times: 1}},
	}
	readersOfRemoved = config{
		name: "readers of a removed job", why: "a job is removed under its readers and revived",
		cast: []role{{kind: oneShot, times: 2}, {kind: reader}, {kind: passer}, {kind: remover}}, keepLast: 1,
	}
	headLost = config{
		name: "HEAD lost", why: "under an owner and cron jobs that go on, and repaired by two at once",
		cast: []role{{kind: owner, times: 1}, {kind: oneShot, times: 1}, {kind: repairer}, {kind: repairer}}, keepLast: 1, harm: true,
	}
	headLostCron = config{
		name: "HEAD lost, cron", why: "beside saves that failed and left whole manifests of one number",
		cast: []role{{kind: oneShot, times: 2}, {kind: oneShot, times: 1}, {kind: repairer}}, keepLast: 1, harm: true, fullToo: true,
	}
	headLostOwner = config{
		name: "HEAD lost, one owner", why: "that goes on as if nothing had happened",
		cast: []role{{kind: owner, times: 2}, {kind: repairer}}, keepLast: 1, harm: true,
	}
	headLostTagged = config{
		name: "HEAD lost, tags", why: "with a tag and a lease in it",
		cast: []role{{kind: oneShot, times: 2}, {kind: tagger}, {kind: trimmer, times: 1}, {kind: repairer}}, harm: true,
	}
	headLostTaken = config{
		name: "HEAD lost, nameless epochs", why: "after owners that took the job and wrote nothing",
		cast: []role{{kind: owner, times: 1}, {kind: taker, times: 2}, {kind: repairer}, {kind: oneShot, times: 1}}, keepLast: 1, harm: true, adversary: true,
	}
)

// harmed are larger ones.
var harmed = []config{
	{
		name: "HEAD lost at work", why: "under an owner, a cron job and a trimmer, repaired by two at once",
		cast:     []role{{kind: owner, times: 2}, {kind: oneShot, times: 1}, {kind: trimmer, times: 1}, {kind: repairer}, {kind: repairer}},
		keepLast: 1, harm: true, adversary: true, large: true,
	},
	{
		name: "HEAD lost, workers", why: "while a worker dies and is restarted",
		cast:     []role{{kind: owner, times: 1}, {kind: worker, times: 2}, {kind: oneShot, times: 1}, {kind: repairer}},
		keepLast: 1, harm: true, adversary: true,
	},
	{
		name: "HEAD lost, readers", why: "while a reader holds a lease",
		cast:     []role{{kind: owner, times: 1}, {kind: oneShot, times: 2}, {kind: reader}, {kind: repairer}},
		keepLast: 1, harm: true, adversary: true, large: true,
	},
	{
		name: "HEAD lost, removal", why: "before, during and after a removal, with two owners",
		cast:     []role{{kind: owner, times: 1}, {kind: owner, times: 1}, {kind: oneShot, times: 1}, {kind: remover}, {kind: repairer}},
		keepLast: 1, harm: true, adversary: true, large: true,
	},
	{
		name: "readers at work", why: "with and without a lease, under a hand-over and a trimmer",
		cast:     []role{{kind: owner, times: 2}, {kind: owner, times: 1}, {kind: reader}, {kind: passer}, {kind: trimmer, times: 1}},
		keepLast: 1, adversary: true, large: true,
	},
}
