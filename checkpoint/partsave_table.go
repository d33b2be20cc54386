package checkpoint

import (
	"context"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	// inlineTable is the largest table that lies in the manifest itself.
	inlineTable = 1 << 10

	// deltaShare is the part of a table's size that a delta against it may have, as a divisor. With a delta of g bytes for each save and a table of t,
	// a cycle of n saves up to n·g = t/deltaShare writes t + g·n²/2, which is least for each save at n·g = sqrt(2·g·t): a sixth of t for the 1 % of
	// pages per save (41 of 4,096, 29 bytes each, against 70 KiB) that tables are meant for. It is flat there: half or twice as much costs a quarter more.
	deltaShare = 6
)

// placeTable decides where the finished table of segment i goes, which is n bytes long and was was in the base: into the manifest if it is small and the part's
// only one; else into a pack, as what differs from the base's if that is little.
func (w *Writer) placeTable(ctx context.Context, ws *workspace, part *format.Part, i, n int, t *format.Table, was *baseSegment) (*format.Segment, error) {
	const row = format.HashSize + 16 // of a chunk and its extent
	if i == 0 && n < segmentSize && len(t.ChunkPack)*row+len(t.ExtentChunk)*8+len(t.PageHash) <= inlineTable {
		t.PageHash = slices.Clone(t.PageHash) // it is the workspace's
		return &format.Segment{Where: &format.Segment_Inline{Inline: t}}, nil
	}
	objects := w.numberPacks(t)
	if was != nil && was.segment.GetStored() != nil && !w.base.mustMove(was.segment) {
		seg, err := w.placeDelta(ctx, ws, part, i, n, t, objects, was)
		if seg != nil || err != nil {
			return seg, err
		}
	}
	content, err := format.EncodeTable(t)
	if err != nil {
		return nil, err
	}
	at, err := w.placeContent(ctx, ws, part, i, format.PackEntry_TABLE, content)
	return &format.Segment{Where: &format.Segment_Stored{Stored: at}, Objects: objects, Used: t.Used(len(objects))}, err
}

// numberPacks gives a table its own numbers of packs instead of the manifest's, which it returns in that order.
func (w *Writer) numberPacks(t *format.Table) (objects []uint32) {
	local := map[uint32]uint32{}
	for row, object := range t.ChunkPack {
		k, ok := local[object]
		if !ok {
			k = uint32(len(objects))
			local[object], objects = k, append(objects, object)
			t.Packs = append(t.Packs, w.packs.nonce(object))
		}
		t.ChunkPack[row] = k
	}
	return objects
}

// placeDelta places what of t differs from the table that the base has stored, if that is little; else it returns nil.
func (w *Writer) placeDelta(ctx context.Context, ws *workspace, part *format.Part, i, n int, t *format.Table, objects []uint32, was *baseSegment) (*format.Segment, error) {
	under, stored := was.table, was.segment.GetStored()
	if was.segment.Delta != nil {
		var err error
		if under, err = w.base.storedTable(ctx, w.base.manifest, was.segment); err != nil {
			return nil, err
		}
	}
	if under.PageSize != t.PageSize || string(under.PageKey) != string(t.PageKey) {
		return nil, nil
	}
	delta, err := format.DeltaOf(under, t)
	if err != nil {
		return nil, err
	}
	if len(delta.PageHash) > int(stored.Raw)/deltaShare {
		return nil, nil // without the effort of encoding it
	}
	content, err := format.EncodeDelta(delta)
	if err != nil || len(content) > int(stored.Raw)/deltaShare {
		return nil, err
	}
	now, err := format.Overlay(under, delta, uint64(n))
	if err != nil {
		return nil, err
	}
	base := w.carrySegment(&format.Segment{Where: was.segment.Where, Objects: was.segment.Objects[:len(under.Packs)]})
	for _, nonce := range delta.Packs {
		base.Objects = append(base.Objects, w.packs.object(format.Nonce(nonce)))
	}
	base.Used = now.Used(len(base.Objects))
	base.Delta, err = w.placeContent(ctx, ws, part, i, format.PackEntry_DELTA, content)
	return base, err
}

// placeContent hands an encoded table to the packer, and remembers it for the next save.
func (w *Writer) placeContent(ctx context.Context, ws *workspace, part *format.Part, i int, kind format.PackEntry_Kind, content []byte) (*format.Location, error) {
	t := &pendingTable{content: content, at: new(format.Location), what: format.PackFrame{Kind: kind, Raw: len(content), Hash: format.Sum(content), Part: part, Segment: i}}
	w.job.store.tables.add(t.what.Hash, content)
	return t.at, w.packs.addTable(ctx, ws, t)
}
