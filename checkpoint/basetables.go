package checkpoint

import (
	"cmp"
	"context"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// tableRun is tables of the base that lie near each other in one pack, and are fetched by one request.
type tableRun struct {
	turn   chan struct{}      // one token: the first to need one of them fetches all, others wait under their own context
	tables []*format.Location // in the order of their offsets
}

func (r *tableRun) start() uint64 { return r.tables[0].Offset }

func (r *tableRun) end() uint64 {
	last := r.tables[len(r.tables)-1]
	return last.Offset + uint64(last.Stored)
}

// tableRuns says for each table and delta of a manifest in which run it is. If all of them fit in limit bytes, which the cache has, a run may be as long as a pack's
// tables are, up to most bytes; else it is as short as a reader's, so that what was fetched is used before it has to go.
func tableRuns(m *format.Manifest, limit, most uint64) map[*format.Location]*tableRun {
	var all []*format.Location
	size := uint64(0)
	for s := range segments(m) {
		for _, l := range tablesOf(s) {
			all, size = append(all, l), size+uint64(l.Raw)
		}
	}
	if size > limit {
		most = min(most, tableWindow)
	}
	slices.SortFunc(all, func(a, b *format.Location) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Offset, b.Offset))
	})
	runs := make(map[*format.Location]*tableRun, len(all))
	var r *tableRun
	for _, l := range all {
		if r == nil || r.tables[0].Object != l.Object || l.Offset > r.end()+planGap || l.Offset+uint64(l.Stored) > r.start()+most {
			r = &tableRun{turn: make(chan struct{}, 1)}
			r.turn <- struct{}{}
		}
		r.tables = append(r.tables, l)
		runs[l] = r
	}
	return runs
}

// loadTables brings the tables of a segment into the cache, with those beside them. What it cannot bring is left to whoever reads the table.
func (b *base) loadTables(ctx context.Context, s *format.Segment) error {
	for _, l := range tablesOf(s) {
		if r := b.runs[l]; r != nil {
			if err := b.loadRun(ctx, r, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *base) loadRun(ctx context.Context, r *tableRun, wanted *format.Location) error {
	st, hash := b.job.store, format.Hash(wanted.Hash)
	if _, ok := st.tables.get(hash); ok {
		return nil
	}
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if _, ok := st.tables.get(hash); ok {
		return nil
	}
	buf, ok := st.buffers.idle()
	if !ok {
		return nil
	}
	defer st.buffers.put(buf)
	bytes := buf[:r.end()-r.start()]
	if err := b.readPack(ctx, b.manifest.Objects[wanted.Object], r.start(), bytes, ""); err != nil {
		return err
	}
	for _, l := range r.tables {
		b.rememberTable(b.manifest, bytes, r.start(), l)
	}
	return nil
}
