package checkpoint

import (
	"fmt"
	"math/rand/v2"
)

// simCast is who plays in a world.
type simCast struct {
	name  string
	roles []simRole
}

type simRole struct {
	name string
	play func(*simActor, *simProcess)
}

var (
	simOwner     = simRole{"owner", playOwner(false)}
	simLeader    = simRole{"coordinator", playOwner(true)}
	simOnce      = simRole{"saver", playOneShot(false)}
	simOnceLeads = simRole{"saver", playOneShot(true)}
	simWorker    = simRole{"worker", playWorker}
	simReader    = simRole{"reader", playReader}
	simTrimmer   = simRole{"trimmer", playTrimmer}
	simTagger    = simRole{"tagger", playTagger}
	simCollector = simRole{"collector", playCollector}
	simRemover   = simRole{"remover", playRemover}
	simLister    = simRole{"lister", playLister}
)

// simCasts are small, so that a seed gets deep into what few can do to each other.
var simCasts = []simCast{
	{"an owner at work", []simRole{simOwner, simCollector, simReader}},
	{"hand-over", []simRole{simOwner, simOwner, simCollector}},
	{"three owners", []simRole{simOwner, simOwner, simOwner, simTrimmer}},
	{"retention by others", []simRole{simOwner, simTrimmer, simCollector, simReader}},
	{"one-shot savers", []simRole{simOnce, simOnce, simCollector}},
	{"one-shot savers and a trimmer", []simRole{simOnce, simOnce, simTrimmer, simCollector}},
	{"owner and one-shot saver", []simRole{simOwner, simOnce, simCollector, simLister}},
	{"tags", []simRole{simOwner, simTagger, simTrimmer, simCollector}},
	{"removal", []simRole{simOwner, simRemover, simOnce, simCollector}},
	{"removal of an owned job", []simRole{simOwner, simOwner, simRemover, simReader}},
	{"workers", []simRole{simLeader, simWorker, simWorker, simCollector}},
	{"workers and a trimmer", []simRole{simLeader, simWorker, simTrimmer, simCollector}},
	{"workers, hand-over", []simRole{simLeader, simLeader, simWorker, simCollector}},
	{"workers of one-shot savers", []simRole{simOnceLeads, simOnceLeads, simWorker, simCollector}},
	{"readers", []simRole{simOwner, simReader, simReader, simTrimmer, simCollector}},
	{"everybody", []simRole{simOwner, simOnce, simTrimmer, simTagger, simRemover, simReader, simCollector, simLister}},
}

// newSimWorld casts the roles of a seed.
func newSimWorld(seed uint64, memory *simMemory) *simWorld {
	rng := rand.New(rand.NewPCG(seed, 1))
	cast := simCasts[seed%uint64(len(simCasts))]
	w := simEmptyWorld(seed, rng, memory)
	w.weather = []float64{0, 0.02, 0.08, 0.2}[rng.IntN(4)]
	w.log("%s, %.0f%% of requests disturbed", cast.name, 100*w.weather)
	for i, r := range cast.roles {
		name := r.name
		for _, other := range cast.roles[:i] {
			if other.name == r.name {
				name = fmt.Sprintf("%s%d", r.name, i)
			}
		}
		w.actors = append(w.actors, &simActor{w: w, name: name, rng: rand.New(rand.NewPCG(seed, uint64(2+i))), lives: 1 + rng.IntN(3), play: r.play})
	}
	w.reweigh()
	return w
}
