package checkpoint

import (
	"errors"
	"io"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Sizes of the chunks that a stream is cut into by its content. Smaller ones would find more where changes are scattered, and cost a table row of
// about 60 bytes and a lookup each; see docs/engine.md for what they find.
const (
	minChunk = 64 << 10      // from here BLAKE3 and the codecs are at full speed
	maxChunk = format.MaxRaw // what one frame holds

	// normalChunk is where cutting becomes 16 times as likely, so that most chunks end soon behind it: the mean is 256 KiB, and few are small or large.
	normalChunk = 208 << 10
	// A cut is where the rolling hash is below these limits: one position in 2^20 before normalChunk, one in 2^16 behind it.
	rareCut   = 1 << (64 - 20)
	commonCut = 1 << (64 - 16)
)

// gearWindow is how many bytes the rolling hash depends on: each one is shifted out after 64 others.
const gearWindow = 64

// gearSeed is "tidemark". The table decides where streams are cut: with another one nothing of a base would be found again.
const gearSeed = 0x7469_6465_6d61_726b

var gear = makeGear(gearSeed)

// makeGear fills the table with the first 256 numbers of the generator SplitMix64.
func makeGear(state uint64) (t [256]uint64) {
	for i := range t {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		t[i] = z ^ z>>31
	}
	return t
}

// cut returns the length of the chunk that b starts with. b is maxChunk bytes or more, or all that is left of the stream.
//
// The first minChunk bytes are not looked at, but for the window before the first possible cut: so whether to cut at a position depends on
// nothing but the 64 bytes before it and the distance from the chunk's start, and cuts find each other again behind a change.
func cut(b []byte) int {
	b = b[:min(len(b), maxChunk)]
	if len(b) <= minChunk {
		return len(b)
	}
	var h uint64
	for _, c := range b[minChunk-gearWindow : minChunk] {
		h = h<<1 + gear[c]
	}
	normal := min(len(b), normalChunk)
	n, h := scan(b[minChunk:normal], h, rareCut)
	if n += minChunk; n < normal {
		return n
	}
	n, _ = scan(b[normal:], h, commonCut)
	return normal + n
}

// scan rolls h over b and returns behind how many bytes it is first below limit: len(b) if only there, or never.
func scan(b []byte, h, limit uint64) (int, uint64) {
	i := 0
	// Four bytes in one step, so that most sums do not wait for each other: 2.5 GB/s instead of 1.
	for ; i+4 <= len(b); i += 4 {
		q := b[i : i+4 : i+4]
		g0, g1, g2, g3 := gear[q[0]], gear[q[1]], gear[q[2]], gear[q[3]]
		h0, h1 := h<<1+g0, h<<2+(g0<<1+g1)
		h2, h3 := h1<<1+g2, h1<<2+(g2<<1+g3)
		switch {
		case h0 < limit:
			return i + 1, h0
		case h1 < limit:
			return i + 2, h1
		case h2 < limit:
			return i + 3, h2
		case h3 < limit:
			return i + 4, h3
		}
		h = h3
	}
	for ; i < len(b); i++ {
		if h = h<<1 + gear[b[i]]; h < limit {
			return i + 1, h
		}
	}
	return i, h
}

// chunker cuts a stream by its content, within a buffer that the caller owns.
type chunker struct {
	r   io.Reader
	buf []byte // chunkerBuffer long

	start, end int // of what is not cut yet
	size       int // of the chunk that next returned last; it starts at start
	eof        bool
}

const (
	// chunkerBuffer holds a chunk of any size with the pages that its ends lie in, twice: what is moved to its front is less than what is read behind it.
	chunkerBuffer = 2 * (maxChunk + 2*pageSize)
)

// next returns the next chunk, valid until the call after it; io.EOF behind the last one.
func (c *chunker) next() ([]byte, error) {
	c.start, c.size = c.start+c.size, 0
	if err := c.fill(); err != nil {
		return nil, err
	}
	if c.start == c.end {
		return nil, io.EOF
	}
	c.size = cut(c.buf[c.start:c.end])
	return c.buf[c.start : c.start+c.size], nil
}

// fill makes at least a chunk of full size and a page behind it available, unless the stream ends before. A page before it stays.
func (c *chunker) fill() error {
	const want = maxChunk + pageSize
	if c.eof || c.end-c.start >= want {
		return nil
	}
	if from := c.start - pageSize; from > 0 && len(c.buf)-c.start < want {
		copy(c.buf, c.buf[from:c.end])
		c.start, c.end = c.start-from, c.end-from
	}
	n, err := io.ReadAtLeast(c.r, c.buf[c.end:], want-(c.end-c.start))
	c.end += n
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		c.eof, err = true, nil
	}
	return err
}

// around returns what the buffer holds of the stream from before bytes before the last chunk on: that chunk, and at least a page more unless the stream ends.
func (c *chunker) around(before int) []byte { return c.buf[c.start-before : c.end] }
