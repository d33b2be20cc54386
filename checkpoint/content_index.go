package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	// indexBytes is what an entry of an index costs, with the map's own room.
	indexBytes = 40
	// indexShare is the part of the memory budget that one stream's index may take: at 48 MiB, the chunks of 20 GiB.
	indexShare = 16
	// ownChunks is how many of a part's new chunks are remembered for content that repeats itself: those of about 1 GiB.
	ownChunks = 4 << 10
)

// chunkIndex finds chunks by their hash: those of a part of the base, and the newest of the part that is being saved. Of a part with more chunks than fit
// into its memory, it holds those around the place where the stream is.
type chunkIndex struct {
	w      *Writer
	was    *format.Part
	at     map[uint64]indexed // by the first 8 bytes of the hash: what is found is held against the whole one
	limit  int
	lo, hi int // segments of the base that are in it

	own     []format.Chunk // the newest, as a ring
	newest  int
	number  int // the segment of the base that table and packs are of
	table   *format.Table
	packs   packs
	damaged bool
}

// indexed is where a chunk is described: by a row of a segment's table in the base, or of own.
type indexed struct{ segment, row int32 }

const inOwn = -1 // as a segment

func newChunkIndex(w *Writer, was *format.Part) *chunkIndex {
	return &chunkIndex{w: w, was: was, at: map[uint64]indexed{}, limit: int(w.job.store.opts.MemoryBudget) / indexShare / indexBytes, number: -1}
}

func indexKey(h format.Hash) uint64 { return binary.LittleEndian.Uint64(h[:]) }

// moveTo makes sure that the index holds what it can around segment i. A stream that does not shift never gets here, and has no table read twice.
func (x *chunkIndex) moveTo(ctx context.Context, i int) error {
	if x.was == nil || x.hi == len(x.was.Segments) || (x.hi > 0 && i < (x.lo+x.hi)/2) {
		return nil
	}
	if behind := i - (x.hi-x.lo)/4; behind > x.lo && len(x.at) >= x.limit {
		x.lo = behind
		for k, at := range x.at {
			if at.segment != inOwn && int(at.segment) < x.lo {
				delete(x.at, k)
			}
		}
		x.hi = max(x.hi, x.lo)
	}
	for ; x.hi < len(x.was.Segments) && len(x.at) < x.limit; x.hi++ {
		t, _, err := x.load(ctx, x.hi)
		if err != nil {
			return err
		}
		for row := range t.GetChunkPack() {
			k := binary.LittleEndian.Uint64(t.ChunkHash[row*format.HashSize:])
			if _, ok := x.at[k]; !ok {
				x.at[k] = indexed{int32(x.hi), int32(row)}
			}
		}
	}
	return nil
}

// load returns the table of a segment of the base; nil if it is damaged.
func (x *chunkIndex) load(ctx context.Context, i int) (*format.Table, packs, error) {
	if x.number != i {
		t, packs, err := x.w.base.table(ctx, x.w.base.manifest, x.was.Segments[i], format.SegmentLength(x.was, i))
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrRetired) {
			x.damaged, t, packs, err = true, nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		x.number, x.table, x.packs = i, t, packs
	}
	return x.table, x.packs, nil
}

// find returns the chunk with this content, its pack as the new manifest numbers it, for a stream in segment i. moved: the base has it, in a pack that is being
// emptied.
func (x *chunkIndex) find(ctx context.Context, i int, hash format.Hash) (c format.Chunk, found, moved bool, err error) {
	if err := x.moveTo(ctx, i); err != nil {
		return format.Chunk{}, false, false, err
	}
	at, ok := x.at[indexKey(hash)]
	if !ok {
		return format.Chunk{}, false, false, nil
	}
	if at.segment == inOwn {
		c = x.own[at.row]
		return c, c.Hash == hash, false, nil
	}
	t, packs, err := x.load(ctx, int(at.segment))
	if err != nil || t == nil {
		return format.Chunk{}, false, false, err
	}
	c = t.Chunk(int(at.row))
	if c.Hash != hash {
		return format.Chunk{}, false, false, nil
	}
	object := packs.object(c.Pack)
	if x.w.base.victim(object) {
		return format.Chunk{}, false, true, nil
	}
	c.Pack = x.w.carry(object)
	return c, true, false, nil
}

// add remembers a new chunk.
func (x *chunkIndex) add(c format.Chunk) {
	if len(x.own) < ownChunks {
		x.own = append(x.own, c)
	} else {
		if k := indexKey(x.own[x.newest].Hash); x.at[k] == (indexed{inOwn, int32(x.newest)}) {
			delete(x.at, k)
		}
		x.own[x.newest] = c
	}
	x.at[indexKey(c.Hash)] = indexed{inOwn, int32(x.newest)}
	x.newest = (x.newest + 1) % ownChunks
}
