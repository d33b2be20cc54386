package main

import (
	"fmt"
	"strings"
)

// config is one bounded world.
type config struct {
	name string
	why  string // what this world is there to show
	cast []role
	// keepLast is the retention that every commit applies; 0 keeps all.
	keepLast int
	// fullToo lets every save that has a base choose to be a full one as well.
	fullToo bool
	// adversary replaces the collectors' single steps: an object that some collector may delete counts as missing at once, which is the worst that
	// collectors can do. Without it every deletion and every late arrival of an upload is a step of its own.
	adversary bool
	// retakes is how often an acquisition that was applied, superseded and not recognised may take the job again; nothing else bounds the epoch.
	retakes int
	// harm lets HEAD be lost or damaged, once.
	harm  bool
	large bool // takes longer than a test may
}

// bounds says what is in the world, in words.
func (c config) bounds() string {
	var out []string
	for _, r := range c.cast {
		switch r.kind {
		case owner, writer, oneShot:
			out = append(out, fmt.Sprintf("%s of %d", kindNames[r.kind], max(1, r.times)))
		case trimmer:
			out = append(out, fmt.Sprintf("%s, %d times", kindNames[r.kind], max(1, r.times)))
		case worker:
			out = append(out, fmt.Sprintf("%s of %d lives", kindNames[r.kind], max(1, r.times)))
		case taker:
			out = append(out, fmt.Sprintf("%s of %d", kindNames[r.kind], max(1, r.times)))
		default:
			out = append(out, kindNames[r.kind])
		}
	}
	if c.keepLast > 0 {
		out = append(out, fmt.Sprintf("commits keep %d", c.keepLast))
	}
	if c.fullToo {
		out = append(out, "incremental and full saves")
	}
	if c.retakes > 0 {
		out = append(out, "overtaken acquisitions try again")
	}
	if c.harm {
		out = append(out, "HEAD lost or damaged once")
	}
	if c.adversary {
		out = append(out, "collectors at their worst")
	}
	return strings.Join(out, ", ")
}

// role is one actor's part.
type role struct {
	kind  kind
	times int // saves of an owner or of a series of one-shot saves; rounds of a trimmer; lives of a worker
	of    int // of a second writer or a worker: the index of its owner
}

type kind uint8

const (
	owner    kind = iota // acquires the job, then saves
	writer               // a second save of an owner, under way at the same time
	oneShot              // saves without owning
	trimmer              // retires all but the newest and tagged, and is not the owner
	tagger               // tags the newest checkpoint, then untags it
	remover              // removes the job
	worker               // saves a share of another's checkpoint, and hands the coordinator a handle
	taker                // acquires the job, writes nothing and dies, again and again
	reader               // pins the newest checkpoint, reads it and releases it
	passer               // reads the newest checkpoint without a pin
	repairer             // writes HEAD anew when it is lost or damaged
)

var kindNames = [...]string{"owner", "writer", "oneshot", "trimmer", "tagger", "remover", "worker", "taker", "reader", "passer", "repair"}

// op is one operation of a script.
type op struct {
	kind opKind
	save int // of commit, saveOnce and repair; of join: the share; of acquire: the how-manieth of a taker
}

type opKind uint8

const (
	acquire opKind = iota
	commit
	saveOnce
	trim
	tag
	untag
	remove
	join
	pin
	read
	release
	repair
)

var opNames = [...]string{"acquire", "commit", "one-shot save", "retain", "tag", "untag", "remove", "share", "pin", "read", "release", "repair"}

// model is a config made ready to explore, with at most one guard broken.
type model struct {
	config
	mutant  mutant
	scripts [][]op
	names   []string
	saves   int
	savedBy [maxSaves]int // who makes each save
	shares  int
	workers [maxShares]int // whose share each is
	readers int
	reads   [maxActors]int // the number of an actor among the readers that pin
	// literal checks of a failed save only that it is not visible now or later; without it, that it never was.
	literal bool
	alone   bool  // leave each actor alone in each state, and see whether it comes to an end
	scratch state // what a successor is built in
}

func newModel(c config, m mutant) *model {
	out := &model{config: c, mutant: m}
	counts := map[kind]int{}
	for i, r := range c.cast {
		counts[r.kind]++
		out.names = append(out.names, fmt.Sprintf("%s%d", kindNames[r.kind], counts[r.kind]))
		var script []op
		saves := func(k opKind) {
			for range max(1, r.times) {
				script = append(script, op{k, out.saves})
				out.savedBy[out.saves] = i
				out.saves++
			}
		}
		switch r.kind {
		case owner:
			script = append(script, op{kind: acquire})
			saves(commit)
		case writer:
			saves(commit)
		case oneShot:
			saves(saveOnce)
		case trimmer:
			for range max(1, r.times) {
				script = append(script, op{kind: trim})
			}
		case taker:
			for n := range max(1, r.times) {
				script = append(script, op{acquire, n})
			}
		case reader:
			script = append(script, op{kind: pin}, op{kind: read}, op{kind: release})
			out.reads[i] = out.readers
			out.readers++
		case passer:
			script = append(script, op{kind: read})
		case repairer:
			saves(repair)
		case tagger:
			script = append(script, op{kind: tag}, op{kind: untag})
		case remover:
			script = append(script, op{kind: remove})
		case worker:
			for range max(1, r.times) {
				script = append(script, op{join, out.shares})
				out.workers[out.shares] = i
				out.shares++
			}
		}
		out.scripts = append(out.scripts, script)
	}
	if len(c.cast) > maxActors || out.saves > maxSaves || out.shares > maxShares || out.readers > maxReaders {
		panic("the configuration " + c.name + " is larger than the arrays of state")
	}
	return out
}

// current is the operation that an actor is at; false when its script has ended.
func (m *model) current(s *state, i int) (op, bool) {
	step := int(s.actors[i].step)
	if step >= len(m.scripts[i]) {
		return op{}, false
	}
	return m.scripts[i][step], true
}

// ownerOf is the actor whose ownership actor i writes under.
func (m *model) ownerOf(i int) int {
	if m.cast[i].kind == writer {
		return m.cast[i].of
	}
	return i
}

// mayStart breaks a symmetry: of several actors with the same part, the first in the cast is the first to start.
func (m *model) mayStart(s *state, i int) bool {
	if s.actors[i].step > 0 || i == 0 || m.cast[i-1] != m.cast[i] {
		return true
	}
	return s.actors[i-1].step > 0 || s.actors[i-1].phase != idle
}

// The nonces that fences carry: one for each taking of the job.
func (m *model) fenceOf(i int, o op) uint8 {
	switch o.kind {
	case saveOnce:
		return uint8(16 + o.save)
	case remove:
		return uint8(32 + i)
	case repair:
		return uint8(48 + i)
	}
	return uint8(1 + i + 64*o.save) // an owner acquires once, a taker up to three times
}
