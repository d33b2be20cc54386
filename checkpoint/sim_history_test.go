package checkpoint

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// simHead is HEAD as a sequential object, as its users see it.
type simHead struct {
	epoch, last uint64
	retained    uint64 // a bit for each checkpoint's number
	tags        [2]uint64
	removed     bool
}

// simEvent is one operation of the history, or one write of an operation that wrote more than once: to tag or to retain twice is allowed, and no
// single moment would stand for both.
type simEvent struct {
	op    *simOp
	write *simWrite // nil: it changed nothing
	final bool      // what the operation returned is about this write
}

// never is when an operation returned whose caller was told nothing, or not the truth for certain.
const never = int64(1) << 60

// linearizable holds the history of calls and answers against simHead, and returns what is wrong.
func (w *simWorld) linearizable() string {
	var history []porcupine.Operation
	for i, op := range w.ops {
		end := never
		if op.result == simDone {
			end = int64(op.returned)
		}
		for n, x := range op.writes {
			e := simEvent{op, x, n == len(op.writes)-1 && op.result == simDone}
			history = append(history, porcupine.Operation{ClientId: i, Input: e, Call: int64(op.called), Return: end})
		}
		if len(op.writes) == 0 && (op.result == simDone || op.result == simFailed) {
			history = append(history, porcupine.Operation{ClientId: i, Input: simEvent{op: op}, Call: int64(op.called), Return: int64(op.returned)})
		}
	}
	switch porcupine.CheckOperationsTimeout(simSequential, history, 20*time.Second) {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return "whether the history is linearizable takes too long to find out"
	}
	var b strings.Builder
	b.WriteString("the history is not linearizable:")
	for _, o := range history {
		fmt.Fprintf(&b, "\n\t%d-%d %v", o.Call, o.Return, o.Input.(simEvent).op)
	}
	return b.String()
}

var simSequential = porcupine.Model{
	Init: func() any { return simHead{} },
	Step: func(state, input, _ any) (bool, any) {
		s, e := state.(simHead), input.(simEvent)
		if e.write == nil {
			return s.answers(e.op), s
		}
		ok := s.change(e)
		return ok, s
	},
}

func bit(checkpoint uint64) uint64 { return 1 << checkpoint }

func (s *simHead) tag(name string) *uint64 {
	if name == "red" {
		return &s.tags[0]
	}
	return &s.tags[1]
}

func (s simHead) exists() bool { return s.epoch > 0 && !s.removed }

// change makes the change of an event, if it is one that this HEAD allows.
func (s *simHead) change(e simEvent) bool {
	op, retired := e.op, uint64(0)
	for _, c := range e.write.retired {
		retired |= bit(c)
	}
	switch op.kind {
	case "acquire":
		s.epoch, s.removed = s.epoch+1, false
		return !e.final || s.epoch == op.epoch
	case "save", "one-shot":
		if op.kind == "one-shot" {
			s.epoch, s.removed = s.epoch+1, false
		}
		if s.epoch != op.save.epoch || s.removed || s.last >= op.save.number || s.retained&retired != retired {
			return false
		}
		s.last, s.retained = op.save.number, s.retained&^retired|bit(op.save.number)
		if op.tag != "" {
			*s.tag(op.tag) = op.save.number
		}
	case "retain":
		ok := s.retained&retired == retired
		s.retained &^= retired
		return ok
	case "tag":
		p := findTag(e.write.after, op.tag)
		if p == nil || s.retained&bit(p.Checkpoint) == 0 || e.final && p.Checkpoint != op.checkpoint {
			return false
		}
		*s.tag(op.tag) = p.Checkpoint
	case "untag":
		if t := s.tag(op.tag); !e.final || *t == op.checkpoint {
			*t = 0
		}
	case "remove":
		*s = simHead{epoch: s.epoch + 1, last: s.last, removed: true}
	}
	return true
}

// answers reports whether an operation that changed nothing could be answered like this by this HEAD.
func (s simHead) answers(op *simOp) bool {
	missing := errors.Is(op.err, ErrNotFound)
	switch op.kind {
	case "latest":
		return !missing && op.err != nil || s.find(op.tag) == op.checkpoint // 0: none
	case "list":
		if op.err != nil {
			return !missing || !s.exists()
		}
		listed := uint64(0)
		for _, c := range op.listed {
			listed |= bit(c)
		}
		return s.exists() && listed == s.retained
	case "save":
		return !errors.Is(op.err, ErrFenced) || s.epoch > op.epoch
	case "tag":
		return op.err != nil || *s.tag(op.tag) == op.checkpoint
	case "untag", "retain":
		return !missing || !s.exists() || op.kind == "untag" && *s.tag(op.tag) == 0
	case "remove":
		return op.err == nil && s.removed || op.err != nil && (!missing || !s.exists())
	}
	return true
}

// find resolves the references that actors use.
func (s simHead) find(ref string) uint64 {
	if !s.exists() {
		return 0
	}
	newest := func(set uint64) uint64 {
		if set == 0 {
			return 0
		}
		return uint64(bits.Len64(set) - 1)
	}
	switch ref {
	case "latest":
		return newest(s.retained)
	case "-1":
		if n := newest(s.retained); n > 0 {
			return newest(s.retained &^ bit(n))
		}
		return 0
	}
	return *s.tag(ref)
}
