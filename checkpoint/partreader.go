package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/tidemark-go/tidemark/internal/format"
)

// readAhead is how much of a pack a sequential reader fetches at once.
const readAhead = 1 << 20

// PartReader reads one part, in sequence or at random: io.ReadSeekCloser and io.ReaderAt. Every byte is verified before it is handed on. It
// holds about 1.5 MiB. ReadAt may be called from several goroutines; they take turns.
type PartReader struct {
	c    *Checkpoint
	ctx  context.Context
	m    format.Contents
	part *format.Part

	turn chan struct{} // one token
	pos  int64         // of Read; guarded by turn, like what follows

	segment int // decoded, -1: none
	table   *format.Table
	packs   packs

	chunk   format.Chunk // content is its content, if valid
	valid   bool
	content []byte
	decoded []byte // content's space

	window struct { // raw bytes of a pack
		object uint32
		off    uint64
		b      []byte
	}
	last int64 // end of the last read: tells a sequential reader

	closed sync.Once
	done   chan struct{}
}

// Open reads one part. ErrNotFound if there is no such part. ctx bounds all reads.
func (c *Checkpoint) Open(ctx context.Context, part string) (*PartReader, error) {
	m, err := c.manifest(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.findPart(m, part)
	if err != nil {
		return nil, err
	}
	if p.Kind != format.Part_FILE && p.Kind != format.Part_STREAM {
		return nil, &Error{Kind: ErrInvalid, Op: "open", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Part: part, Err: fmt.Errorf("a %s has no content", kinds[p.Kind])}
	}
	r := &PartReader{c: c, ctx: ctx, m: m, part: p, segment: -1, turn: make(chan struct{}, 1), done: make(chan struct{})}
	r.turn <- struct{}{}
	return r, nil
}

// Size is the length of the part in bytes.
func (r *PartReader) Size() int64 { return int64(r.part.Size) }

// Close ends the reader; reads under way finish, later ones fail.
func (r *PartReader) Close() error {
	r.closed.Do(func() { close(r.done) })
	return nil
}

// lock takes the turn; the caller gives it back.
func (r *PartReader) lock() error {
	select {
	case <-r.done:
		return fs.ErrClosed
	default:
	}
	select {
	case <-r.turn:
		return nil
	case <-r.ctx.Done():
		return wrap(context.Cause(r.ctx), "read", r.c.job.name, r.c.retained.Id.Checkpoint)
	case <-r.done:
		return fs.ErrClosed
	}
}

func (r *PartReader) unlock() { r.turn <- struct{}{} }

// Read reads on from the position.
func (r *PartReader) Read(p []byte) (int, error) {
	if err := r.lock(); err != nil {
		return 0, err
	}
	defer r.unlock()
	n, err := r.readAt(p, r.pos)
	r.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek sets the position of Read.
func (r *PartReader) Seek(offset int64, whence int) (int64, error) {
	if err := r.lock(); err != nil {
		return 0, err
	}
	defer r.unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.Size()
	default:
		return 0, &Error{Kind: ErrInvalid, Op: "seek", Part: string(r.part.Name), Err: fmt.Errorf("whence %d", whence)}
	}
	if offset < 0 {
		return 0, &Error{Kind: ErrInvalid, Op: "seek", Part: string(r.part.Name), Err: errors.New("position before the start of the part")}
	}
	r.pos = offset
	return offset, nil
}

// ReadAt is io.ReaderAt.
func (r *PartReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &Error{Kind: ErrInvalid, Op: "read", Part: string(r.part.Name), Err: errors.New("negative offset")}
	}
	if err := r.lock(); err != nil {
		return 0, err
	}
	defer r.unlock()
	return r.readAt(p, off)
}

func (r *PartReader) readAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= r.Size() {
			return n, io.EOF
		}
		b, err := r.at(uint64(at))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b)
		r.last = off + int64(n)
	}
	return n, nil
}

// at returns verified bytes from offset off of the part, as many as lie in one extent.
func (r *PartReader) at(off uint64) ([]byte, error) {
	i := int(off / r.part.SegmentSize)
	if i != r.segment {
		t, packs, err := r.c.table(r.ctx, r.m, r.part.Segments[i], format.SegmentLength(r.part, i))
		if err != nil {
			return nil, err
		}
		r.segment, r.table, r.packs = i, t, packs
	}
	in := off - uint64(i)*r.part.SegmentSize
	for row := range r.table.ExtentChunk {
		e := r.table.Extent(row)
		if in >= uint64(e.Length) {
			in -= uint64(e.Length)
			continue
		}
		if e.Chunk == format.Zeros {
			return zeroBytes[:min(uint64(e.Length)-in, uint64(len(zeroBytes)))], nil
		}
		if err := r.load(int(e.Chunk), off == uint64(r.last)); err != nil {
			return nil, err
		}
		return r.content[uint64(e.Start)+in : e.Start+e.Length], nil
	}
	return nil, r.c.corrupt(string(r.part.Name), "", fmt.Errorf("%w: no extent covers offset %d", format.ErrCorrupt, off))
}

// load makes a chunk of the current table the content at hand.
func (r *PartReader) load(row int, sequential bool) error {
	c := r.table.Chunk(row)
	c.Pack = r.packs.object(c.Pack)
	if r.valid && r.chunk == c {
		return nil
	}
	r.valid = false
	o := r.m.Objects[c.Pack]
	w := &r.window
	if w.b == nil || w.object != c.Pack || c.Offset < w.off || c.Offset+uint64(c.Stored) > w.off+uint64(len(w.b)) {
		n := uint64(c.Stored)
		if sequential {
			n = max(n, r.ahead(row))
		}
		if uint64(cap(w.b)) < n {
			w.b = make([]byte, n)
		}
		b := w.b[:n]
		w.b = nil // not valid until it was read whole
		if err := r.c.readPack(r.ctx, o, c.Offset, b, string(r.part.Name)); err != nil {
			return err
		}
		w.object, w.off, w.b = c.Pack, c.Offset, b
	}
	if cap(r.decoded) < int(c.Raw) {
		r.decoded = make([]byte, 0, max(c.Raw, chunkSize))
	}
	content, err := r.c.frame(r.ctx, o, c, w.b[c.Offset-w.off:][:c.Stored], r.decoded, string(r.part.Name))
	if err != nil {
		return err
	}
	r.chunk, r.content, r.valid = c, content, true
	return nil
}

// ahead is how many bytes from chunk row on are wanted next anyway: the following chunks of the table that lie behind it.
func (r *PartReader) ahead(row int) uint64 {
	first := r.table.Chunk(row)
	end := first.Offset + uint64(first.Stored)
	for i := row + 1; i < len(r.table.ChunkPack); i++ {
		c := r.table.Chunk(i)
		if r.packs.object(c.Pack) != r.packs.object(first.Pack) || c.Offset != end || end+uint64(c.Stored)-first.Offset > readAhead {
			break
		}
		end += uint64(c.Stored)
	}
	return end - first.Offset
}
