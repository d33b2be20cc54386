package tidemark_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// faultRow is a fault and what becomes of operations under it: "ok" or the error's kind, or several of them, separated by |, where chance decides.
type faultRow struct {
	name  string
	match emulator.Match
	then  emulator.Then
	once  string // the fault hits one request, whichever
	all   string // it hits every request
	// Operations for which it is something else.
	exceptOnce, exceptAll map[string]string
	// endless: a request would wait for the deadline of one try, half a minute. The caller's is shorter.
	endless bool
	// simple: nothing is carried out, and all requests meet it in one place of the code. Every third request will do.
	simple bool
}

func (row faultRow) want(op string, k int) string {
	want, except := row.once, row.exceptOnce
	if k == 0 {
		want, except = row.all, row.exceptAll
	}
	if e, ok := except[op]; ok {
		return e
	}
	return want
}

// patience is how long one request is tried again: as long as it takes, or shortly where every try has to fail.
func (row faultRow) patience(k int) time.Duration {
	if k == 0 {
		return 150 * time.Millisecond
	}
	return 20 * time.Second
}

// deadline is the caller's: the source of tokens is asked until then, whatever the store's patience.
func (row faultRow) deadline(k int) time.Duration {
	switch {
	case row.endless:
		return 300 * time.Millisecond
	case k == 0 && row.match.Server == emulator.ServerMetadata:
		return 2 * time.Second
	}
	return 30 * time.Second
}

var (
	storage  = emulator.Match{Server: emulator.ServerStorage}
	writes   = emulator.Match{Server: emulator.ServerStorage, Ops: []emulator.Op{emulator.OpInsert}}
	reads    = emulator.Match{Server: emulator.ServerStorage, Ops: []emulator.Op{emulator.OpRead}}
	contents = emulator.Match{Server: emulator.ServerStorage, Ops: []emulator.Op{emulator.OpRead}, Object: "**/000000000*"}            // manifests and packs: all reads but HEAD's
	answers  = emulator.Match{Server: emulator.ServerStorage, Ops: []emulator.Op{emulator.OpInsert, emulator.OpRead, emulator.OpList}} // with a body; a deletion has none
	tokens   = emulator.Match{Server: emulator.ServerMetadata}
)

func status(code int) emulator.Then {
	return emulator.Then{Effect: emulator.EffectStatus, Status: code}
}

func applied(then emulator.Then) emulator.Then {
	then.Apply = true
	return then
}

// problemsFound: what is bad is what a verification is asked for.
var problemsFound = map[string]string{"verify": "problems|ok", "list": "ok", "latest": "ok"}

const moment = 20 * time.Millisecond

var proxyPage = emulator.Then{Effect: emulator.EffectHTML}

