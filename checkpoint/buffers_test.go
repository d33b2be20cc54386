package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// What a store hands out is never more than its budget, and always enough to fill a pack while another is on its way.
func TestBudgetIsKept(t *testing.T) {
	for budget := int64(minBudget); budget <= 1<<30; budget += 1 << 20 {
		for _, processors := range []int{1, 2, 8, 128} {
			s := divide(budget, processors)
			sum := int64(s.workers*workspaceSize + s.tables + tableSlack + s.packs*s.packSize)
			if sum > budget || s.packs < 2 || s.workers < 1 || s.packSize < minPackSize || s.tables < 1<<20 {
				t.Fatalf("budget %d, %d processors: %+v, %d bytes", budget, processors, s, sum)
			}
		}
	}
	// The tables of 1 GiB, 70 KiB for each 16 MiB, stay at hand with the default: the next save of it reads none.
	if s := divide(smallBudget, 2); s.tables < 64*70<<10 {
		t.Errorf("%d bytes for tables", s.tables)
	}
}

func TestSlabsOfAStoreThatIsGoneAreUsedAgain(t *testing.T) {
	b := newBuffers(minPackSize, 2)
	buf, err := b.get(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	buf[0] = 1
	b.put(buf)
	b.slabs.release()
	again, err := newBuffers(minPackSize, 2).get(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != minPackSize {
		t.Errorf("%d bytes", len(again))
	}
	again[0], again[len(again)-1] = 1, 1
}

// One goroutine that feeds many streams by turns must not wait for one of them for ever.
func TestStreamsOfOneProducerDoNotWaitForEachOther(t *testing.T) {
	const streams = 3 * maxWorkers
	s := openMem(t, memstore.New())
	want := files{}
	_, err := s.Save(context.Background(), "j", func(w *Writer) error {
		errs := make(chan error, streams)
		var feeds []*io.PipeWriter
		for i := range streams {
			r, feed := io.Pipe()
			feeds = append(feeds, feed)
			go func() { errs <- w.Add(fmt.Sprint(i), r) }()
		}
		for round := range 3 {
			for i, feed := range feeds {
				b := noise(uint64(100*i+round), 100_000)
				want[fmt.Sprint(i)] = slices.Concat(want[fmt.Sprint(i)], b)
				if _, err := feed.Write(b); err != nil {
					return err
				}
			}
		}
		var all error
		for _, feed := range feeds {
			all = errors.Join(all, feed.Close())
		}
		for range streams {
			all = errors.Join(all, <-errs)
		}
		return all
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := want.diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
		t.Error(d)
	}
	if free := len(s.workers.free); free != cap(s.workers.free) {
		t.Errorf("%d of %d workspaces came back", free, cap(s.workers.free))
	}
}
