package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// screen tells the story as it goes, for people.
type screen struct {
	out     io.Writer
	quiet   bool // only the verdict
	colour  bool
	elapsed func() time.Duration // since the demo began
	err     error                // the first write that failed; the story ends there
}

func (s *screen) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.out, format, args...)
	}
}

// Colours are for what a person looks for: where it hurt and where it healed.
const (
	red   = "31"
	green = "32"
	bold  = "1"
	plain = ""
)

func (s *screen) paint(colour, text string) string {
	if !s.colour || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line is one event: when, after how many records, what.
func (s *screen) line(records uint64, colour, format string, args ...any) {
	if s.quiet {
		return
	}
	s.printf("%7.1f  %9s  %s\n", s.elapsed().Seconds(), grouped(records), s.paint(colour, fmt.Sprintf(format, args...)))
}

// scene is what the header says.
type scene struct {
	records              int
	name, about          string
	storage, tokens, job string
	kills, commitKills   int
	seed                 uint64
	interval, publish    time.Duration
}

func (s *screen) header(c scene) {
	if s.quiet {
		return
	}
	s.printf("%s\n", s.paint(bold, fmt.Sprintf("A stream job that is killed %s, and what its checkpoints make of that", times(c.kills))))
	s.printf("  data      %s records of %s", grouped(uint64(c.records)), c.name)
	if c.about != "" {
		s.printf(": %s", c.about)
	}
	s.printf("\n  broker    embedded NATS JetStream, every write synced; all records published in %.1f s\n", c.publish.Seconds())
	s.printf("  storage   %s\n", c.storage)
	s.printf("  tokens    %s\n", c.tokens)
	s.printf("  job       %s;\n            in a bbolt database and a map, saved every %s with the position in the stream\n", c.job, milliseconds(c.interval))
	s.printf("  plan      %s, %d during a commit; --seed %d repeats it\n\n", counted(c.kills, "kill"), c.commitKills, c.seed)
	s.printf("%7s  %9s\n", "seconds", "records")
}

func (s *screen) started(worker, pid int) {
	s.line(0, plain, "worker %d (process %d) owns the job; no checkpoint yet, it starts from nothing", worker, pid)
}

func (s *screen) restored(worker int, e event, again uint64, unknown bool) {
	s.line(e.Sequence, green, "worker %d owns the job, epoch %d; restored checkpoint %d, %s in %s; %s records to do again", worker, e.Epoch, e.Checkpoint,
		size(e.Bytes), milliseconds(e.Took), grouped(again))
	if unknown {
		s.line(e.Sequence, green, "  (checkpoint %d is the one whose commit the killed worker never heard of)", e.Checkpoint)
	}
}

func (s *screen) committed(e event) {
	s.line(e.Sequence, plain, "checkpoint %-3d %10s, %10s new, %7s", e.Checkpoint, size(e.Bytes), size(e.NewBytes), milliseconds(e.Took))
}

func (s *screen) killed(worker int, records uint64, at moment) {
	s.line(records, red, "SIGKILL to worker %d %s", worker, at)
}

func (s *screen) finished(e event) {
	s.line(e.Sequence, plain, "all records done and in the last checkpoint")
}

func (s *screen) compared(records uint64, took time.Duration) {
	s.line(records, plain, "the same job, never killed and without checkpoints, took %s", milliseconds(took))
}

// verdict is the end of the story.
func (s *screen) verdict(r *Result) {
	s.printf("\n")
	for _, row := range [][2]string{
		{"final state", fmt.Sprintf("%s keys, %s windows, %s pairs", grouped(uint64(r.State.Keys)), grouped(uint64(r.State.Windows)), grouped(uint64(r.State.Pairs)))},
		{"  killed", r.Digest},
		{"  restored", r.RestoredDigest},
		{"  never killed", r.ReferenceDigest},
		{"checkpoints", fmt.Sprintf("%d of %s in all; %s were new, %s were stored", r.Checkpoints, size(r.Bytes), size(r.NewBytes), size(r.StoredBytes))},
		{"kills", fmt.Sprintf("%d, %d during a commit; %s; %s done again", r.Kills, r.CommitKills, counted(r.Restores, "restore"), counted(int(r.Replayed), "record"))},
		{"tokens", r.tokens()},
		{"time", fmt.Sprintf("%.1f s", r.Seconds)},
	} {
		s.printf("%-14s  %s\n", row[0], row[1])
	}
	s.printf("\n")
	for _, p := range r.Problems {
		s.printf("%s\n", s.paint(red, p))
	}
	if r.OK {
		s.printf("%s\n", s.paint(green, "Exactly once: the states are equal, bit for bit."))
	}
	if r.Remove != "" {
		s.printf("The job's checkpoints stay in the store. Remove them with: %s\n", r.Remove)
	}
}

func (r *Result) tokens() string {
	switch {
	case r.Credentials == "":
		return "none needed"
	case !r.counted:
		return fmt.Sprintf("from %s, for %s in %s", r.Credentials, counted(r.Clients, "storage client"), counted(r.Workers, "process"))
	}
	return fmt.Sprintf("%s for %s in %s; at most %d in one token's life (%d allowed)", counted(r.TokenFetches, "fetch"),
		counted(r.Clients, "storage client"), counted(r.Workers, "process"), r.MostFetches, maxFetches)
}

// times says how often.
func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func counted(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s") || strings.HasSuffix(noun, "ch"):
		noun += "e"
	}
	return grouped(uint64(n)) + " " + noun + "s"
}

// grouped is a number as people read it: 20,000.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), -1
	for ; value >= 1023.95 && unit < len("KMGT")-1; unit++ { // 1023.95: what would be printed as 1024.0 KiB
		value /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[max(unit, 0)])
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
