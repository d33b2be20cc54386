package checkpoint

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestBudgetWithin(t *testing.T) {
	const none, MiB = math.MaxInt64, 1 << 20
	for _, c := range []struct {
		name              string
		heap, group, want int64
	}{
		{"no limit", none, none, 64 * MiB},
		{"a container of 64 MiB", none, 64 * MiB, 28 * MiB},
		{"and GOMEMLIMIT as docs/operations.md has it", 22 * MiB, 64 * MiB, 28 * MiB},
		{"a container of 80 MiB", none, 80 * MiB, 44 * MiB},
		{"a large container", none, 4 << 30, 64 * MiB},
		{"a container that is too small", none, 32 * MiB, 16 * MiB},
		{"GOMEMLIMIT alone", 22 * MiB, none, 28 * MiB},
		{"GOMEMLIMIT=100MiB", 100 * MiB, none, 50 * MiB},
		{"a large GOMEMLIMIT", 1 << 30, none, 64 * MiB},
		{"GOMEMLIMIT above the container", 1 << 30, 60 * MiB, 24 * MiB},
	} {
		if got := budgetWithin(c.heap, c.group); got != c.want {
			t.Errorf("%s: %d MiB, want %d", c.name, got/MiB, c.want/MiB)
		}
	}
}

func TestOpenFollowsGOMEMLIMIT(t *testing.T) {
	old := debug.SetMemoryLimit(64 << 20)
	t.Cleanup(func() { debug.SetMemoryLimit(old) })
	budget := func(o *Options) int64 {
		t.Helper()
		s, err := newStore(memstore.New(), false, withDefaults(o))
		if err != nil {
			t.Fatal(err)
		}
		return s.opts.MemoryBudget
	}
	if got := budget(nil); got > 32<<20 {
		t.Errorf("%d bytes in a process that may have %d", got, 64<<20)
	}
	if got := budget(&Options{MemoryBudget: 100 << 20}); got != 100<<20 {
		t.Errorf("%d bytes, though %d were asked for", got, 100<<20)
	}
}
