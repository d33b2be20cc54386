package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
)

// roleVariable tells a child process of the benchmark from an ordinary run of the same program.
const roleVariable = "TIDEMARK_BENCH_ROLE"

const (
	roleServer = "server" // the store that everybody saves to
	roleSaver  = "saver"  // a contender that is a library

	roleSoakCloud = "soak-cloud" // the store of the soak, and all that goes wrong in it
	roleSoakJobs  = "soak-jobs"  // the jobs of the soak
)

// Child does the work of a child process and exits, if this process was started as one by [RunSave] or [RunSoak]; else it returns at once. A program that calls one of them
// calls it before anything else, with every contender that it may name.
func Child(savers []Saver) {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	// An interrupt reaches the whole group of processes. The parent ends its children by closing their input.
	signal.Ignore(os.Interrupt)
	var err error
	switch role {
	case roleServer:
		err = serveStore(os.Stdin, os.Stdout)
	case roleSaver:
		err = serveSaver(savers, os.Stdin, os.Stdout)
	case roleSoakCloud:
		err = serveSoakCloud(os.Stdin, os.Stdout)
	case roleSoakJobs:
		err = serveSoakJobs(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("bench: there is no role %q", role)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// order is what a saver's process is told in a line.
type order struct {
	Saver   string `json:"saver"`
	Place   Place  `json:"place"`
	Verb    string `json:"verb"` // open, save, restore, commit or latest
	Dir     string `json:"dir"`
	Count   int    `json:"count,omitempty"`   // of commits, 0: one; of checkpoints to keep, 0: all
	Tag     string `json:"tag,omitempty"`     // for the first of them
	Profile string `json:"profile,omitempty"` // file for a CPU profile

	Shares *shares `json:"shares,omitempty"` // to a crew
}

// answer is its reply.
type answer struct {
	Error   string  `json:"error,omitempty"`
	Outcome Outcome `json:"outcome"`
	Memory  memory  `json:"memory"`
	CPU     cpu     `json:"cpu"`              // of this order alone
	Handle  []byte  `json:"handle,omitempty"` // of a crew: an assignment, or a handle
}

// memory is what a process holds, in bytes, as Linux tells it; zero elsewhere.
type memory struct {
	Peak int64 `json:"peak"`
	Anon int64 `json:"anon"` // at the end: what it allocated
	File int64 `json:"file"` // at the end: its program, and files that it mapped
}

// serveSaver carries out orders until its input ends. Between orders the session stays open, as in a job that goes on.
func serveSaver(savers []Saver, in io.Reader, out io.Writer) (err error) {
	ctx := context.Background()
	var session Session
	defer func() {
		if session != nil {
			err = errors.Join(err, session.Close())
		}
	}()
	orders, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("bench: read an order: %w", err)
		}
		before := ownCPU()
		a, err := carryOut(ctx, savers, o, &session)
		if err != nil {
			a.Error = err.Error()
		}
		a.CPU = ownCPU().minus(before)
		a.Memory = ownMemory("self")
		resetPeak()
		if err := enc.Encode(a); err != nil {
			return fmt.Errorf("bench: answer: %w", err)
		}
	}
}

func carryOut(ctx context.Context, savers []Saver, o order, session *Session) (a answer, err error) {
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return a, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return a, errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	i := indexOfSaver(savers, o.Saver)
	if i < 0 || savers[i].Open == nil {
		return a, fmt.Errorf("bench: this process has no contender %q", o.Saver)
	}
	if o.Verb == VerbPrepare {
		return a, savers[i].Prepare(ctx, o.Place)
	}
	if *session == nil {
		if *session, err = savers[i].Open(ctx, o.Place); err != nil {
			return a, err
		}
	}
	switch o.Verb {
	case verbOpen:
		return a, nil
	case VerbSave:
		a.Outcome, err = (*session).Save(ctx, o.Dir)
		return a, err
	case VerbRestore:
		a.Outcome, err = (*session).Restore(ctx, o.Dir)
		return a, err
	case verbOwn, verbCommit, verbFill, verbLatest:
		if h, ok := (*session).(historian); ok {
			return a, makeHistory(ctx, h, o)
		}
	case verbBegin, verbShare, verbGather:
		if c, ok := (*session).(crew); ok {
			return a, carryOutShares(ctx, c, o, &a)
		}
	}
	return a, fmt.Errorf("bench: there is no order %q", o.Verb)
}

func makeHistory(ctx context.Context, h historian, o order) error {
	switch o.Verb {
	case verbOwn:
		return h.Own(ctx, o.Count)
	case verbCommit:
		return h.Commit(ctx, max(o.Count, 1), o.Tag)
	case verbFill:
		return h.Fill(ctx, o.Count)
	}
	return h.Latest(ctx)
}

// ownMemory reads a process's status file; "self" is this process.
func ownMemory(pid string) memory {
	f, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		return memory{}
	}
	defer func() { _ = f.Close() }()
	var m memory
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "VmHWM":
			m.Peak = n << 10
		case "RssAnon":
			m.Anon = n << 10
		case "RssFile", "RssShmem":
			m.File += n << 10
		}
	}
	return m
}

// resetPeak starts the peak of this process's memory anew, where that is possible.
func resetPeak() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}
