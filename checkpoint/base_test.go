package checkpoint

import (
	"context"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// What a repair of HEAD has adopted may be gone tomorrow, by a collector that read HEAD before it was lost. So nothing that is saved afterwards refers to it.
func TestWhatRepairAdoptedIsNoBase(t *testing.T) {
	const size = 2 * embedLimit
	state := files{"db": noise(1, size)}
	saves := map[string]func(t *testing.T, s *Store) Info{
		"owner": func(t *testing.T, s *Store) Info {
			return mustCommit(t, mustBegin(t, mustAcquire(t, s, nil), state))
		},
		"one-shot save": func(t *testing.T, s *Store) Info { return mustSave(t, s, "j", state) },
		"worker": func(t *testing.T, s *Store) Info {
			o := mustAcquire(t, s, nil)
			w := mustBegin(t, o, nil)
			mustTake(t, w, finish(t, o.Worker(o.Epoch(), w.Checkpoint(), "w"), state))
			return mustCommit(t, w)
		},
	}
	for who, save := range saves {
		t.Run(who, func(t *testing.T) {
			mem := memstore.New()
			s := openMem(t, mem)
			mustCommit(t, mustBegin(t, mustAcquire(t, s, nil), state))
			adopt(t, mustJob(t, s, "j"))
			if info := save(t, s); info.NewBytes != size || info.Checkpoint != 3 {
				t.Errorf("the first save afterwards: %+v", info)
			}
			if info := save(t, s); info.NewBytes != 0 {
				t.Errorf("the second save afterwards: %+v", info)
			}
			if _, err := mustJob(t, s, "j").Retain(context.Background(), Retention{KeepLast: 1}, false); err != nil {
				t.Fatal(err)
			}
			onlyNeeded(t, s, mem, "j")
		})
	}
}

// adopt makes HEAD what a repair makes of it: all that is whole is retained, and the last commit is one that is not.
func adopt(t *testing.T, j *Job) {
	t.Helper()
	at, err := j.readHead(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.writeHead(context.Background(), at, headChange{op: "repair", apply: func(h *format.Head) error {
		h.Epoch += 1_000_000
		h.Fence, h.LastManifest, h.LastBody = newNonce(), newNonce(), nil
		h.Last = &format.CheckpointID{Epoch: h.Epoch, Checkpoint: h.Last.Checkpoint + 1}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
}
