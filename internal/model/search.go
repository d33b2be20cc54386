package main

import (
	"hash/maphash"
	"time"
)

// outcome is what a search found.
type outcome struct {
	states  int
	edges   int
	depth   int
	whole   bool // every reachable state was visited, none of them broken
	broken  violation
	trace   []step // the shortest way there
	elapsed time.Duration
	seen    coverage
}

// coverage is what happened at all: a search in which a save never ended in each of its ways shows little.
type coverage struct {
	acts    [acts]int
	results [unknown + 1]int
}

// search visits every reachable state, nearest first, until one is broken or limit states were visited.
//
// A visited state is remembered by a 64-bit hash. Two states with one hash would hide what lies behind the second; with
// 10 million states the chance that there is such a pair at all is 3 in a million.
func (m *model) search(limit int) outcome {
	var (
		start   = time.Now()
		out     outcome
		seed    = maphash.MakeSeed()
		visited = make(map[uint64]struct{})
		parents []uint32 // by state in the order of discovery
		steps   []step
	)
	add := func(s *state, parent int, via step) bool {
		m.reduce(s)
		h := maphash.Comparable(seed, *s)
		if _, ok := visited[h]; ok {
			return false
		}
		visited[h] = struct{}{}
		parents, steps = append(parents, uint32(parent)), append(steps, via)
		return true
	}
	finish := func(broken violation, before int, last step) outcome {
		out.states, out.broken, out.whole, out.elapsed = len(parents), broken, broken == "" && len(parents) < limit, time.Since(start)
		if broken != "" {
			for n := before; n > 0; n = int(parents[n]) {
				out.trace = append([]step{steps[n]}, out.trace...)
			}
			out.trace = append(out.trace, last)
		}
		return out
	}

	var first state
	add(&first, 0, step{})
	level, base := queue{}, 0
	level.push(&first)
	for level.n > 0 {
		var next queue
		var broken violation
		var where int
		var last step
		for n := range level.n {
			m.successors(level.at(n), func(via step, s *state, b violation) {
				out.edges++
				out.seen.acts[via.act]++
				if broken != "" {
					return
				}
				if b == "" {
					b = m.checkState(s)
				}
				if b == "" && m.alone {
					kept := *s
					b, s = m.checkAlone(&kept), &kept
				}
				if b != "" {
					broken, where, last = b, base+n, via
					return
				}
				if !add(s, base+n, via) {
					return
				}
				for k := range m.saves {
					out.seen.results[s.saves[k].result]++
				}
				next.push(s)
			})
			if broken != "" {
				return finish(broken, where, last)
			}
			if len(parents) >= limit {
				return finish("", 0, step{})
			}
		}
		base += level.n
		level = next
		out.depth++
	}
	return finish("", 0, step{})
}

// queue holds the states of one level in pieces, which are given back as soon as they were read: the two levels at hand are most of a search's memory.
type queue struct {
	pieces [][]state
	n      int
}

const pieceSize = 4096

func (q *queue) push(s *state) {
	if q.n%pieceSize == 0 {
		q.pieces = append(q.pieces, make([]state, 0, pieceSize))
	}
	last := &q.pieces[len(q.pieces)-1]
	*last = append(*last, *s)
	q.n++
}

// at returns the states in order, each once.
func (q *queue) at(n int) *state {
	if n%pieceSize == 0 && n > 0 {
		q.pieces[n/pieceSize-1] = nil
	}
	return &q.pieces[n/pieceSize][n%pieceSize]
}
