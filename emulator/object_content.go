package emulator

import (
	"crypto/md5"
	"hash/crc32"
	"io"
	"sync/atomic"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// content is an object's bytes, in pieces so that an upload of unknown length is never moved and a copy or a composite
// object shares what it is made of. The bytes never change.
type content struct {
	segments [][]byte
	size     int64
}

// append returns c followed by more.
func (c content) append(more content) content {
	return content{append(c.segments[:len(c.segments):len(c.segments)], more.segments...), c.size + more.size}
}

// part returns n bytes from offset off on.
func (c content) part(off, n int64) content {
	p := content{size: n}
	for _, segment := range c.segments {
		length := int64(len(segment))
		if off >= length {
			off -= length
			continue
		}
		if n == 0 {
			break
		}
		piece := segment[off:min(length, off+n)]
		p.segments = append(p.segments, piece)
		off, n = 0, n-int64(len(piece))
	}
	return p
}

func (c content) WriteTo(w io.Writer) (written int64, err error) {
	for _, segment := range c.segments {
		n, err := w.Write(segment)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// updateCRC continues crc with c's bytes.
func (c content) updateCRC(crc uint32) uint32 {
	for _, segment := range c.segments {
		crc = crc32.Update(crc, castagnoli, segment)
	}
	return crc
}

func (c content) md5() []byte {
	h := md5.New()
	_, _ = c.WriteTo(h) // a hash never fails
	return h.Sum(nil)
}

// budget bounds the bytes that a server keeps.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) reserve(n int64) error {
	_, err := b.reserveUpTo(n, n)
	return err
}

// reserveUpTo reserves most bytes, or what is left of them if that is at least the least.
func (b *budget) reserveUpTo(least, most int64) (int64, error) {
	for {
		used := b.used.Load()
		n := min(most, b.limit-used)
		if n < least {
			return 0, errMemory(b.limit)
		}
		if b.used.CompareAndSwap(used, used+n) {
			return n, nil
		}
	}
}

func (b *budget) release(n int64) { b.used.Add(-n) }

func (b *budget) reset() { b.used.Store(0) }
