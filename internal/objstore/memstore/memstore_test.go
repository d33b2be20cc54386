package memstore_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func put(t *testing.T, s *memstore.Store, key, body string, cond objstore.Version) (objstore.Version, error) {
	t.Helper()
	return s.Put(t.Context(), key, []byte(body), cond)
}

func TestOpenSharesByName(t *testing.T) {
	a, b, other := memstore.Open(t.Name()), memstore.Open(t.Name()), memstore.Open(t.Name()+"-other")
	if _, err := put(t, a, "k", "x", objstore.Absent); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := b.Keys(); !slices.Equal(got, []string{"k"}) {
		t.Errorf("the namesake has %q", got)
	}
	if got := append(other.Keys(), memstore.Open("").Keys()...); len(got) != 0 {
		t.Errorf("other stores have %q", got)
	}
	if b.String() != "mem://"+t.Name() {
		t.Error(b)
	}
}

// TestOutcomes: what is done and what is told are independent.
func TestOutcomes(t *testing.T) {
	told := errors.New("told")
	for _, c := range []struct {
		name    string
		outcome memstore.Outcome
		exists  bool
		kind    objstore.Kind
		is      error
	}{
		{"ok", memstore.OK, true, 0, nil},
		{"applied, reported failed", memstore.Outcome{Apply: true, Err: told}, true, objstore.KindUnavailable, told},
		{"not applied, reported failed", memstore.Outcome{Err: told}, false, objstore.KindUnavailable, told},
		{"lost", memstore.Outcome{}, false, objstore.KindUnavailable, nil},
		{"a chosen kind", memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindPrecondition}}, false, objstore.KindPrecondition, nil},
		{"applied, then dead", memstore.Outcome{Apply: true, Stop: true}, true, objstore.KindUnknown, memstore.ErrStopped},
		{"dead at once", memstore.Outcome{Stop: true}, false, objstore.KindUnknown, memstore.ErrStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := memstore.New()
			var seen []memstore.Op
			s.SetFault(func(op memstore.Op) memstore.Outcome {
				seen = append(seen, op)
				return c.outcome
			})
			_, err := put(t, s, "a/k", "body", objstore.Absent)
			if objstore.KindOf(err) != c.kind || c.is != nil && !errors.Is(err, c.is) || c.name != "ok" && err == nil {
				t.Errorf("told %v", err)
			}
			if exists := len(s.Keys()) == 1; exists != c.exists {
				t.Errorf("exists: %t", exists)
			}
			if want := (memstore.Op{N: 1, Method: "put", Key: "a/k", Size: 4}); len(seen) != 1 || seen[0] != want {
				t.Errorf("the hook saw %+v", seen)
			}
		})
	}
}