var faultRows = []faultRow{
	// What passes is tried again, and does no harm when it was carried out.
	{name: "308 without a range", match: storage, then: status(308), once: "ok", all: "unavailable"},
	{name: "408", match: storage, then: status(408), once: "ok", all: "unavailable", simple: true},
	{name: "410, a forgotten session", match: storage, then: status(410), once: "ok", all: "unavailable"},
	{name: "429", match: storage, then: status(429), once: "ok", all: "throttled", simple: true},
	{name: "429 with Retry-After", match: storage, then: emulator.Then{Effect: emulator.EffectStatus, Status: 429, RetryAfter: time.Second}, once: "ok", all: "throttled"},
	{name: "500", match: storage, then: status(500), once: "ok", all: "unavailable", simple: true},
	{name: "502", match: storage, then: status(502), once: "ok", all: "unavailable", simple: true},
	{name: "503", match: storage, then: status(503), once: "ok", all: "unavailable"},
	{name: "503, carried out", match: storage, then: applied(status(503)), once: "ok", all: "unavailable"},
	{name: "504", match: storage, then: status(504), once: "ok", all: "unavailable", simple: true},
	{name: "412 for a write that succeeded", match: writes, then: applied(status(412)), once: "ok", all: "ok",
		exceptAll: map[string]string{"first save": "conflict"}},

	// What does not pass is said at once, by its one name. A permission is never "not found".
	{name: "400", match: storage, then: status(400), once: "invalid", all: "invalid", exceptOnce: map[string]string{"first save": "invalid|ok"}, simple: true},
	{name: "403", match: storage, then: status(403), once: "permission denied", all: "permission denied", simple: true},
	{name: "403 on reads", match: reads, then: status(403), once: "permission denied", all: "permission denied"},
	{name: "403 on writes", match: writes, then: status(403), once: "permission denied", all: "permission denied"},
	{name: "404 for what exists", match: contents, then: status(404), once: "corrupt|ok", all: "corrupt|ok",
		exceptOnce: problemsFound, exceptAll: problemsFound},

	// Credentials: a token that is refused is replaced once.
	{name: "401", match: storage, then: status(401), once: "ok", all: "credentials", simple: true},
	{name: "a token that is revoked on its way", match: storage, then: emulator.Then{Effect: emulator.EffectRevoke}, once: "ok", all: "credentials"},
	{name: "metadata 403", match: tokens, then: status(403), once: "ok", all: "credentials"},
	{name: "metadata 404", match: tokens, then: status(404), once: "ok", all: "credentials|unavailable"},
	{name: "metadata 429", match: tokens, then: status(429), once: "ok", all: "unavailable"},
	{name: "metadata 500", match: tokens, then: status(500), once: "ok", all: "unavailable"},
	{name: "metadata 503", match: tokens, then: status(503), once: "ok", all: "unavailable"},
	{name: "metadata page", match: tokens, then: proxyPage, once: "ok", all: "unavailable"},
	{name: "metadata refused", match: tokens, then: emulator.Then{Effect: emulator.EffectRefuse, For: moment}, once: "ok", all: "unavailable"},
	{name: "metadata reset", match: tokens, then: emulator.Then{Effect: emulator.EffectReset}, once: "ok", all: "unavailable"},
	{name: "metadata broken", match: tokens, then: emulator.Then{Effect: emulator.EffectBreak, Bytes: 20}, once: "ok", all: "unavailable"},
	{name: "metadata truncated", match: tokens, then: emulator.Then{Effect: emulator.EffectTruncate, Bytes: 20}, once: "ok", all: "unavailable"},
	{name: "metadata silent", match: tokens, then: emulator.Then{Effect: emulator.EffectStall}, once: "unavailable|ok", all: "unavailable", endless: true},

	// A proxy's pages say nothing of the store, whatever their status.
	{name: "page 502", match: storage, then: proxyPage, once: "ok", all: "unavailable"},
	{name: "page 502, carried out", match: storage, then: applied(proxyPage), once: "ok", all: "unavailable"},
	{name: "page 403", match: storage, then: emulator.Then{Effect: emulator.EffectHTML, Status: 403}, once: "ok", all: "unavailable", simple: true},
	{name: "page 404", match: storage, then: emulator.Then{Effect: emulator.EffectHTML, Status: 404}, once: "ok", all: "unavailable", simple: true},
	{name: "page 200", match: answers, then: emulator.Then{Effect: emulator.EffectStatus, Status: 200, Body: "<html>Log in to the hotel's network"}, once: "ok", all: "unavailable"},

	// Connections.
	{name: "refused", match: storage, then: emulator.Then{Effect: emulator.EffectRefuse, For: moment}, once: "ok", all: "unavailable", simple: true},
	{name: "reset", match: storage, then: emulator.Then{Effect: emulator.EffectReset}, once: "ok", all: "unavailable"},
	{name: "reset, carried out", match: storage, then: applied(emulator.Then{Effect: emulator.EffectReset}), once: "ok", all: "unavailable"},
	{name: "closed", match: storage, then: emulator.Then{Effect: emulator.EffectClose}, once: "ok", all: "unavailable"},
	{name: "closed, carried out", match: storage, then: applied(emulator.Then{Effect: emulator.EffectClose}), once: "ok", all: "unavailable"},
	{name: "closed after each request", match: storage, then: emulator.Then{Effect: emulator.EffectCloseAfter, Requests: 1}, once: "ok", all: "ok"},

	// Time. What comes late and was given up is carried out none the less.
	{name: "delay", match: storage, then: emulator.Then{Effect: emulator.EffectDelay, For: moment}, once: "ok", all: "ok", simple: true},
	{name: "late", match: storage, then: emulator.Then{Effect: emulator.EffectLate, For: time.Minute}, once: "unavailable|ok", all: "unavailable", endless: true},
	{name: "stall", match: storage, then: emulator.Then{Effect: emulator.EffectStall, Bytes: 10}, once: "unavailable|ok", all: "unavailable", endless: true},
	{name: "short stall", match: storage, then: emulator.Then{Effect: emulator.EffectStall, Bytes: 10, For: moment}, once: "ok", all: "ok", simple: true},
	{name: "stalled upload", match: storage, then: emulator.Then{Effect: emulator.EffectStallRequest, Bytes: 10}, once: "unavailable|ok", all: "unavailable|ok", endless: true},
	{name: "shortly stalled upload", match: storage, then: emulator.Then{Effect: emulator.EffectStallRequest, Bytes: 10, For: moment}, once: "ok", all: "ok"},
	{name: "slow", match: storage, then: emulator.Then{Effect: emulator.EffectSlow, Rate: 16 << 20}, once: "ok", all: "ok", simple: true},
	{name: "slow upload", match: storage, then: emulator.Then{Effect: emulator.EffectSlowRequest, Rate: 16 << 20}, once: "ok", all: "ok"},

	// Broken and wrong bytes: fetched again, and never handed on.
	{name: "broken reply", match: storage, then: emulator.Then{Effect: emulator.EffectBreak, Bytes: 5}, once: "ok", all: "unavailable"},
	{name: "broken upload", match: writes, then: emulator.Then{Effect: emulator.EffectBreakRequest, Bytes: 100}, once: "ok", all: "unavailable"},
	{name: "flipped byte", match: reads, then: emulator.Then{Effect: emulator.EffectFlip, Bytes: 20}, once: "ok", all: "corrupt",
		exceptAll: map[string]string{"first save": "corrupt|unavailable"}},
	{name: "truncated", match: reads, then: emulator.Then{Effect: emulator.EffectTruncate, Bytes: 20}, once: "ok", all: "corrupt|unavailable"},
	{name: "truncated reply to a write", match: writes, then: emulator.Then{Effect: emulator.EffectTruncate, Bytes: 5}, once: "ok", all: "ok|unavailable"},
	{name: "repeated", match: reads, then: emulator.Then{Effect: emulator.EffectRepeat, Bytes: 20}, once: "ok", all: "corrupt|unavailable"},
	{name: "another object", match: contents, then: emulator.Then{Effect: emulator.EffectSwap, Object: otherJob + "/HEAD"}, once: "corrupt|ok", all: "corrupt|ok",
		exceptOnce: problemsFound, exceptAll: problemsFound},
	{name: "wrong checksum", match: reads, then: emulator.Then{Effect: emulator.EffectWrongCRC}, once: "ok", all: "corrupt"},
}

// TestEveryFaultHasItsRow reads from its source what the emulator can do.
func TestEveryFaultHasItsRow(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "emulator/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Effect" {
			return true
		}
		effect, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		if !slices.ContainsFunc(faultRows, func(row faultRow) bool { return row.then.Effect == emulator.Effect(effect) }) {
			t.Errorf("no row of the table has the effect %q", effect)
		}
		return true
	})
	if found < 20 {
		t.Errorf("only %d effects were found", found)
	}
}
