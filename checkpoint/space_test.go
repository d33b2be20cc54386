package checkpoint

import (
	"context"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestSpaceTellsWhatIsDead(t *testing.T) {
	const size = 6 << 20
	s := openMem(t, memstore.New())
	content := noise(1, size)
	space := func() Space {
		t.Helper()
		saveOne(t, s, content, Pages("*"))
		got, err := mustFind(t, mustJob(t, s, "j"), "latest").Space(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := space(); got.Packs < 1 || got.Bytes < size || got.Bytes > size+size/50 || got.Dead > size/50 {
		t.Errorf("of a first save: %+v", got)
	}
	copy(content, noise(2, size/3))
	if got := space(); got.Packs < 2 || got.Bytes < size+size/3 || got.Dead < size/3 || got.Dead > size/3+size/25 {
		t.Errorf("with a third of it changed: %+v", got)
	}
}
