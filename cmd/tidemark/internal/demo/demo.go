// Package demo is the main job behind `tidemark demo`: a stateful stream job that checkpoints through the real token path, is
// killed again and again, and in the end has to know exactly what a run that was never killed knows.
//
// Run is the parent: it holds what outlives a worker (broker, metadata server, object store), starts workers, kills them, and
// compares. Worker is the job, in a process of its own. Everything listens on loopback, and is gone when Run returns.
package demo

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

const (
	defaultPace     = 15 * time.Second // long enough for kills and checkpoints to be watched, short enough to be watched to the end
	defaultInterval = 400 * time.Millisecond

	// recordsPerKill is what a kill needs around it: a checkpoint before and something left to do after.
	recordsPerKill = 20

	// maxFetches is what the token cache promises for one life of a token.
	maxFetches = 6
)

// Options say what is shown. The zero value, and nil, are the embedded data and storage, and no kill.
type Options struct {
	Input   string // file of CSV or JSON lines; "" for the embedded one
	Kills   int    // how often a worker is killed
	Storage string // StorageTidemark (default) or StorageFakeGCS; not with Store
	Store   string // URL of a real store, in place of everything embedded but the broker
	Seed    uint64 // of the kills; 0 for another one each time

	Pace     time.Duration // how long the job would take if nothing happened; default 15 s
	Interval time.Duration // between checkpoints; default 400 ms

	WorkerArgs []string  // arguments with which this program calls Worker
	Log        io.Writer // where the story is told; nil for nowhere
	Quiet      bool      // tell only how it ended
	Colour     bool      // Log is a terminal that shows colours
}

// Result is what came of it.
type Result struct {
	OK          bool   `json:"ok"` // exactly once, every kill done and restored from, tokens within the promise
	Records     int    `json:"records"`
	Checkpoints int    `json:"checkpoints"`
	Kills       int    `json:"kills"`
	CommitKills int    `json:"commit_kills"` // of them during a commit
	Restores    int    `json:"restores"`
	Replayed    uint64 `json:"replayed"` // records done again after restores, as far as killed workers had told
	ExactlyOnce bool   `json:"exactly_once"`

	// Fetches that the metadata server answered; lives counts each token once for every process that used it, since a cache
	// ends with its process. Both are 0 with a store of the user's own, where nobody counts.
	TokenFetches int `json:"token_fetches"`
	TokenLives   int `json:"token_lives"`
	MostFetches  int `json:"most_fetches_per_life"`
	Clients      int `json:"clients"` // storage clients, in all processes
	Workers      int `json:"workers"` // processes

	Bytes       int64 `json:"bytes"`        // of all checkpoints
	NewBytes    int64 `json:"new_bytes"`    // that the checkpoint before did not have
	StoredBytes int64 `json:"stored_bytes"` // after compression

	State           summary  `json:"state"`
	Digest          string   `json:"digest"` // SHA-256 of the final state: in the last worker,
	RestoredDigest  string   `json:"restored_digest"`
	ReferenceDigest string   `json:"reference_digest"`
	Seconds         float64  `json:"seconds"`
	Seed            uint64   `json:"seed"`
	Storage         string   `json:"storage"`
	Credentials     string   `json:"credentials"` // where the workers' tokens came from
	Job             string   `json:"job"`
	Remove          string   `json:"remove,omitempty"` // how to remove what stays in the store
	Problems        []string `json:"problems"`

	counted bool // the token figures are
}

// Run shows the job. The error is about what could not be tried; a job that was tried and is wrong is a Result that is not OK.
func Run(ctx context.Context, opts *Options) (result *Result, err error) {
	o, err := withDefaults(opts)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	data, err := loadDataset(o.Input)
	if err != nil {
		return nil, err
	}
	if need := recordsPerKill * (o.Kills + 1); len(data.records) < need {
		return nil, &InputError{File: cmp.Or(o.Input, data.name), Err: fmt.Errorf("%s; %s need at least %d", counted(len(data.records), "record"), counted(o.Kills, "kill"), need)}
	}
	columns, err := schemaOf(data)
	if err != nil {
		return nil, err
	}

	dir, err := os.MkdirTemp("", "tidemark-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	place, err := openPlace(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, place.close()) }()

	broker, err := startBroker(filepath.Join(dir, "broker"))
	if err != nil {
		return nil, err
	}
	defer broker.close()
	publishing := time.Now()
	if err := broker.publish(ctx, data.records); err != nil {
		return nil, err
	}
	published := time.Since(publishing)

	random := rand.New(rand.NewPCG(o.Seed, 0))
	s := &supervisor{
		job: assignment{
			Store: place.store, Job: place.job, Broker: broker.address(), Schema: columns, Records: uint64(len(data.records)),
			Rate: float64(len(data.records)) / o.Pace.Seconds(), Interval: o.Interval,
			Live: filepath.Join(dir, "live.txt"), Restored: filepath.Join(dir, "restored.txt"),
		},
		args: o.WorkerArgs, env: place.env, dir: dir, cloud: place.cloud,
		plan:   planKills(random, o.Kills, uint64(len(data.records)), place.cloud != nil),
		screen: &screen{out: o.Log, quiet: o.Quiet, colour: o.Colour, elapsed: func() time.Duration { return time.Since(began) }},
	}
	s.screen.header(scene{
		records: len(data.records), name: data.name, about: data.about, storage: place.about, tokens: place.tokens, job: columns.String(),
		kills: o.Kills, commitKills: commitKills(s.plan), seed: o.Seed, interval: o.Interval, publish: published,
	})
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	r, err := s.compare(ctx, dir)
	if err != nil {
		return nil, err
	}
	r.Seed, r.Storage, r.Job, r.Remove, r.Seconds = o.Seed, place.name, place.job, place.remove, time.Since(began).Seconds()
	s.screen.verdict(r)
	return r, s.screen.err
}

func withDefaults(opts *Options) (*Options, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Storage = cmp.Or(o.Storage, StorageTidemark)
	o.Pace = cmp.Or(o.Pace, defaultPace)
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	o.Log = cmp.Or(o.Log, io.Discard)
	for o.Seed == 0 {
		var b [4]byte // short enough to be typed again
		_, _ = crand.Read(b[:])
		o.Seed = uint64(binary.BigEndian.Uint32(b[:]))
	}
	invalid := func(hint, format string, args ...any) (*Options, error) {
		return nil, &checkpoint.Error{Kind: checkpoint.ErrInvalid, Op: "demo", Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case o.Kills < 0:
		return invalid("0 kills nobody", "%d kills", o.Kills)
	case o.Storage != StorageTidemark && o.Storage != StorageFakeGCS:
		return invalid("there are "+StorageTidemark+" and "+StorageFakeGCS, "no storage server %q", o.Storage)
	case strings.HasPrefix(o.Store, "mem:"):
		return invalid("use file:///dir, or leave it out for the embedded storage server", "a mem:// store lives in one process, and the demo kills processes")
	}
	return &o, nil
}
