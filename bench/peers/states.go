package main

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/tidemark-go/tidemark/bench"
)

// rowBytes is what a row of the program states takes before its database has added its own.
const rowBytes = 192

// states are kinds of state that jobs have; the program of that name keeps them.
func states() []bench.State {
	var all []bench.State
	for _, s := range []struct{ name, about string }{
		{"pebble", "Pebble: DisableWAL, L0CompactionThreshold 8, LBaseMaxBytes 8 MiB; Flush and Checkpoint"},
		{"sqlite", "SQLite: a table WITHOUT ROWID; a copy of the file with its log in it"},
		{"bbolt", "bbolt: one bucket; a copy by a transaction"},
		{"dump", "a map in memory, written out whole in the order of its keys; changed rows grow"},
		{"deltas", "a map in memory that knows which keys changed: a base, and a file of changed rows each time"},
	} {
		all = append(all, bench.State{
			Name: s.name, About: s.about,
			Find: func(ctx context.Context, tools string) (string, error) {
				return "", build(ctx, "states", filepath.Join(tools, "states"))
			},
			Command: func(tools, dir string, round int, updates string, size int64) bench.Command {
				return bench.Command{Args: []string{filepath.Join(tools, "states"), s.name, dir, strconv.Itoa(round), updates, strconv.FormatInt(size/rowBytes, 10)}}
			},
		})
	}
	return all
}
