package checkpoint

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// Many files have their tables in one place: a process that knows nothing reads HEAD and that.
func TestTablesOfManyFilesAreOneRead(t *testing.T) {
	state := files{}
	for i := range 40 {
		state[fmt.Sprintf("f%02d", i)] = noise(uint64(i), 100*pageSize+i) // each with a table of more than a KiB, which lies in a pack
	}
	mem := memstore.New()
	dir := state.write(t, t.TempDir())
	save := func() Info {
		info, err := openMem(t, mem).Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	save()
	state["f07"] = changed(state["f07"], 5)
	state.write(t, dir)
	info := save()
	if info.Requests.Get != 2 || info.NewBytes != pageSize {
		t.Errorf("%d reads and %d new bytes, want HEAD, the tables, and a page", info.Requests.Get, info.NewBytes)
	}
	if d := state.diff(restored(t, mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest"))); d != "" {
		t.Error(d)
	}
}

func TestTableRuns(t *testing.T) {
	const table = 70 << 10
	at := func(object uint32, offset uint64) format.Chunk {
		return format.Chunk{Pack: object, Offset: offset, Stored: table, Raw: table}
	}
	for name, tt := range map[string]struct {
		limit, most uint64
		tables      []format.Chunk
		want        []int // tables in each run
	}{
		"one place":           {1 << 20, 1 << 20, []format.Chunk{at(0, 16), at(0, 16+table), at(0, 16+2*table)}, []int{3}},
		"two packs":           {1 << 20, 1 << 20, []format.Chunk{at(0, 16), at(1, 16+table)}, []int{1, 1}},
		"a gap worth reading": {1 << 20, 1 << 20, []format.Chunk{at(0, 16), at(0, 16+table+planGap)}, []int{2}},
		"a gap too large":     {1 << 20, 1 << 20, []format.Chunk{at(0, 16), at(0, 17+table+planGap)}, []int{1, 1}},
		"longer than a buffer": {
			1 << 20, 2 * table, []format.Chunk{at(0, 16), at(0, 16+table), at(0, 16+2*table)}, []int{2, 1},
		},
		"more than the cache has": {
			10 * table, 8 << 20, []format.Chunk{
				at(0, 0), at(0, table), at(0, 2*table), at(0, 3*table), at(0, 4*table), at(0, 5*table), at(0, 6*table), at(0, 7*table),
				at(0, 8*table), at(0, 9*table), at(0, 10*table), at(0, 11*table), at(0, 12*table), at(0, 13*table), at(0, 14*table), at(0, 15*table),
			}, []int{14, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			runs := tableRuns(tt.tables, tt.limit, tt.most)
			sizes := map[int]int{}
			for _, l := range tt.tables {
				i := runOf(runs, l.Pack, l.Offset)
				if r := runs[i]; !slices.Contains(r.tables, l) || r.start() > l.Offset || r.end < l.Offset+table {
					t.Fatalf("the run of the table at %d does not hold it", l.Offset)
				}
				sizes[len(runs[i].tables)]++
			}
			for _, n := range tt.want {
				if sizes[n] < n {
					t.Errorf("no run of %d tables: %v", n, sizes)
				}
				sizes[n] -= n
			}
		})
	}
}
