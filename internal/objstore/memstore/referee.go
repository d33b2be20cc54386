package memstore

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// referee notes what no correct user of the commit protocol does: everything but HEAD is written once.
type referee struct {
	violations []string
	deleted    map[string]bool
	// doubtful keys had a write whose outcome the writer was not told, or one that was delayed. Such a write may
	// come again, or late, after the object was deleted; the protocol makes that harmless, so it is no violation.
	doubtful map[string]bool
	onDelete func(key string, peek func(string) ([]byte, bool))
}

func newReferee() referee {
	return referee{deleted: map[string]bool{}, doubtful: map[string]bool{}}
}

// mutable reports whether key is one of the objects that may be replaced: those whose last segment is HEAD.
func mutable(key string) bool { return key[strings.LastIndexByte(key, '/')+1:] == "HEAD" }

func (r *referee) written(op Op, old *object, body []byte) {
	switch {
	case mutable(op.Key):
	case old != nil && !bytes.Equal(old.body, body):
		r.note("%s: an immutable object was overwritten with other bytes", op.Key)
	case old == nil && r.deleted[op.Key] && !r.doubtful[op.Key]:
		r.note("%s: a deleted immutable object was written again", op.Key)
	}
}

func (r *referee) removed(key string, peek func(string) ([]byte, bool)) {
	r.deleted[key] = true
	if r.onDelete != nil {
		r.onDelete(key, peek)
	}
}

func (r *referee) note(format string, args ...any) {
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

// Violations lists, on all connections and in order of time, each write that the commit protocol forbids: an immutable
// object (any whose last segment is not HEAD) overwritten with other bytes, or written again after it was deleted.
// The second is excused for a key with a write that a fault reported as failed although it was applied, or delayed:
// its writer cannot know better.
func (s *Store) Violations() []string {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return slices.Clone(s.space.referee.violations)
}

// OnDelete has f called, on all connections, for each object just before it disappears. f runs under the store's lock:
// it sees with peek exactly the objects of that moment, must not change what peek returns, and must not use the store.
func (s *Store) OnDelete(f func(key string, peek func(string) ([]byte, bool))) {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.referee.onDelete = f
}

// Keys lists the keys that exist, past all faults and not counted as a request.
func (s *Store) Keys() []string {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return slices.Clone(s.space.keys)
}

// Excuse tells the referee that a write of key had an outcome that its writer was not told, or that it is still on its way: see Violations. It is for
// adversaries that sit between the store and its user, and for a key that Outcome excuses by itself it is not needed.
func (s *Store) Excuse(key string) { s.space.excuse(key) }
