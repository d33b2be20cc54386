package checkpoint

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// Eighty checkpoints of which only the newest is retained: what is in the store stays near twice the state, in few objects, whatever the
// parts are saved by; and it comes back.
func TestSavesEmptyOldPacks(t *testing.T) {
	measuresAmounts(t)
	const size, rounds = 4 << 20, 80
	for name, tt := range map[string]struct {
		opts []PartOption
		next func(rnd *rand.Rand) func() []byte
	}{
		"pages":         {[]PartOption{Pages("*")}, func(rnd *rand.Rand) func() []byte { return someChanged(size, 40, rnd) }},
		"in place":      {nil, func(rnd *rand.Rand) func() []byte { return someChanged(size, 40, rnd) }},
		"shifting":      {nil, func(rnd *rand.Rand) func() []byte { return dump(size, rnd, 0.0003, true) }},
		"content alone": {[]PartOption{Content("*")}, func(rnd *rand.Rand) func() []byte { return dump(size, rnd, 0.0003, true) }},
	} {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			s := openMem(t, mem)
			next := tt.next(rand.New(rand.NewPCG(1, 2)))
			var content []byte
			var fresh, moved, first int64
			for round := range rounds {
				content = next()
				info, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.Add("a", bytes.NewReader(content), tt.opts...) },
					&SaveOptions{Retention: Retention{KeepLast: 1}})
				if err != nil {
					t.Fatal(err)
				}
				if round == 0 {
					first = info.NewBytes
				}
				m, err := mustFind(t, mustJob(t, s, "j"), "latest").manifest(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				fresh, moved = fresh+info.NewBytes, moved+int64(m.Parts.At(0).MovedBytes)
			}
			fresh -= first
			if _, err := mustJob(t, s, "j").Collect(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			stored, objects := 0, 0
			for _, key := range mem.Keys() {
				b, _, err := mem.Get(context.Background(), key, 1<<30)
				if err != nil {
					t.Fatal(err)
				}
				stored, objects = stored+len(b), objects+1
			}
			times, share := float64(stored)/float64(len(content)), float64(moved)/float64(fresh)
			t.Logf("%-13s stored %.2f times the state, in %d objects; %.1f times the state was new, %.1f %% of that moved", name, times, objects,
				float64(fresh)/float64(len(content)), 100*share)
			if times > 2.6 || objects > fewPacks+20 || share > 0.35 {
				t.Errorf("stored %.2f times the state, in %d objects; %.1f %% of what was new was moved", times, objects, 100*share)
			}
			r, err := mustFind(t, mustJob(t, s, "j"), "latest").Open(context.Background(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d of %d bytes come back, or others: %v", len(got), len(content), err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			noViolations(t, mem)
		})
	}
}

// someChanged is a file of pages of which n change each time.
func someChanged(size, n int, rnd *rand.Rand) func() []byte {
	b := noise(9, size)
	return func() []byte {
		for range n {
			b[rnd.IntN(len(b))]++
		}
		return b
	}
}
