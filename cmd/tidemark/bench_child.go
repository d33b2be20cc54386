package main

import "github.com/tidemark-go/tidemark/bench"

// The save benchmark starts its own program, whichever that is, again for the store and for each contender: it may be the tests' too.
func init() { bench.Child(bench.Savers()) }
