package checkpoint

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	pageSize    = 4 << 10   // what databases write; see the table of page sizes in docs/format.md
	chunkSize   = 256 << 10 // BLAKE3 and Snappy are at full speed from 64 KiB; a ranged read fetches little too much
	segmentSize = 16 << 20  // a table of it is about 70 KiB, read or carried over as one piece

	// inlineTable is the largest table that lies in the manifest itself.
	inlineTable = 1 << 10
)

// workspace is the memory of one worker.
type workspace struct {
	read    [chunkSize]byte // as read
	dirty   []byte          // changed pages, up to chunkSize
	frame   []byte
	scratch []byte
}

var workspaces = sync.Pool{New: func() any {
	return &workspace{dirty: make([]byte, 0, chunkSize), frame: make([]byte, 0, format.MaxFrame(chunkSize))}
}}

// partSaver cuts one part into segments and pages, finds out which pages are not in the base, and packs those.
type partSaver struct {
	w    *Writer
	ctx  context.Context
	part *format.Part // being built
	was  *format.Part // in the base; nil: everything is new
	ws   *workspace

	table   *format.Table
	packs   map[uint32]uint32 // manifest's index of a pack → this table's
	index   []uint32          // the other way
	reserve int               // row of the chunk that ws.dirty will become; -1: none
	changed bool              // something in this segment differs from the base
	hasher  *format.PageHasher
	at      uint64 // where in the part ws.dirty begins
}

// saveContent reads r to its end and fills in the part's size, segments and figures. The size is not known beforehand.
func (w *Writer) saveContent(ctx context.Context, part, was *format.Part, r io.Reader) error {
	ws := workspaces.Get().(*workspace)
	defer workspaces.Put(ws)
	ps := &partSaver{w: w, ctx: ctx, part: part, was: was, ws: ws}
	part.SegmentSize = segmentSize
	if was != nil && was.SegmentSize != segmentSize {
		ps.was = nil
	}
	for eof := false; !eof; {
		n, err := ps.segment(io.LimitReader(r, segmentSize))
		if err != nil {
			return err
		}
		part.Size += uint64(n)
		eof = n < segmentSize
	}
	return nil
}

