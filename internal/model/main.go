// Command model explores the commit protocol exhaustively within small bounds: every order in which its steps can happen, every request applied
// late, more than once or never, every reply lost, every actor stopped for ever anywhere. There is no clock in it, so nothing it shows depends on one.
//
//	go run ./internal/model          the worlds and the mutants, in half a minute
//	go run ./internal/model -v       with the shortest trace to each mutant's violation
//	go run ./internal/model -large   larger worlds too, in some minutes
//
// # What is modelled
//
// Owners acquire the job and save; a second save of one owner is under way at the same time; one-shot saves read HEAD and fold fence and commit into
// one write; a trimmer that owns nothing retires all but the newest and tagged; tags come and go; the job is removed and revived. All writers of HEAD share
// one loop (swap.go): send a compare-and-swap; if the answer is not yes, read HEAD; recognise the own write, or send the same again, or change
// the HEAD that was found by the same rules (rules.go), or stop.
//
// Collectors are not actors, because nothing bounds how many there are, what they read, and when. An object is doomed as soon as any HEAD
// so far allows its deletion; from then on it may be deleted at any time. In the small worlds every deletion is a step, and so is every late arrival of
// an upload, which brings a deleted object back. In the larger ones a doomed object counts as missing at once: the worst that collectors can do.
//
// Each save has two objects, data and manifest, named by (epoch, checkpoint) and a nonce. Its manifest refers to its own data and to the data of the
// newest checkpoint in the HEAD that it began from, but not to what that one refers to: so data outlives its own manifest, and is dropped in time.
//
// A worker (shares.go) saves a share of a checkpoint in another process: one object, named like the coordinator's save, with the base that it was assigned or that it reads in
// HEAD. It may die at any moment and be restarted in the same epoch, and join the same save again or another one, however old. Handles arrive at any coordinator at any later
// time, more than once or never. What a save took in is referred to by its manifest.
//
// A reader (readers.go) pins the newest checkpoint, or does not, and gets its objects one after the other. Any write of HEAD may drop all leases, because the writer's clock
// says that they have expired: the adversary is the clock.
//
// HEAD may be lost once, or be damaged and keep its version (repair.go). A repair reads it, lists the manifests, lists the packs, and writes a new HEAD on the condition that it is
// what was read; other owners, savers, collectors, readers and a second repair go on before, during and after. Where manifests contradict each other, the operator chooses right.
//
// # What is checked
//
// In every state: what HEAD refers to exists, is what the manifest means, and was never deletable before; a tag names a retained
// checkpoint; a removed job has none; a save that was reported ok was committed; one that was reported failed was not, and never will be. With
// every write of HEAD: commits go up in epoch and checkpoint; only the job's owner commits in its epoch; nothing but a removal drops the newest; a
// call to save or remove takes effect once. No epoch has two owners. A checkpoint holds only shares that were saved for it, one of each worker.
//
// A save may also be reported as of unknown fate, which promises nothing. When that is necessary is what rules.go's certain says.
//
// Readers: what a lease in HEAD names is retained, so it is there; nobody drops another's tag or lease, but for the clock, a removal and a repair; "damaged" is said of nothing that is
// not. Repair: what HEAD retained when it was lost is retained by the HEAD after, and stays whole, and so does whatever is saved later; the epoch is higher than any before. What a repair
// adopts beside that may be one that was reported failed, or may go missing: see docs/protocol.md.
//
// In the small worlds each actor is left alone in each state (alone.go): it comes to an end. And a new save could always be committed: no HEAD so far allows to collect its names.
//
// Every mutant (mutants.go) takes one guard away and has to be caught; for the few that nothing catches, the reason is given.
//
// # What bounds it
//
// Worlds have up to six actors, six saves and three shares (worlds.go). An actor leaves at most one abandoned request behind for one version of HEAD. An
// acquisition that was applied, overtaken before its sender knew, and sent again, may take the job again as often as its world says: nothing in the protocol
// bounds that, two acquisitions whose replies are all lost can overtake each other for ever.
//
// # What is not modelled
//
// A store that is restored to an older state. HEAD lost a second time. Bytes damaged by the store, but for HEAD's. That somebody gets through while others keep coming between: nothing in
// the protocol promises that to a single actor, only that whoever loses lost to somebody who got through.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
)

const (
	// limit bounds a search's states, and so its memory: 12 million take up to 1.6 GiB, most of it for the two levels at hand.
	limit      = 12_000_000
	memoryGoal = 1800 << 20
)

func main() {
	verbose := flag.Bool("v", false, "print the shortest trace to each violation")
	large := flag.Bool("large", false, "explore the larger worlds too")
	flag.Parse()
	debug.SetMemoryLimit(memoryGoal)

	ok := reportWorlds(*large)
	ok = reportMutants(*verbose) && ok
	if !ok {
		fmt.Println("FAILED")
		os.Exit(1)
	}
}

// reportWorlds explores the protocol as it is.
func reportWorlds(large bool) bool {
	ok := true
	fmt.Println("The protocol: no state may be broken.")
	for _, c := range worlds {
		if c.large && !large {
			continue
		}
		m := newModel(c, none)
		m.alone = isSmall(c)
		r := m.search(limit)
		verdict := "holds"
		switch {
		case r.broken != "":
			verdict, ok = "BROKEN: "+string(r.broken), false
		case !r.whole:
			verdict = "holds as far as explored"
		}
		fmt.Printf("  %-27s %9d states %10d edges %3d steps deep %6.1fs  %s\n", c.name, r.states, r.edges, r.depth, r.elapsed.Seconds(), verdict)
		fmt.Printf("      %s: %s\n", c.why, c.bounds())
		if r.broken != "" {
			m.printTrace(os.Stdout, r.trace)
		}
	}
	return ok
}

// reportMutants explores it without one guard at a time.
func reportMutants(verbose bool) bool {
	ok := true
	fmt.Println("\nMutants: each has to be caught, but for the last ones.")
	for _, t := range trials {
		states, good := 0, true
		verdict := "not caught in any small world, because " + t.why
		for _, c := range t.worlds() {
			m := t.model(c)
			r := m.search(limit)
			states += r.states
			if r.broken != "" {
				verdict = fmt.Sprintf("%d steps in %q: %s", len(r.trace), c.name, r.broken)
			}
			if r.broken != t.breaks || r.broken == "" && !r.whole {
				verdict, good = "UNEXPECTED: "+verdict, false
			}
			if r.broken != "" && (verbose || !good) {
				fmt.Printf("\n%s\n", t.what)
				m.printTrace(os.Stdout, r.trace)
			}
			if !good {
				break
			}
		}
		ok = ok && good
		fmt.Printf("  %-72s %7d states  %s\n", t.what, states, verdict)
	}
	return ok
}
