package checkpoint

import (
	"cmp"
	"context"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// tableRun is tables of the base that lie near each other in one pack, and are fetched by one request.
type tableRun struct {
	turn   chan struct{}  // one token: the first to need one of them fetches all, others wait under their own context
	tables []format.Chunk // in the order of their offsets
	end    uint64
}

func (r *tableRun) start() uint64 { return r.tables[0].Offset }

// tableRuns divides the tables and deltas of a manifest, in the order of the packs, into runs. If all of them fit in limit bytes, which the cache has, a run may be as long as a pack's
// tables are, up to most bytes; else it is as short as a reader's, so that what was fetched is used before it has to go.
func tableRuns(tables []format.Chunk, limit, most uint64) (runs []tableRun) {
	size := uint64(0)
	for _, t := range tables {
		size += uint64(t.Raw)
	}
	if size > limit {
		most = min(most, tableWindow)
	}
	for i, t := range tables {
		end := t.Offset + uint64(t.Stored)
		if n := len(runs); n > 0 && t.Pack == tables[i-1].Pack && t.Offset <= runs[n-1].end+planGap && end <= runs[n-1].start()+most {
			r := &runs[n-1]
			r.tables, r.end = r.tables[:len(r.tables)+1], max(r.end, end)
			continue
		}
		r := tableRun{turn: make(chan struct{}, 1), tables: tables[i : i+1], end: end}
		r.turn <- struct{}{}
		runs = append(runs, r)
	}
	return runs
}

// runOf is the number of the run that has the table at a place.
func runOf(runs []tableRun, pack uint32, offset uint64) int {
	i, ok := slices.BinarySearchFunc(runs, offset, func(r tableRun, offset uint64) int { return -comparePlaces(pack, offset, r.tables[0]) })
	if !ok {
		i--
	}
	return i
}

// comparePlaces orders frames as they lie in the packs.
func comparePlaces(pack uint32, offset uint64, other format.Chunk) int {
	return cmp.Or(cmp.Compare(pack, other.Pack), cmp.Compare(offset, other.Offset))
}

// loadTables brings the tables of a segment into the cache, with those beside them. What it cannot bring is left to whoever reads the table.
func (b *base) loadTables(ctx context.Context, s *format.Segment) error {
	for _, l := range tablesOf(s) {
		if err := b.loadRun(ctx, &b.runs[runOf(b.runs, l.Object, l.Offset)], format.Hash(l.Hash)); err != nil {
			return err
		}
	}
	return nil
}

func (b *base) loadRun(ctx context.Context, r *tableRun, wanted format.Hash) error {
	st := b.job.store
	if _, ok := st.tables.get(wanted); ok {
		return nil
	}
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if _, ok := st.tables.get(wanted); ok {
		return nil
	}
	buf, ok := st.buffers.idle()
	if !ok {
		return nil
	}
	defer st.buffers.put(buf)
	bytes := buf[:r.end-r.start()]
	if err := b.readPack(ctx, b.manifest.Objects[r.tables[0].Pack], r.start(), bytes, ""); err != nil {
		return err
	}
	for _, t := range r.tables {
		b.rememberTable(b.manifest, bytes, r.start(), t)
	}
	return nil
}
