package objstore_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// lax is a store that ignores some conditions, as a server without them would.
type lax struct {
	*memstore.Store
	create, swap bool
	stale        bool
}

func (l lax) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	if cond == objstore.Absent && l.create || cond != objstore.Absent && l.swap {
		info, err := l.Stat(ctx, key)
		if err == nil {
			cond = info.Version
		}
	}
	v, err := l.Store.Put(ctx, key, body, cond)
	if l.stale {
		v = "1"
	}
	return v, err
}

func TestProbeNamesWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		store lax
		want  string
	}{
		{lax{}, ""},
		{lax{create: true}, "lacks create-if-absent"},
		{lax{swap: true}, "lacks compare-and-swap"},
		{lax{create: true, swap: true}, "lacks create-if-absent"},
		{lax{stale: true, swap: true}, "lacks compare-and-swap"},
	} {
		c.store.Store = memstore.New()
		err := objstore.Probe(t.Context(), c.store, "x/probe")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("a good store: %v", err)
		case c.want != "" && (objstore.KindOf(err) != objstore.KindUnsupported || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v", c.store, err)
		}
		if left := c.store.Keys(); len(left) != 0 {
			t.Errorf("left %q", left)
		}
	}
}

func TestProbeKeepsOtherErrors(t *testing.T) {
	for n := 1; n <= 6; n++ {
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

// A store that limits writes of one key, like a bucket behind an endpoint of its own, is waited for.
func TestProbeWaitsForAThrottlingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		var last time.Time
		s.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method != "put" {
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
