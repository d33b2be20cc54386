package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// simOp is one call of the package by an actor. A save is one from Begin to the end of Commit.
type simOp struct {
	p           *simProcess
	kind        string
	ctx         context.Context
	cancel      context.CancelCauseFunc
	called      int // turns; of a save, when Commit was called
	returned    int
	interrupted bool
	twice       bool // a request of it was sent twice by a layer in between
	result      simResult
	err         error
	writes      []*simWrite // of HEAD that were applied in its name

	epoch      uint64 // of the owner that calls; of an acquisition, what it returned
	save       *simSave
	policy     Retention
	others     []simUnderWay // saves of the same owner that were begun before this one commits
	tag        string
	checkpoint uint64
	listed     []uint64 // what a listing returned
}

// simOpKey has the operation in the contexts of its requests.
type simOpKey struct{}

func simOpOf(ctx context.Context) *simOp {
	op, _ := ctx.Value(simOpKey{}).(*simOp)
	return op
}

// inUse are the bases of other saves of the owner that are under way.
func (op *simOp) inUse() (numbers []uint64) {
	for _, s := range op.others {
		if s.op.returned != 0 {
			continue
		}
		for _, b := range s.wr.bases() {
			numbers = append(numbers, b.retained.Id.Checkpoint)
		}
	}
	return numbers
}

type simResult int

const (
	simPending simResult = iota // never returned, or its process died before
	simDone
	simFailed  // for certain
	simUnknown // by its own account
)

// simKinds are the errors that an operation may meet without any disturbance, because of what others do.
var simKinds = map[string][]error{
	"acquire":    {ErrConflict},
	"save":       {ErrFenced, ErrConflict},
	"one-shot":   {ErrConflict},
	"tag":        {ErrNotFound, ErrRetired, ErrConflict},
	"untag":      {ErrNotFound},
	"retain":     {ErrNotFound},
	"remove":     {ErrNotFound, ErrConflict},
	"collect":    {ErrNotFound, ErrRetired},
	"latest":     {ErrNotFound},
	"list":       {ErrNotFound},
	"read":       {ErrRetired},
	"pin":        {ErrNotFound, ErrRetired},
	"release":    {ErrNotFound},
	"verify":     {ErrNotFound, ErrRetired},
	"share":      {ErrFenced, ErrConflict, ErrNotFound},
	"add handle": {ErrConflict, ErrFenced, ErrRetired},
}

// simDisturbed are those that a disturbance excuses.
var simDisturbed = []error{ErrUnavailable, ErrThrottled, ErrPermission, ErrConflict, context.Canceled}

// begin starts an operation, when the scheduler lets it.
func (p *simProcess) begin(kind string) (*simOp, bool) {
	if !p.step(kind) {
		return nil, false
	}
	return p.beginNow(kind), true
}

func (p *simProcess) beginNow(kind string) *simOp {
	op := &simOp{p: p, kind: kind}
	op.ctx, op.cancel = context.WithCancelCause(context.WithValue(context.Background(), simOpKey{}, op))
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	op.called = p.w.turn
	p.w.ops = append(p.w.ops, op)
	return op
}

// end notes what an operation returned, and whether it may have.
func (p *simProcess) end(op *simOp, err error) {
	p.w.mu.Lock()
	op.returned, op.err = p.w.turn, err
	dead := p.dead
	p.w.mu.Unlock()
	op.cancel(nil)
	switch {
	case dead:
		return
	case err == nil:
		op.result = simDone
	case errors.Is(err, ErrOutcomeUnknown):
		op.result = simUnknown
	default:
		op.result = simFailed
	}
	if msg := op.wrongError(); msg != "" {
		p.w.foul("%s: %s: %s: %v", p.name, op.kind, msg, err)
	}
}

// wrongError tells why an operation may not end with its error; empty if it may.
func (op *simOp) wrongError() string {
	if op.err == nil {
		return ""
	}
	is := func(kind error) bool { return errors.Is(op.err, kind) }
	if slices.ContainsFunc(simKinds[op.kind], is) || is(errSimAborted) {
		return ""
	}
	if !op.p.disturbed() {
		return "an error that nothing excuses"
	}
	if slices.ContainsFunc(simDisturbed, is) || is(errSimInterrupted) {
		return ""
	}
	return "not one of the errors that a disturbance can cause"
}

// disturbed tells whether anything was done to the process's requests so far: uploads run behind, so one operation may meet what was done in the course of another.
func (p *simProcess) disturbed() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.w.jumped || p.touched
}

func (op *simOp) String() string {
	s := fmt.Sprintf("%s: %s", op.p.name, op.kind)
	if op.save != nil {
		s += fmt.Sprintf(" %s (epoch %d, checkpoint %d)", op.save.name, op.save.epoch, op.save.number)
	}
	switch op.result {
	case simDone:
		return s + ": ok"
	case simFailed, simUnknown:
		return fmt.Sprintf("%s: %v", s, op.err)
	}
	return s + ": never returned"
}
