package soak

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// The operations that are counted.
const (
	opAcquire = "acquire"
	opSave    = "save"
	opLatest  = "latest"
	opList    = "list"
	opFind    = "find" // by number or tag
	opRestore = "restore"
	opRead    = "read" // of parts, in sequence and at random
	opPin     = "pin"
	opRelease = "release"
	opTag     = "tag"
	opUntag   = "untag"
	opRetain  = "retain"
	opCollect = "collect"
	opVerify  = "verify"
)

// How an operation can end besides in an error of a kind of package checkpoint.
const (
	endOK      = "ok"
	endGaveUp  = "gave_up" // the caller's own deadline
	endUntyped = "untyped"
	endWrong   = "wrong"
)

// trouble is how every operation may end when the store or the credentials are away.
var trouble = []string{endOK, endGaveUp, "unavailable", "throttled"}

// rightly is what else an operation may end in. A conflict is to lose every race for HEAD. What depends on circumstances (fenced: only if somebody else may have
// acquired the job; retired: only without a lease or a tag; not found: only if it may be so) is checked where they are known.
var rightly = map[string][]string{
	opAcquire: {"conflict"},
	opSave:    {"fenced", "conflict"},
	opLatest:  {"not_found"},
	opFind:    {"retired"},
	opRestore: {"retired"},
	opRead:    {"retired"},
	opPin:     {"retired", "conflict"},
	opRelease: {"conflict"},
	opTag:     {"retired", "conflict"},
	opUntag:   {"not_found", "conflict"},
	opRetain:  {"conflict"},
}

// kindOf is the word for how an operation ended whose own context is ctx.
func kindOf(ctx context.Context, err error) string {
	if err == nil {
		return endOK
	}
	if errors.As(err, new(*wrongError)) {
		return endWrong
	}
	code := endUntyped
	var e *checkpoint.Error
	if errors.As(err, &e) {
		code = e.Code()
	}
	if ctx.Err() != nil && (code == endUntyped || code == "unavailable" || code == "throttled") {
		return endGaveUp
	}
	return code
}

// Tally counts how operations ended.
type Tally struct {
	mu     sync.Mutex
	counts map[string]map[string]int64
}

func (t *Tally) add(op, kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]map[string]int64{}
	}
	if t.counts[op] == nil {
		t.counts[op] = map[string]int64{}
	}
	t.counts[op][kind]++
}

// Counts are numbers by operation and by how it ended.
func (t *Tally) Counts() map[string]map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]map[string]int64, len(t.counts))
	for op, kinds := range t.counts {
		out[op] = maps.Clone(kinds)
	}
	return out
}

// ended counts how an operation ended, and objects to what must not be.
func (w *World) ended(ctx context.Context, op, job string, err error) string {
	kind := kindOf(ctx, err)
	counted := kind
	if errors.Is(err, checkpoint.ErrOutcomeUnknown) {
		counted += ", outcome unknown"
	}
	w.tally.add(op, counted)
	switch {
	case kind == endWrong:
		w.referee.Violate(Wrong, job, "%s: %v", op, err)
	case !slices.Contains(trouble, kind) && !slices.Contains(rightly[op], kind):
		w.referee.Violate(Kind, job, "%s ended as %s: %v", op, kind, err)
	}
	return kind
}
