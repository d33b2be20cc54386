package checkpoint

import (
	"context"
	"io"
	"sync"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// packStream reads a stretch of a pack block by block, from the cache where it has the block, and keeps those that it has to fetch. Neighbouring blocks that are not there are one
// request.
type packStream struct {
	ctx   context.Context
	store *Store
	key   string
	pack  *format.Object

	pos, end uint64 // what is still wanted of the pack
	buf      *[]byte
	start    uint64 // of the block at hand
	block    []byte // in buf

	from  *objstore.Stream // nil: none is open
	at    uint64           // where in the pack it is
	until uint64           // where it ends
}

// blocks are buffers of one block: there is one for each stream.
var blocks = sync.Pool{New: func() any { b := make([]byte, cacheBlock); return &b }}

// cached returns a stream through the store's cache; nil if nothing of the pack is kept: there is no cache, or this reader is to see the store itself.
func (c *Checkpoint) cached(ctx context.Context, o *format.Object, off, n uint64) *packStream {
	if c.pastCache || c.job.store.cache == nil || o.Embedded {
		return nil
	}
	key, _ := c.locate(o)
	return &packStream{ctx: ctx, store: c.job.store, key: key, pack: o, pos: off, end: off + n, buf: blocks.Get().(*[]byte)}
}

// open waits until there is something to read.
func (s *packStream) open() error {
	if i := s.pos / cacheBlock; s.pos < s.end && !s.store.cache.has(format.Nonce(s.pack.Nonce), i) {
		return s.ask(i)
	}
	return nil
}

// ask requests block i and those after it that are not there either.
func (s *packStream) ask(i uint64) error {
	s.drop()
	last := i
	for (last+1)*cacheBlock < s.end && !s.store.cache.has(format.Nonce(s.pack.Nonce), last+1) {
		last++
	}
	s.at, s.until = i*cacheBlock, min((last+1)*cacheBlock, s.pack.Size)
	s.from = s.store.objects.Stream(s.ctx, s.key, int64(s.at), int64(s.until-s.at))
	return s.from.Open()
}

func (s *packStream) drop() {
	if s.from != nil {
		_ = s.from.Close() // only frees the connection
		s.from = nil
	}
}

// Read is io.Reader.
func (s *packStream) Read(p []byte) (int, error) {
	if s.pos >= s.end {
		return 0, io.EOF
	}
	if s.pos < s.start || s.pos >= s.start+uint64(len(s.block)) {
		if err := s.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.block[s.pos-s.start:min(uint64(len(s.block)), s.end-s.start)])
	s.pos += uint64(n)
	return n, nil
}

// load makes the block of pos the one at hand.
func (s *packStream) load() error {
	nonce, i := format.Nonce(s.pack.Nonce), s.pos/cacheBlock
	s.start, s.block = i*cacheBlock, nil
	if s.start >= s.pack.Size {
		return &objstore.Error{Kind: objstore.KindCorrupt, Op: "get", Key: s.key, Err: io.ErrUnexpectedEOF}
	}
	b := (*s.buf)[:min(cacheBlock, s.pack.Size-s.start)]
	if s.from == nil || s.at != s.start || s.at == s.until {
		if s.store.cache.read(nonce, i, b) {
			s.block = b
			return nil
		}
		if err := s.ask(i); err != nil {
			return err
		}
	}
	n, err := io.ReadFull(s.from, b)
	if s.at += uint64(n); err != nil {
		return err
	}
	s.store.cache.write(nonce, i, b)
	s.block = b
	return nil
}

// Close gives the stream's memory and connection back.
func (s *packStream) Close() error {
	s.drop()
	if s.buf != nil {
		blocks.Put(s.buf)
		s.buf, s.block = nil, nil
	}
	return nil
}
