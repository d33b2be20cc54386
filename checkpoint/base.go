package checkpoint

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/tidemark-go/tidemark/internal/format"
)

// base is the checkpoint that a save is compared with.
type base struct {
	*Checkpoint
	sealed bool        // only what is encrypted may be referred to
	used   atomic.Bool // the new manifest refers to something of it

	load     chan struct{} // one token: the first to need the manifest reads it, others wait under their own context
	manifest format.Contents
	damage   error      // why it cannot serve; the save is a full one then, and says so
	runs     []tableRun // in the order of the packs
	victims  []bool     // by object of the manifest: packs that the save empties; see compact.go
}

var errInTheClear = errors.New("the base checkpoint is not encrypted")

func newBase(c *Checkpoint, key *format.DataKey) *base {
	b := &base{Checkpoint: c, sealed: key != nil, load: make(chan struct{}, 1)}
	b.load <- struct{}{}
	return b
}

// newestBase is the checkpoint that a save is compared with by default: the last one that was committed; nil if there is none. After a repair the newest that is retained is not the
// last that was committed, and is no base: the repair found it by its name, and some HEAD before may have allowed collectors, which may still be under way, to delete what it refers to.
func newestBase(h *format.Head) *format.Retained {
	if n := len(h.GetRetained()); n > 0 && sameID(h.Retained[n-1].Id, h.Last) {
		return h.Retained[n-1]
	}
	return nil
}

// part looks a part up; nil if the base has none of this name, or is damaged (then reason says so).
func (b *base) part(ctx context.Context, name string) (p *format.Part, reason string, err error) {
	select {
	case <-b.load:
		defer func() { b.load <- struct{}{} }()
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
	if b.manifest.Manifest == nil && b.damage == nil {
		m, err := b.Checkpoint.manifest(ctx)
		switch {
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrRetired):
			b.damage = err
			b.job.store.opts.Logger.WarnContext(ctx, "base checkpoint is damaged, saving in full", "job", b.job.name, "base", b.retained.Id.Checkpoint, "error", err)
		case err != nil:
			return nil, "", err
		case b.sealed && inTheClear(m.Manifest):
			// What is saved with a key refers to nothing that everybody can read.
			b.damage = errInTheClear
		}
		b.manifest = m
		if m.Manifest != nil {
			b.victims = victims(m, b.retained.ManifestSize)
			b.runs = tableRuns(m.Parts.Tables(), uint64(b.job.store.tables.limit), uint64(b.job.store.buffers.size))
		}
	}
	if errors.Is(b.damage, errInTheClear) {
		return nil, b.damage.Error(), nil
	}
	if b.damage != nil {
		return nil, "the base checkpoint is damaged", nil
	}
	return b.manifest.Parts.Find([]byte(name)), "", nil
}

// carry makes an object of the base one of the new manifest, and returns its index there.
func (w *Writer) carry(index uint32) uint32 {
	w.base.used.Store(true)
	return w.packs.ref(carriedObject(w.base.manifest.Objects[index], w.base.retained))
}

// carrySegment refers to a whole segment of the base.
func (w *Writer) carrySegment(s *format.Segment) *format.Segment { return renumber(s, w.carry) }

// storedTable is the table of a segment with a delta as it was before it had one.
func (b *base) storedTable(ctx context.Context, m format.Contents, s *format.Segment) (*format.Table, error) {
	content, err := b.tableContent(ctx, m, s.GetStored())
	if err != nil {
		return nil, err
	}
	t, err := format.StoredTable(s, m.Objects, content)
	if err != nil {
		key, _ := b.locate(m.Objects[s.GetStored().Object])
		return nil, b.corrupt("", key, err)
	}
	return t, nil
}
