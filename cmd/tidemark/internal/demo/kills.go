package demo

import (
	"math/rand/v2"
	"slices"
	"time"
)

// moment is when a worker is killed.
type moment int

const (
	atAnyTime       moment = iota
	beforeCommit           // a commit was sent, and the store has not seen it
	afterCommit            // the store has carried the commit out, and the worker does not know
	whileCommitting        // a commit is under way; a store that is not embedded does not tell how far it is
)

func (m moment) String() string {
	switch m {
	case beforeCommit:
		return "during a commit, before the store saw it"
	case afterCommit:
		return "during a commit, after the store had it and before the worker knew"
	case whileCommitting:
		return "during a commit"
	}
	return "at a random moment"
}

// kill is one planned SIGKILL.
type kill struct {
	after uint64        // records done
	delay time.Duration // from then on: where the records alone would always hit the same spot of the worker's loop
	at    moment
}

const (
	// The stretch of the job in which workers are killed, in shares of the records: not before there can be a checkpoint, and
	// while there is still something to do.
	firstKill, lastKill = 0.15, 0.9

	maxDelay = 150 * time.Millisecond
	// commitTime is about how long a commit takes on a store over a network.
	commitTime = 250 * time.Millisecond
)

// planKills spreads n kills over the job, one in each of n equal stretches. The first drawn is during a commit, and where there are
// several, another one is at the commit's other side. The rest is at any time.
func planKills(random *rand.Rand, n int, records uint64, embedded bool) []kill {
	plan := make([]kill, n)
	for i := range plan {
		share := firstKill + (lastKill-firstKill)*(float64(i)+random.Float64())/float64(n)
		plan[i] = kill{after: uint64(share * float64(records)), delay: time.Duration(random.Int64N(int64(maxDelay)))}
	}
	sides := []moment{beforeCommit, afterCommit}
	if random.IntN(2) == 0 {
		slices.Reverse(sides)
	}
	order := random.Perm(n)
	for i, k := range order[:min(n, 1+n/3)] {
		plan[k].at = sides[i%len(sides)]
		if !embedded {
			plan[k].at = whileCommitting
			plan[k].delay = time.Duration(random.Int64N(int64(commitTime)))
		}
	}
	return plan
}

func commitKills(plan []kill) (n int) {
	for _, k := range plan {
		if k.at != atAnyTime {
			n++
		}
	}
	return n
}
