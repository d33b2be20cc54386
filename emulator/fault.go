package emulator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The servers that a fault can be for.
const (
	ServerStorage  = "storage"
	ServerMetadata = "metadata"
	ServerOAuth    = "oauth"
)

// Fault is one rule: requests that Match lets through suffer Then. Rules are consulted in their order, each counts the
// requests that reach it, and a request may suffer several (a delay, then a broken body); one that answers in the
// server's place ends the matter.
//
// The same in JSON, durations as text ("1.5s"):
//
//	[{"name": "flaky commit",
//	  "match": {"server": "storage", "methods": ["POST"], "object": "jobs/*/HEAD", "from": 2, "to": 3},
//	  "then":  {"effect": "close", "apply": true}}]
type Fault struct {
	// Name is for Faults.Fired and error messages; "fault 1" and so on if empty.
	Name  string `json:"name,omitempty"`
	Match Match  `json:"match"`
	Then  Then   `json:"then"`
}

// Match selects requests. Everything that is set must hold; the zero value selects all requests of all servers.
type Match struct {
	Server  string   `json:"server,omitempty"`  // storage, metadata or oauth
	Methods []string `json:"methods,omitempty"` // any of these
	// Path is a pattern for the URL's path, decoded. In patterns * is any run of characters without a slash, ** any run,
	// and ? one character without a slash.
	Path string `json:"path,omitempty"`
	// Object is a pattern for an object's name (storage only). Requests whose URL names no object do not match.
	Object string `json:"object,omitempty"`
	Ops    []Op   `json:"ops,omitempty"`   // any of these (storage only)
	Class  Class  `json:"class,omitempty"` // A, B or free (storage only)

	// Of the requests selected so far, counted from 1:
	Nth   int     `json:"nth,omitempty"`   // only this one
	From  int     `json:"from,omitempty"`  // this one and later ones
	To    int     `json:"to,omitempty"`    // this one and earlier ones
	Every int     `json:"every,omitempty"` // every so many
	Share float64 `json:"share,omitempty"` // a random share of them, 0 to 1, the same ones for the same Seed
	Seed  uint64  `json:"seed,omitempty"`

	// Only in this window of time, counted from when the rules were set.
	After time.Duration `json:"after,omitempty"`
	Until time.Duration `json:"until,omitempty"`
}

// Effect names what happens to a request.
type Effect string

// The effects, with the fields of Then that each takes.
const (
	// Replies in the server's place. With Apply the request is carried out first and the server's own reply thrown away:
	// 412 for a write that succeeded, 308 without a range for a chunk that was stored.
	EffectStatus Effect = "status" // Status, RetryAfter, Body, Apply
	EffectHTML   Effect = "html"   // Status (502 if zero), Apply: the page of a proxy in between

	// Connections. With Apply: carried out, but the reply is lost.
	EffectRefuse     Effect = "refuse"      // For: this connection is reset, and new ones are refused for that long
	EffectReset      Effect = "reset"       // Apply: reset (RST) before a byte of the reply
	EffectClose      Effect = "close"       // Apply: closed (FIN) before a byte of the reply
	EffectCloseAfter Effect = "close_after" // Requests: a connection is closed after so many

	// Time. Each wait also ends when the server closes, and when the client leaves if it had sent its whole body.
	EffectDelay        Effect = "delay"         // For: before the request is looked at
	EffectLate         Effect = "late"          // For: carried out only after the client gave up, or after For
	EffectStall        Effect = "stall"         // Bytes, For: a longer reply pauses after so many bytes; For zero: for ever
	EffectStallRequest Effect = "stall_request" // Bytes, For: the server stops reading the request's body
	EffectSlow         Effect = "slow"          // Rate: the reply's body trickles
	EffectSlowRequest  Effect = "slow_request"  // Rate: the request's body is read slowly

	// Broken and wrong bodies.
	EffectBreak        Effect = "break"         // Bytes: the connection closes after so many bytes of the reply's body
	EffectBreakRequest Effect = "break_request" // Bytes, Status: the server gets so many bytes of the request's body; the connection closes, or Status is the reply
	EffectFlip         Effect = "flip"          // Bytes: the byte at this offset of the reply's body is another one
	EffectTruncate     Effect = "truncate"      // Bytes: the reply's body ends there, and its header agrees
	EffectRepeat       Effect = "repeat"        // Bytes: the first so many bytes of the reply's body come twice
	EffectSwap         Effect = "swap"          // Object: the reply is the one for this object of the same bucket
	EffectWrongCRC     Effect = "wrong_crc"     // the reply's X-Goog-Hash header states another CRC32C

	// Credentials.
	EffectRevoke Effect = "revoke" // the bearer token that the request carries is revoked before the request is looked at
)

