package checkpoint

import (
	"context"
	"errors"
	"io"

	"github.com/tidemark-go/tidemark/internal/format"
)

// segmentSaver cuts segments of a part into pages, finds out which are not in the base, and packs those. One goroutine uses it.
type segmentSaver struct {
	w        *Writer
	ctx      context.Context
	ws       *workspace
	part     *format.Part // name and kind of it; others may be saving it too
	was      *format.Part // in the base; nil: everything is new
	compress format.Compressor

	hashes []byte // space for those of the pages of a segment

	number   int
	base     *baseSegment
	table    *format.Table // under construction: its packs are the manifest's objects
	reserve  int           // row of the chunk that ws.dirty will become; -1: none
	at       int           // offset in the segment of that chunk
	changed  bool          // something in this segment differs from the base
	newBytes uint64
	moved    uint64 // bytes written again because their pack is to be emptied
	chunks   uint64
	damaged  bool // the base's table could not be used
}

func (w *Writer) newSegmentSaver(ctx context.Context, ws *workspace, part, was *format.Part) *segmentSaver {
	return &segmentSaver{w: w, ctx: ctx, ws: ws, part: part, was: was, compress: format.Compressor{Codec: w.job.store.codec}}
}

// onlySegmentSaver is newSegmentSaver for who needs one at a time of a workspace: small files are many, and it costs them nothing.
func (w *Writer) onlySegmentSaver(ctx context.Context, ws *workspace, part, was *format.Part) *segmentSaver {
	ws.saver = segmentSaver{w: w, ctx: ctx, ws: ws, part: part, was: was, compress: format.Compressor{Codec: w.job.store.codec}, hashes: ws.hashes}
	return &ws.saver
}

type savedSegment struct {
	segment *format.Segment // nil if there was nothing
	length  int
}

// save saves segment i, at most limit bytes of src; fewer mean the end of the part. The first known bytes are what the base has, and are not read.
func (s *segmentSaver) save(i int, src source, limit, known int) (savedSegment, error) {
	if err := s.begin(i); err != nil {
		return savedSegment{}, err
	}
	n := s.keep(known)
	for n < limit {
		if err := context.Cause(s.ctx); err != nil {
			return savedSegment{}, err
		}
		got, hole, err := src.next(s.ws.read[:min(chunkSize, limit-n)], int64(i)*segmentSize+int64(n))
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return savedSegment{}, err
		}
		switch {
		case hole > 0:
			hole = min(hole, int64(limit-n))
			s.hole(n, int(hole))
		case got > 0:
			if err := s.pages(s.ws.read[:got], n, n == 0 && (end || limit == got)); err != nil {
				return savedSegment{}, err
			}
		}
		if n += got + int(hole); end {
			break
		}
	}
	if n == 0 {
		return savedSegment{}, nil
	}
	s.w.opts.Progress.Bytes.Add(int64(n))
	return s.end(n)
}

func (s *segmentSaver) begin(i int) (err error) {
	s.number, s.newBytes, s.moved, s.chunks, s.reserve, s.changed, s.ws.dirty = i, 0, 0, 0, -1, false, s.ws.dirty[:0]
	s.base, s.damaged, err = s.w.baseSegment(s.ctx, s.was, i)
	if err != nil {
		return err
	}
	key := s.w.pageKey[:]
	if s.base != nil && s.base.table.PageSize != 0 {
		key = s.base.table.PageKey
	}
	s.ws.hashPagesWith([format.PageKeySize]byte(key))
	s.table = newTable(key, s.hashes[:0])
	return nil
}

// newTable makes a table in one allocation as far as it has one chunk and one extent, like those of most small parts. Page hashes go to hashes.
func newTable(key, hashes []byte) *format.Table {
	x := new(struct {
		t     format.Table
		words [6]uint32
		off   [1]uint64
		hash  [format.HashSize]byte
	})
	one := func(i int) []uint32 { return x.words[i : i : i+1] }
	x.t.PageSize, x.t.PageKey, x.t.PageHash = pageSize, key, hashes
	x.t.ChunkPack, x.t.ChunkStored, x.t.ChunkRaw, x.t.ChunkOffset, x.t.ChunkHash = one(0), one(1), one(2), x.off[:0], x.hash[:0]
	x.t.ExtentChunk, x.t.ExtentStart, x.t.ExtentLength = one(3), one(4), one(5)
	return &x.t
}

// end places what is left of a segment of n bytes.
func (s *segmentSaver) end(n int) (savedSegment, error) {
	if err := s.flush(); err != nil {
		return savedSegment{}, err
	}
	if s.base != nil && !s.changed && s.base.length == uint64(n) && !s.w.base.mustMove(s.base.segment) {
		s.chunks = uint64(len(s.base.table.ChunkPack))
		return savedSegment{s.w.carrySegment(s.base.segment), n}, nil
	}
	if len(s.table.ChunkPack) == 0 || len(s.table.PageHash) == 0 {
		// All zeros, or one page that is one chunk: without hashes the table says as much.
		s.table.PageSize, s.table.PageKey, s.table.PageHash = 0, nil, nil
	}
	s.chunks = uint64(len(s.table.ChunkPack))
	seg, err := s.w.placeTable(s.ctx, s.ws, s.part, s.number, n, s.table, s.base)
	return savedSegment{seg, n}, err
}

