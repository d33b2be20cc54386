package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// saveByContent reads r to its end and cuts it by its content. Of a chunk of which most pages are what the base has at their place, the
// other pages are packed; so a stream of pages that change in place costs no more than by pages. Any other chunk is referred to where the base's part has it,
// or this part has had it just now, and packed as a whole if neither has. With alone it is cut only: then the tables have no page hashes and are a fifteenth as large.
func (w *Writer) saveByContent(ctx context.Context, part, was *format.Part, r io.Reader, alone bool) error {
	ws, err := w.job.store.workers.get(ctx)
	if err != nil {
		return err
	}
	defer w.job.store.workers.put(ws)
	r = w.job.store.workers.reader(r)
	buf := ws.cutting()
	n, err := io.ReadFull(r, buf[:minChunk+1])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return w.saveStreamIn(ctx, ws, part, was, bytes.NewReader(buf[:n])) // not more than one chunk: pages can only be better
	case err != nil:
		return err
	}
	if was != nil && was.SegmentSize != segmentSize {
		was = nil
	}
	part.Method, part.SegmentSize = format.Part_CONTENT, segmentSize
	c := &contentSaver{w: w, ctx: ctx, part: part, was: was, alone: alone, known: newChunkIndex(w, was)}
	c.cut = chunker{r: r, buf: buf, end: n}
	for i := range c.open {
		c.open[i].segmentSaver = w.newSegmentSaver(ctx, ws, part, was)
	}
	return c.run()
}

// contentSaver saves one part by content.
type contentSaver struct {
	w         *Writer
	ctx       context.Context
	part, was *format.Part
	alone     bool
	cut       chunker
	known     *chunkIndex
	open      [2]contentSegment // a chunk may lie in two segments: the even and the odd ones
	pieces    [2]piece          // of the chunk under way

	found, stayed uint64 // bytes: of chunks that were known, and of pages that are where they were
}

// contentSegment is a segment under construction.
type contentSegment struct {
	*segmentSaver
	begun bool
	kinds []kind                 // of its pages, as far as they were read
	rows  map[format.Hash]uint32 // of chunks in the table
}

// piece is what of a chunk lies in one segment: from offset off on.
type piece struct {
	seg *contentSegment
	off int
	b   []byte
}

func (c *contentSaver) run() error {
	for {
		if err := context.Cause(c.ctx); err != nil {
			return err
		}
		b, err := c.cut.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := c.chunk(b); err != nil {
			return err
		}
		c.part.Size += uint64(len(b))
		c.w.opts.Progress.Bytes.Add(int64(len(b)))
	}
	if n := int(c.part.Size % segmentSize); n > 0 {
		if err := c.end(&c.open[c.part.Size/segmentSize%2], n); err != nil {
			return err
		}
	}
	switch {
	case c.known.damaged:
		c.part.Reason = "part of its base is damaged"
	case c.was != nil:
		c.part.Reason = fmt.Sprintf("%d %% found by content, %d %% in place", c.found*100/c.part.Size, c.stayed*100/c.part.Size)
	}
	return nil
}

// chunk saves the chunk that the part goes on with.
func (c *contentSaver) chunk(b []byte) error {
	pieces, err := c.split(b)
	if err != nil {
		return err
	}
	whole, err := c.whole(b, pieces)
	if err != nil {
		return err
	}
	start := 0
	for _, p := range pieces {
		if whole.Raw != 0 {
			p.seg.refer(whole, start, p)
		} else if err := p.seg.byPages(p); err != nil {
			return err
		}
		start += len(p.b)
		if p.off+len(p.b) == segmentSize {
			if err := c.end(p.seg, segmentSize); err != nil {
				return err
			}
		}
	}
	return nil
}

// split divides the chunk b between the segments that it lies in, and finds out about the pages that it lies in.
func (c *contentSaver) split(b []byte) ([]piece, error) {
	pieces, at := c.pieces[:0], c.part.Size
	before := int(at % pageSize)
	around := c.cut.around(before)
	for rest := b; len(rest) > 0; {
		i, off := int(at/segmentSize), int(at%segmentSize)
		n := min(len(rest), segmentSize-off)
		p := piece{&c.open[i%2], off, rest[:n]}
		if !p.seg.begun {
			if err := c.begin(p.seg, i); err != nil {
				return nil, err
			}
		}
		if !c.alone {
			for end := off + n; len(p.seg.kinds)*pageSize < end; {
				page := len(p.seg.kinds) * pageSize
				from := int(at) - off + page - int(c.part.Size) + before // in around
				to := min(from+pageSize, len(around))
				p.seg.kinds = append(p.seg.kinds, p.seg.page(around[from:to], page))
			}
		}
		pieces, rest, at = append(pieces, p), rest[n:], at+uint64(n)
	}
	return pieces, nil
}

