// Command states keeps the states that the save benchmark takes checkpoints of: it makes a database, changes a share of its rows, and leaves a snapshot.
//
//	states KIND DIR ROUND UPDATES ROWS
//
// ROUND 0 makes ROWS rows in DIR/live. Later rounds change 1 % of them: UPDATES is clustered (ten runs of neighbours) or uniform (at random). Each round leaves
// DIR/snapshot as the kind of state is copied by those who know it. It is built by itself so that no contender carries these databases.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// state is one kind of state.
type state interface {
	// put writes rows, in ascending order of their keys.
	put(rows []row) error
	// snapshot leaves a copy of the state in dir, which is empty, and closes the state.
	snapshot(dir string) error
}

var kinds = map[string]func(live string, total int) (state, error){
	"pebble": openPebble, "sqlite": openSQLite, "bbolt": openBolt, "dump": openDump, "deltas": openDeltas,
}

type row struct{ key, value []byte }

// valueSize makes rows of 192 bytes with their keys, half of which cannot be compressed.
const (
	valueSize = 176
	noiseSize = 80
)

// rowAt is a row as of a round.
func rowAt(i, round int) row {
	rng := rand.NewPCG(uint64(i), uint64(round))
	v := make([]byte, 0, valueSize+8)
	v = fmt.Appendf(v, `{"account":"%012d","round":%d,"status":"in transit","lines":[`, i*7919%1_000_003, round)
	for len(v) < valueSize-noiseSize {
		v = append(v, "1,2,3,5,8,13,21,"[len(v)%16])
	}
	for len(v) < valueSize {
		v = binary.LittleEndian.AppendUint64(v, rng.Uint64())
	}
	return row{fmt.Appendf(nil, "order/%010d", i), v[:valueSize]}
}

// changedShare of the rows is changed in a round.
const changedShare = 100

// changed are the numbers of the rows that a round changes, ascending.
func changed(round int, updates string, total int) ([]int, error) {
	rng := rand.New(rand.NewPCG(uint64(round), 1))
	n := max(1, total/changedShare)
	picked := map[int]bool{}
	switch updates {
	case "uniform":
		for len(picked) < n {
			picked[rng.IntN(total)] = true
		}
	case "clustered":
		for run := max(1, n/10); len(picked) < n; {
			from := rng.IntN(total)
			for i := from; i < min(from+run, total) && len(picked) < n; i++ {
				picked[i] = true
			}
		}
	default:
		return nil, fmt.Errorf("updates are clustered or uniform, not %q", updates)
	}
	rows := make([]int, 0, n)
	for i := range picked {
		rows = append(rows, i)
	}
	slices.Sort(rows)
	return rows, nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "states:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 5 || kinds[args[0]] == nil {
		return errors.New("usage: states KIND DIR ROUND UPDATES ROWS")
	}
	round, errRound := strconv.Atoi(args[2])
	total, errTotal := strconv.Atoi(args[4])
	if err := errors.Join(errRound, errTotal); err != nil {
		return err
	}
	live, copied := filepath.Join(args[1], "live"), filepath.Join(args[1], "snapshot")
	if err := errors.Join(os.MkdirAll(live, 0o755), os.RemoveAll(copied)); err != nil {
		return err
	}
	s, err := kinds[args[0]](live, total)
	if err != nil {
		return err
	}
	if err := fill(s, round, args[3], total); err != nil {
		return err
	}
	return s.snapshot(copied)
}

// batch is how many rows go into one transaction.
const batch = 20_000

func fill(s state, round int, updates string, total int) error {
	rows := make([]row, 0, batch)
	add := func(i int) error {
		if rows = append(rows, rowAt(i, round)); len(rows) < batch {
			return nil
		}
		err := s.put(rows)
		rows = rows[:0]
		return err
	}
	if round == 0 {
		for i := range total {
			if err := add(i); err != nil {
				return err
			}
		}
	} else {
		numbers, err := changed(round, updates, total)
		if err != nil {
			return err
		}
		for _, i := range numbers {
			if err := add(i); err != nil {
				return err
			}
		}
	}
	return s.put(rows)
}