// segment saves up to segmentSize bytes; fewer mean the end of the part.
func (ps *partSaver) segment(r io.Reader) (n int, err error) {
	i := len(ps.part.Segments)
	was, err := ps.baseSegment(i)
	if err != nil {
		return 0, err
	}
	key := [format.PageKeySize]byte(newNonce())
	if was != nil && was.table.PageSize != 0 {
		key = [format.PageKeySize]byte(was.table.PageKey)
	}
	ps.table, ps.hasher = &format.Table{PageSize: pageSize, PageKey: key[:]}, format.NewPageHasher(key)
	ps.packs, ps.index, ps.reserve, ps.changed = map[uint32]uint32{}, nil, -1, false
	ps.ws.dirty = ps.ws.dirty[:0]
	for n < segmentSize {
		if err := context.Cause(ps.ctx); err != nil {
			return 0, err
		}
		got, err := io.ReadFull(r, ps.ws.read[:])
		if got > 0 {
			if err := ps.pages(ps.ws.read[:got], n, was); err != nil {
				return 0, err
			}
			n += got
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if n == 0 {
		return 0, nil
	}
	if err := ps.flush(); err != nil {
		return 0, err
	}
	if was != nil && !ps.changed && was.length == uint64(n) {
		ps.part.Segments = append(ps.part.Segments, ps.w.carrySegment(was.segment))
		ps.part.Chunks += uint64(len(was.table.ChunkPack))
		return n, nil
	}
	ps.part.Chunks += uint64(len(ps.table.ChunkPack))
	return n, ps.place(i, n)
}

// pages deals with a stretch of whole pages (the last one of a part may be short) at offset off of the segment.
func (ps *partSaver) pages(b []byte, off int, was *baseSegment) error {
	ps.w.opts.Progress.Bytes.Add(int64(len(b)))
	for len(b) > 0 {
		page := b[:min(pageSize, len(b))]
		hash := ps.hasher.Sum(page)
		ps.table.PageHash = append(ps.table.PageHash, hash[:]...)
		if was != nil && was.has(off, page, hash) {
			ps.refer(was, off, len(page))
		} else if err := ps.add(page, off); err != nil {
			return err
		}
		b, off = b[len(page):], off+len(page)
	}
	return nil
}

// add appends a changed page, at offset off of the segment, to the chunk under way.
func (ps *partSaver) add(page []byte, off int) error {
	ps.changed = true
	if ps.reserve < 0 {
		ps.at = uint64(len(ps.part.Segments))*segmentSize + uint64(off)
		// The row comes before its content, because extents have to be in the order of the part's bytes.
		ps.reserve = int(ps.table.AppendChunk(format.Chunk{}))
	}
	ps.table.AppendExtent(format.Extent{Chunk: uint32(ps.reserve), Start: uint32(len(ps.ws.dirty)), Length: uint32(len(page))})
	ps.ws.dirty = append(ps.ws.dirty, page...)
	ps.part.NewBytes += uint64(len(page))
	if len(ps.ws.dirty)+pageSize > chunkSize {
		return ps.flush()
	}
	return nil
}

// flush packs the chunk under way.
func (ps *partSaver) flush() error {
	if ps.reserve < 0 {
		return nil
	}
	content := ps.ws.dirty
	hash := format.Sum(content)
	ps.ws.frame, ps.ws.scratch = format.AppendFrame(ps.ws.frame[:0], content, ps.ws.scratch, format.CodecSnappy)
	pack, offset, stored, err := ps.w.packs.add(ps.ctx, ps.ws.frame, format.PackFrame{
		Kind: format.PackEntry_CHUNK, Raw: len(content), Hash: hash, Part: ps.part, Segment: len(ps.part.Segments), At: ps.at,
	})
	if err != nil {
		return err
	}
	ps.table.SetChunk(ps.reserve, format.Chunk{
		Pack: ps.local(pack), Offset: offset, Stored: stored, Raw: uint32(len(content)), Hash: hash,
	})
	ps.reserve, ps.ws.dirty = -1, content[:0]
	return nil
}

// local is the table's own number of a pack.
func (ps *partSaver) local(pack uint32) uint32 {
	i, ok := ps.packs[pack]
	if !ok {
		i = uint32(len(ps.index))
		ps.packs[pack], ps.index = i, append(ps.index, pack)
	}
	return i
}

// refer makes [off, off+n) of the segment what it is in the base.
func (ps *partSaver) refer(was *baseSegment, off, n int) {
	for n > 0 {
		e, into := was.extent(off)
		if e.Chunk == format.Zeros {
			take := min(int(e.Length)-into, n)
			ps.table.AppendExtent(format.Extent{Chunk: format.Zeros, Length: uint32(take)})
			off, n = off+take, n-take
			continue
		}
		row, ok := was.rows[e.Chunk]
		if !ok {
			c := was.table.Chunk(int(e.Chunk))
			c.Pack = ps.local(ps.w.carry(was.packs.object(c.Pack)))
			row = ps.table.AppendChunk(c)
			was.rows[e.Chunk] = row
		}
		take := min(int(e.Length)-into, n)
		ps.table.AppendExtent(format.Extent{Chunk: row, Start: e.Start + uint32(into), Length: uint32(take)})
		off, n = off+take, n-take
	}
}

// place decides where the segment's table goes: into the manifest if it is small and the part's only one, else into a pack.
func (ps *partSaver) place(i, n int) error {
	if n <= pageSize {
		// One page is one chunk: the chunk's hash serves, and 16 bytes less for each of many small files do too.
		ps.table.PageSize, ps.table.PageHash, ps.table.PageKey = 0, nil, nil
	}
	if i == 0 && n < segmentSize {
		inline := &format.Segment{Where: &format.Segment_Inline{Inline: ps.table}}
		if content, err := format.EncodeTable(ps.table); err != nil {
			return err
		} else if len(content) <= inlineTable {
			for row, pack := range ps.table.ChunkPack {
				ps.table.ChunkPack[row] = ps.index[pack]
			}
			ps.part.Segments = append(ps.part.Segments, inline)
			return nil
		}
	}
	for _, pack := range ps.index {
		ps.table.Packs = append(ps.table.Packs, ps.w.packs.nonce(pack))
	}
	content, err := format.EncodeTable(ps.table)
	if err != nil {
		return err
	}
	var frame []byte
	frame, ps.ws.scratch = format.AppendFrame(nil, content, ps.ws.scratch, format.CodecSnappy)
	hash := format.Sum(content)
	at := new(format.Location)
	ps.part.Segments = append(ps.part.Segments, &format.Segment{Where: &format.Segment_Stored{Stored: at}, Objects: ps.index, Used: ps.table.Used(len(ps.index))})
	ps.w.job.store.tables.add(hash, content)
	return ps.w.packs.addTable(ps.ctx, &pendingTable{frame: frame, hash: hash, raw: len(content), part: ps.part, segment: i, at: at})
}

// baseSegment is a segment of the base, decoded for comparison.
type baseSegment struct {
	segment *format.Segment
	table   *format.Table
	packs   packs
	length  uint64
	rows    map[uint32]uint32 // chunk rows of table → rows of the new table

	next, start int // extents are asked for in order: the next one, and where it starts in the segment
}

// baseSegment reads the base's table of segment i; nil if there is none that can serve.
func (ps *partSaver) baseSegment(i int) (*baseSegment, error) {
	if ps.was == nil || i >= len(ps.was.Segments) {
		return nil, nil
	}
	s, length := ps.was.Segments[i], format.SegmentLength(ps.was, i)
	t, packs, err := ps.w.base.table(ps.ctx, ps.w.base.manifest, s, length)
	if err != nil {
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrRetired) {
			ps.part.Reason = "part of its base is damaged"
			return nil, nil
		}
		return nil, err
	}
	onePage := t.PageSize == 0 && length <= pageSize && len(t.ExtentChunk) == 1
	if t.PageSize != pageSize && !onePage {
		return nil, nil
	}
	return &baseSegment{segment: s, table: t, packs: packs, length: length, rows: map[uint32]uint32{}}, nil
}

// has reports whether the base has the same page at off.
func (b *baseSegment) has(off int, page []byte, hash format.PageHash) bool {
	if uint64(off+len(page)) > b.length {
		return false
	}
	if b.table.PageSize == 0 {
		// The only chunk is the only page, if it holds nothing else.
		if uint64(len(page)) != b.length || len(b.table.ChunkPack) != 1 {
			return false
		}
		c := b.table.Chunk(0)
		return c.Raw == uint32(len(page)) && c.Hash == format.Sum(page)
	}
	return b.table.Page(off/pageSize) == hash // equal hashes mean equal lengths, too
}

// extent returns the extent that covers off, and how far into it off is.
func (b *baseSegment) extent(off int) (e format.Extent, into int) {
	if off < b.start {
		b.next, b.start = 0, 0
	}
	for {
		e = b.table.Extent(b.next)
		if off < b.start+int(e.Length) {
			return e, off - b.start
		}
		b.start += int(e.Length)
		b.next++
	}
}