// Then is what happens. Only the fields that the Effect takes may be set.
type Then struct {
	Effect     Effect        `json:"effect"`
	Status     int           `json:"status,omitempty"`      // 200 to 599
	RetryAfter time.Duration `json:"retry_after,omitempty"` // sent in whole seconds, rounded up
	Body       string        `json:"body,omitempty"`        // in place of an error in the style of Google's APIs
	Apply      bool          `json:"apply,omitempty"`       // carry the request out first
	For        time.Duration `json:"for,omitempty"`
	Bytes      int64         `json:"bytes,omitempty"`
	Rate       int64         `json:"rate,omitempty"`     // bytes per second
	Requests   int           `json:"requests,omitempty"` // per connection
	Object     string        `json:"object,omitempty"`
}

// Faults applies rules to the requests of servers. The rules can be replaced at any time; a request keeps to those
// that it started with. It is safe for concurrent use.
type Faults struct {
	rules  atomic.Pointer[[]*rule] // nil without rules: then a request costs one load
	refuse func(server string, d time.Duration)
	revoke func(bearer string)
}

// NewFaults returns the rules, ready to wrap handlers. EffectRefuse and EffectRevoke reach the listeners and the issuer
// of a Cloud only; elsewhere they reset the connection and do nothing.
func NewFaults(rules ...Fault) (*Faults, error) {
	f := &Faults{refuse: func(string, time.Duration) {}, revoke: func(string) {}}
	return f, f.Set(rules...)
}

// Set replaces the rules; their counts and time windows start now. A rule that makes no sense is an error that names
// the rule and the field, and the old rules stay.
func (f *Faults) Set(faults ...Fault) error {
	if len(faults) == 0 {
		f.rules.Store(nil)
		return nil
	}
	rules := make([]*rule, len(faults))
	for i, fault := range faults {
		if fault.Name == "" {
			fault.Name = "fault " + strconv.Itoa(i+1)
		}
		r, err := compile(fault)
		if err != nil {
			return fmt.Errorf("emulator: rule %q: %w", fault.Name, err)
		}
		rules[i] = r
	}
	f.rules.Store(&rules)
	return nil
}

// Rules returns the rules as they were set.
func (f *Faults) Rules() []Fault {
	rules := f.load()
	out := make([]Fault, len(rules))
	for i, r := range rules {
		out[i] = r.Fault
	}
	return out
}

// Fired tells how often each rule took effect since it was set, by name.
func (f *Faults) Fired() map[string]int64 {
	out := make(map[string]int64)
	for _, r := range f.load() {
		r.mu.Lock()
		out[r.Name] += r.fired
		r.mu.Unlock()
	}
	return out
}

func (f *Faults) load() []*rule {
	if p := f.rules.Load(); p != nil {
		return *p
	}
	return nil
}

// Wrap puts the rules for server (ServerStorage, ServerMetadata or ServerOAuth) in front of next.
func (f *Faults) Wrap(server string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rules := f.load(); rules != nil {
			f.through(rules, server, next).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// through is the rest of the way to next: the first of rules, then the others.
func (f *Faults) through(rules []*rule, server string, next http.Handler) http.Handler {
	if len(rules) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest := f.through(rules[1:], server, next)
		if !rules[0].fires(server, r) {
			rest.ServeHTTP(w, r)
			return
		}
		effects[rules[0].Then.Effect].run(&strike{Faults: f, rule: rules[0], server: server, next: rest}, w, r)
	})
}

// rule is a compiled Fault with its counters.
type rule struct {
	Fault
	path, object func(string) bool
	since        time.Time

	mu       sync.Mutex
	seen     int
	fired    int64
	random   *rand.Rand
	requests map[string]int // by connection, for EffectCloseAfter
}

// fires tells whether the rule takes effect on r, and counts.
func (u *rule) fires(server string, r *http.Request) bool {
	m := &u.Match
	if m.Server != "" && m.Server != server ||
		len(m.Methods) > 0 && !slices.Contains(m.Methods, r.Method) ||
		u.path != nil && !u.path(r.URL.Path) {
		return false
	}
	if u.object != nil || len(m.Ops) > 0 || m.Class != "" {
		if server != ServerStorage {
			return false
		}
		t := classify(r)
		if u.object != nil && (t.object == "" || !u.object(t.object)) ||
			len(m.Ops) > 0 && !slices.Contains(m.Ops, t.op) ||
			m.Class != "" && m.Class != t.op.Class() {
			return false
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen++
	n := u.seen
	// The draw comes before the other conditions, so that a seed selects the same requests whatever the window.
	drawn := m.Share == 0 || u.random.Float64() < m.Share
	age := time.Since(u.since)
	if !drawn || m.Nth > 0 && n != m.Nth || n < m.From || m.To > 0 && n > m.To || m.Every > 0 && n%m.Every != 0 ||
		age < m.After || m.Until > 0 && age >= m.Until {
		return false
	}
	u.fired++
	return true
}