// keep takes the pages of the first known bytes from the base, without the bytes. It returns how many those are.
func (s *segmentSaver) keep(known int) int {
	if s.base == nil || s.base.table.PageSize == 0 || s.w.base.mustMove(s.base.segment) {
		return 0
	}
	n := min(known, int(s.base.length)) &^ (pageSize - 1)
	if n > 0 {
		s.table.PageHash = append(s.table.PageHash, s.base.table.PageHash[:n/pageSize*format.PageHashSize]...)
		s.base.refer(s.w, s.table, 0, n)
	}
	return n
}

// kind is what a page turned out to be.
type kind int

const (
	isNew   kind = iota
	isMoved      // as in the base, in a pack that is to be emptied
	isSame
	isZeros
)

// pages deals with a stretch of whole pages (the last one of a part may be short) at offset off of the segment. alone: it is all that the segment has.
func (s *segmentSaver) pages(b []byte, off int, alone bool) error {
	if alone && len(b) <= pageSize && (s.base == nil || s.base.table.PageSize == 0) && !isZero(b) {
		return s.onlyPage(b)
	}
	// Neighbours of one kind are dealt with together.
	start, run := 0, kind(-1)
	for at := 0; at < len(b); at += pageSize {
		k := s.page(b[at:min(at+pageSize, len(b))], off+at)
		if k == run {
			continue
		}
		if err := s.run(b[start:at], off+start, run); err != nil {
			return err
		}
		start, run = at, k
	}
	return s.run(b[start:], off+start, run)
}

// page notes the hash of a page and says what it is.
func (s *segmentSaver) page(page []byte, off int) kind {
	zero := isZero(page)
	hash := s.ws.zeroPage
	if !zero || len(page) < pageSize {
		hash = s.ws.pages.Sum(page)
	}
	return s.compare(page, off, hash, zero)
}

func (s *segmentSaver) compare(page []byte, off int, hash format.PageHash, zero bool) kind {
	s.table.PageHash = append(s.table.PageHash, hash[:]...)
	switch {
	case s.base != nil && s.base.has(off, page, hash):
		if s.w.base.victims != nil && s.base.inVictim(s.w.base, off, len(page)) {
			return isMoved
		}
		return isSame
	case zero:
		return isZeros
	}
	return isNew
}

// run deals with neighbours of one kind.
func (s *segmentSaver) run(b []byte, off int, k kind) error {
	switch {
	case len(b) == 0:
	case k == isNew:
		s.newBytes += uint64(len(b))
		return s.add(b, off)
	case k == isMoved:
		s.moved += uint64(len(b))
		return s.add(b, off)
	default:
		s.refer(off, len(b), k)
	}
	return nil
}

// refer deals with neighbours of which nothing has to be packed.
func (s *segmentSaver) refer(off, n int, k kind) {
	if k == isSame {
		s.base.refer(s.w, s.table, off, n)
		return
	}
	s.changed = true
	s.table.AppendExtent(format.Extent{Chunk: format.Zeros, Length: uint32(n)})
}

// hole deals with n bytes that are zeros without having been read.
func (s *segmentSaver) hole(off, n int) {
	for end := off + n; off < end; {
		page := zeros[:min(pageSize, end-off)]
		s.refer(off, len(page), s.page(page, off))
		off += len(page)
	}
}

// onlyPage saves a segment of one page. Its chunk's hash serves as the page's, too.
func (s *segmentSaver) onlyPage(b []byte) error {
	hash := format.Sum(b)
	switch {
	case s.base == nil || !s.base.isOnlyPage(len(b), hash):
		s.newBytes = uint64(len(b))
	case s.w.base.mustMove(s.base.segment):
		s.moved = uint64(len(b))
	default:
		s.base.refer(s.w, s.table, 0, len(b))
		return nil
	}
	s.changed = true
	return s.chunk(b, hash, 0)
}

// add packs pages: at least half a chunk as they are, fewer together with others.
func (s *segmentSaver) add(b []byte, off int) error {
	s.changed = true
	for len(b) > 0 {
		if len(b) >= chunkSize/2 {
			if err := s.flush(); err != nil {
				return err
			}
			return s.chunk(b, format.Sum(b), off)
		}
		if s.reserve < 0 {
			// The row comes before its content, because extents have to be in the order of the part's bytes.
			s.reserve, s.at = int(s.table.AppendChunk(format.Chunk{})), off
		}
		n := min(len(b), chunkSize-len(s.ws.dirty))
		s.table.AppendExtent(format.Extent{Chunk: uint32(s.reserve), Start: uint32(len(s.ws.dirty)), Length: uint32(n)})
		s.ws.dirty = append(s.ws.dirty, b[:n]...)
		if b, off = b[n:], off+n; len(s.ws.dirty) == chunkSize {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunk packs the next len(content) bytes of the segment as a chunk of their own.
func (s *segmentSaver) chunk(content []byte, hash format.Hash, off int) error {
	c, err := s.pack(content, hash, off)
	if err != nil {
		return err
	}
	row := s.table.AppendChunk(c)
	s.table.AppendExtent(format.Extent{Chunk: row, Length: uint32(len(content))})
	return nil
}

// flush packs the pages that were collected.
func (s *segmentSaver) flush() error {
	if s.reserve < 0 {
		return nil
	}
	c, err := s.pack(s.ws.dirty, format.Sum(s.ws.dirty), s.at)
	if err != nil {
		return err
	}
	s.table.SetChunk(s.reserve, c)
	s.reserve, s.ws.dirty = -1, s.ws.dirty[:0]
	return nil
}

func (s *segmentSaver) pack(content []byte, hash format.Hash, off int) (format.Chunk, error) {
	return s.w.packs.chunk(s.ctx, s.ws, &s.compress, content, hash, frameOf{part: s.part, segment: s.number, at: uint64(s.number)*segmentSize + uint64(off)})
}
