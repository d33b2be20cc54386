package objstore_test

import (
	"context"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// lax is a store that keeps all promises but some, as a server would that ignores what it does not know, or answers from a cache.
type lax struct {
	*memstore.Store
	create, swap  bool // conditions that are ignored
	revive        bool // a swap creates what is absent
	stale, silent bool // a write leaves the version, or tells none
	unread        bool // a read finds what was there before
	unlisted      bool // listings do not show what was written
	undeleted     bool // listings still show what was deleted
}

func (l *lax) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	info, err := l.Stat(ctx, key)
	if there := err == nil; there && (cond == objstore.Absent && l.create || cond != objstore.Absent && l.swap) {
		cond = info.Version
	} else if !there && l.revive {
		cond = objstore.Absent
	}
	v, err := l.Store.Put(ctx, key, body, cond)
	switch {
	case err != nil:
	case l.stale:
		v = "1"
	case l.silent:
		v = objstore.Absent
	}
	return v, err
}

func (l *lax) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	if l.unread {
		return []byte("first"), "1", nil
	}
	return l.Store.Get(ctx, key, limit)
}

func (l *lax) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		for info, err := range l.Store.List(ctx, prefix) {
			if !l.unlisted && !yield(info, err) {
				return
			}
		}
		if l.undeleted && len(l.Keys()) == 0 {
			yield(objstore.Info{Key: prefix, Size: 5}, nil)
		}
	}
}

func TestProbeNamesWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		store lax
		want  string
	}{
		"all is well":                {lax{}, ""},
		"create ignored":             {lax{create: true}, "lacks create-if-absent"},
		"swap ignored":               {lax{swap: true}, "lacks compare-and-swap"},
		"both ignored":               {lax{create: true, swap: true}, "lacks create-if-absent"},
		"a swap revives":             {lax{revive: true}, "lacks compare-and-swap"},
		"a version that stays":       {lax{stale: true}, "lacks compare-and-swap"},
		"no version":                 {lax{silent: true}, "lacks compare-and-swap"},
		"a version that is for show": {lax{stale: true, swap: true}, "lacks compare-and-swap"},
		"old bytes are read":         {lax{unread: true}, "lacks read-after-write"},
		"a write is not listed":      {lax{unlisted: true}, "lacks list-after-write"},
		"a deletion is not listed":   {lax{undeleted: true}, "lacks list-after-write"},
	} {
		c.store.Store = memstore.New()
		err := objstore.Probe(t.Context(), &c.store, "x/probe")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (objstore.KindOf(err) != objstore.KindUnsupported || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
		if left := c.store.Keys(); len(left) != 0 {
			t.Errorf("%s: left %q", name, left)
		}
	}
}

func TestProbeKeepsOtherErrors(t *testing.T) {
	for n := 1; n <= 9; n++ {
		s := memstore.New()
		s.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.N == n {
				return memstore.Outcome{Err: kind(objstore.KindPermission)}
			}
			return memstore.OK
		})
		if err := objstore.Probe(t.Context(), s, "probe"); objstore.KindOf(err) != objstore.KindPermission {
			t.Errorf("request %d refused: %v", n, err)
		}
	}
}

// A server that says itself that it does not implement a condition lacks it, whichever write hears that.
func TestProbeBelievesNotImplemented(t *testing.T) {
	for n, want := range map[int]string{1: "lacks create-if-absent", 2: "lacks create-if-absent", 3: "lacks compare-and-swap", 4: "lacks compare-and-swap"} {
		s := memstore.New()
		s.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.N == n {
				return memstore.Outcome{Err: kind(objstore.KindUnsupported)}
			}
			return memstore.OK
		})
		if err := objstore.Probe(t.Context(), s, "probe"); objstore.KindOf(err) != objstore.KindUnsupported || !strings.Contains(err.Error(), want) {
			t.Errorf("request %d not implemented: %v", n, err)
		}
	}
}

// A store that limits changes of one key, of which a deletion is one, like a bucket behind an endpoint of its own, is waited for.
func TestProbeWaitsForAThrottlingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		var last time.Time
		s.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method != "put" && op.Method != "delete" {
				return memstore.OK
			}
			if time.Since(last) < time.Second {
				return memstore.Outcome{Err: kind(objstore.KindThrottled)}
			}
			last = time.Now()
			return memstore.OK
		})
		if err := objstore.Probe(t.Context(), s, "probe"); err != nil {
			t.Error(err)
		}
	})
}
