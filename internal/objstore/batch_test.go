package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// batching deletes three at a time, and is told what to answer.
type batching struct {
	*memstore.Store
	batches [][]string
	answer  func(n int, keys []string) (map[string]error, error)
}

func (*batching) BatchSize() int { return 3 }

func (b *batching) DeleteBatch(_ context.Context, keys []string) (map[string]error, error) {
	b.batches = append(b.batches, slices.Clone(keys))
	return b.answer(len(b.batches), keys)
}

func TestDeleteAll(t *testing.T) {
	refused := &objstore.Error{Kind: objstore.KindPermission, Op: "delete", Key: "b"}
	busy := &objstore.Error{Kind: objstore.KindUnavailable, Op: "delete", Key: "c"}
	for name, c := range map[string]struct {
		answer  func(n int, keys []string) (map[string]error, error)
		batches string
		failed  map[string]objstore.Kind
	}{
		"all is well": {
			func(int, []string) (map[string]error, error) { return nil, nil }, "[[a b c] [d e]]", nil,
		},
		"a key is refused, another may pass": {
			func(n int, _ []string) (map[string]error, error) {
				if n == 1 {
					return map[string]error{"b": refused, "c": busy}, nil
				}
				return nil, nil
			}, "[[a b c] [c] [d e]]", map[string]objstore.Kind{"b": objstore.KindPermission},
		},
		"a request is lost": {
			func(n int, _ []string) (map[string]error, error) {
				if n == 1 {
					return nil, busy
				}
				return nil, nil
			}, "[[a b c] [a b c] [d e]]", nil,
		},
		"a request is refused": {
			func(n int, _ []string) (map[string]error, error) {
				if n == 1 {
					return nil, refused
				}
				return nil, nil
			}, "[[a b c] [d e]]", map[string]objstore.Kind{"a": objstore.KindPermission, "b": objstore.KindPermission, "c": objstore.KindPermission},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &batching{Store: memstore.New(), answer: c.answer}
				failed := objstore.NewRetrying(s, nil).DeleteAll(t.Context(), []string{"a", "b", "c", "d", "e"})
				kinds := map[string]objstore.Kind{}
				for key, err := range failed {
					var e *objstore.Error
					if errors.As(err, &e); e.Key != key {
						t.Errorf("%s: %v is about %s", key, err, e.Key)
					}
					kinds[key] = objstore.KindOf(err)
				}
				if got := fmt.Sprint(s.batches); got != c.batches || !maps.Equal(kinds, c.failed) {
					t.Errorf("%s, failed %v; want %s, %v", got, kinds, c.batches, c.failed)
				}
			})
		})
	}
}

func TestDeleteAllOneByOne(t *testing.T) {
	s := memstore.New()
	for _, key := range []string{"a", "b", "c"} {
		if _, err := s.Put(t.Context(), key, nil, objstore.Absent); err != nil {
			t.Fatal(err)
		}
	}
	s.SetFault(func(op memstore.Op) memstore.Outcome {
		if op.Key == "b" {
			return memstore.Outcome{Err: kind(objstore.KindPermission)}
		}
		return memstore.OK
	})
	r := objstore.NewRetrying(s, nil)
	failed := r.DeleteAll(t.Context(), []string{"a", "b", "c"})
	if len(failed) != 1 || objstore.KindOf(failed["b"]) != objstore.KindPermission || !slices.Equal(s.Keys(), []string{"b"}) || r.BatchSize() != 1 {
		t.Errorf("%v; left %q", failed, s.Keys())
	}
}