func TestDeadConnection(t *testing.T) {
	s := memstore.New()
	calls := 0
	s.SetFault(func(op memstore.Op) memstore.Outcome {
		calls++
		return memstore.Outcome{Apply: true, Stop: op.N == 2}
	})
	for i, key := range []string{"a", "b", "c", "d"} {
		if _, err := put(t, s, key, "", objstore.Absent); errors.Is(err, memstore.ErrStopped) != (i > 0) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if calls != 2 || s.Requests() != 2 {
		t.Errorf("the hook was called %d times, %d requests", calls, s.Requests())
	}
	peer := s.Peer()
	if got := peer.Keys(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("another process sees %q", got)
	}
	if _, err := put(t, peer, "e", "", objstore.Absent); err != nil {
		t.Errorf("another process is dead too: %v", err)
	}
	s.SetFault(nil)
	if _, err := put(t, s, "f", "", objstore.Absent); err != nil {
		t.Errorf("not revived: %v", err)
	}
}

func TestDelayedWriteHonoursItsConditionWhenItLands(t *testing.T) {
	s := memstore.New()
	var land func() error
	later := func(memstore.Op) memstore.Outcome {
		return memstore.Outcome{Later: func(apply func() error) { land = apply }}
	}
	version, err := put(t, s, "HEAD", "1", objstore.Absent)
	if err != nil {
		t.Fatal(err)
	}
	s.SetFault(later)
	body := []byte("late")
	if _, err := s.Put(t.Context(), "HEAD", body, version); objstore.KindOf(err) != objstore.KindUnavailable {
		t.Fatal(err)
	}
	copy(body, "gone") // the caller's buffer is the caller's again
	if err := land(); err != nil {
		t.Fatal(err)
	}
	if err := land(); err != nil {
		t.Errorf("landing twice is one landing: %v", err)
	}
	got, version, err := s.Peer().Get(t.Context(), "HEAD", 10)
	if err != nil || string(got) != "late" {
		t.Fatalf("%q, %v", got, err)
	}
	_, _ = put(t, s, "HEAD", "later", version)
	if _, err := put(t, s.Peer(), "HEAD", "overtakes", version); err != nil {
		t.Fatal(err)
	}
	if err := land(); objstore.KindOf(err) != objstore.KindPrecondition {
		t.Errorf("it landed on another version: %v", err)
	}
}

func TestHangEndsWithTheContext(t *testing.T) {
	s := memstore.New()
	ctx, cancel := context.WithCancel(t.Context())
	s.SetFault(func(memstore.Op) memstore.Outcome {
		cancel()
		return memstore.Outcome{Apply: true, Hang: true}
	})
	if _, err := s.Put(ctx, "k", nil, objstore.Absent); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(s.Keys()) != 1 {
		t.Error("applied, then hung: it was not applied")
	}
}

func TestReferee(t *testing.T) {
	for _, c := range []struct {
		name  string
		play  func(t *testing.T, s *memstore.Store)
		fouls int
	}{
		{"HEAD may change, vanish and return", func(t *testing.T, s *memstore.Store) {
			for range 2 {
				v, _ := put(t, s, "job/HEAD", "1", objstore.Absent)
				_, _ = put(t, s, "job/HEAD", "2", v)
				_ = s.Delete(t.Context(), "job/HEAD")
			}
		}, 0},
		{"the same bytes again", func(t *testing.T, s *memstore.Store) {
			v, _ := put(t, s, "job/data/HEAD-1", "1", objstore.Absent)
			_, _ = put(t, s, "job/data/HEAD-1", "1", v)
			_, _ = put(t, s, "job/data/HEAD-1", "refused", objstore.Absent)
		}, 0},
		{"overwritten", func(t *testing.T, s *memstore.Store) {
			v, _ := put(t, s, "job/data/HEAD-1", "1", objstore.Absent)
			_, _ = put(t, s.Peer(), "job/data/HEAD-1", "2", v)
		}, 1},
		{"written again after its deletion", func(t *testing.T, s *memstore.Store) {
			_, _ = put(t, s, "k", "1", objstore.Absent)
			_ = s.Delete(t.Context(), "k")
			_, _ = put(t, s, "k", "1", objstore.Absent)
		}, 1},
		{"the same by a writer that was told nothing", func(t *testing.T, s *memstore.Store) {
			s.SetFault(func(op memstore.Op) memstore.Outcome {
				if op.N == 1 {
					return memstore.Outcome{Apply: true, Err: errors.New("reply lost")}
				}
				return memstore.OK
			})
			_, _ = put(t, s, "k", "1", objstore.Absent)
			_ = s.Peer().Delete(t.Context(), "k")
			_, _ = put(t, s, "k", "1", objstore.Absent)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := memstore.New()
			c.play(t, s)
			if got := s.Violations(); len(got) != c.fouls {
				t.Errorf("%q, want %d", got, c.fouls)
			}
		})
	}
}

func TestOnDeleteSeesTheMoment(t *testing.T) {
	s := memstore.New()
	for _, key := range []string{"HEAD", "a"} {
		if _, err := put(t, s, key, "body of "+key, objstore.Absent); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	s.OnDelete(func(key string, peek func(string) ([]byte, bool)) {
		head, _ := peek("HEAD")
		_, gone := peek("never")
		seen = append(seen, key+" under "+string(head))
		if _, there := peek(key); !there || gone {
			t.Errorf("peek: %t, %t", there, gone)
		}
	})
	for range 2 {
		if err := s.Peer().Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(seen, []string{"a under body of HEAD"}) {
		t.Errorf("%q", seen)
	}
}

func TestTraits(t *testing.T) {
	s := memstore.New()
	want := objstore.Traits{RewriteInterval: 5}
	s.SetTraits(want)
	if got := s.Peer().Traits(); got != want {
		t.Errorf("%+v", got)
	}
}