func (c *contentSaver) begin(s *contentSegment, i int) error {
	// The pages that the other segment has collected are in the memory that this one will collect in.
	if other := &c.open[(i+1)%2]; other.begun {
		if err := other.flush(); err != nil {
			return err
		}
	}
	s.begun, s.kinds, s.rows = true, s.kinds[:0], map[format.Hash]uint32{}
	return s.begin(i)
}

// whole returns the chunk with content b that the part refers to, one of the base or a new one; none if its pages do better each for itself.
func (c *contentSaver) whole(b []byte, pieces []piece) (chunk format.Chunk, err error) {
	same, moved := 0, 0
	for _, p := range pieces {
		same += p.count(isSame)
		moved += p.count(isMoved)
	}
	if same > len(b)/2 || allZero(b) {
		c.stayed += uint64(same)
		return chunk, nil
	}
	hash := format.Sum(b)
	chunk, found, inVictim, err := c.known.find(c.ctx, pieces[0].seg.number, hash)
	switch {
	case err != nil:
	case found:
		c.found += uint64(len(b))
	default:
		if inVictim {
			moved = len(b)
		}
		c.part.MovedBytes += uint64(moved)
		c.part.NewBytes += uint64(len(b) - moved)
		if chunk, err = pieces[0].seg.pack(b, hash, pieces[0].off); err == nil {
			c.known.add(chunk)
		}
	}
	return chunk, err
}

// count is how many bytes of the piece lie in pages of a kind.
func (p piece) count(of kind) (n int) {
	_ = p.runs(func(b []byte, _ int, k kind) error {
		if k == of {
			n += len(b)
		}
		return nil
	})
	return n
}

// runs calls f with each stretch of pages of one kind, as far as it lies in the piece.
func (p piece) runs(f func(b []byte, off int, k kind) error) error {
	kinds, end := p.seg.kinds, p.off+len(p.b)
	if len(kinds) == 0 {
		return nil
	}
	for at := p.off; at < end; {
		k, stop := kinds[at/pageSize], at
		for stop < end && kinds[stop/pageSize] == k {
			stop = min(end, (stop/pageSize+1)*pageSize)
		}
		if err := f(p.b[at-p.off:stop-p.off], at, k); err != nil {
			return err
		}
		at = stop
	}
	return nil
}

// refer makes the piece a reference to a chunk, from start on.
func (s *contentSegment) refer(c format.Chunk, start int, p piece) {
	row, ok := s.rows[c.Hash]
	if !ok {
		row = s.table.AppendChunk(c)
		s.rows[c.Hash] = row
	}
	s.table.AppendExtent(format.Extent{Chunk: row, Start: uint32(start), Length: uint32(len(p.b))})
}

// byPages deals with each page of a piece for itself. If nothing is known about pages, it is zeros.
func (s *contentSegment) byPages(p piece) error {
	if len(s.kinds) == 0 {
		s.segmentSaver.refer(p.off, len(p.b), isZeros)
		return nil
	}
	return p.runs(s.run)
}

// end places a segment of n bytes, or carries the base's if it is the same.
func (c *contentSaver) end(s *contentSegment, n int) error {
	s.begun, s.changed = false, c.alone || slices.ContainsFunc(s.kinds, func(k kind) bool { return k != isSame })
	same, err := c.unchanged(s, n)
	if err != nil {
		return err
	}
	if same {
		c.part.Segments = append(c.part.Segments, c.w.carrySegment(c.was.Segments[s.number]))
		c.part.Chunks += uint64(len(s.table.ChunkPack))
		return nil
	}
	saved, err := s.end(n)
	c.part.Segments = append(c.part.Segments, saved.segment)
	s.count(c.part)
	return err
}

// unchanged reports whether a segment without page hashes came out as it is in the base.
func (c *contentSaver) unchanged(s *contentSegment, n int) (bool, error) {
	i := s.number
	if !c.alone || c.was == nil || i >= len(c.was.Segments) || format.SegmentLength(c.was, i) != uint64(n) || c.w.base.mustMove(c.was.Segments[i]) {
		return false, nil
	}
	was, _, err := c.known.load(c.ctx, i)
	if err != nil || was == nil {
		return false, err
	}
	now := s.table
	return was.PageSize == 0 && bytes.Equal(was.ChunkHash, now.ChunkHash) && slices.Equal(was.ExtentChunk, now.ExtentChunk) &&
		slices.Equal(was.ExtentStart, now.ExtentStart) && slices.Equal(was.ExtentLength, now.ExtentLength), nil
}
