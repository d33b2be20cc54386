package emulator

import (
	"crypto/md5"
	"errors"
	"hash/crc32"
	"io"
	"sync/atomic"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// content is an object's bytes, in pieces so that an upload of unknown length is never moved and a copy or a composite
// object shares what it is made of, or else in a file. The bytes never change.
type content struct {
	segments [][]byte
	size     int64
	file     *diskFile // if not nil, where the bytes are
	offset   int64     // in file
}

// append returns c followed by more; both are in memory.
func (c content) append(more content) content {
	return content{segments: append(c.segments[:len(c.segments):len(c.segments)], more.segments...), size: c.size + more.size}
}

// part returns n bytes from offset off on.
func (c content) part(off, n int64) content {
	p := content{size: n, file: c.file, offset: c.offset + off}
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

// open returns the bytes, as something that writes itself where io.Copy sends it.
func (c content) open() (io.ReadCloser, error) {
	if c.file != nil {
		return c.file.open(c.offset, c.size)
	}
	return &openSegments{c.segments}, nil
}

func (c content) WriteTo(w io.Writer) (written int64, err error) {
	body, err := c.open()
	if err != nil {
		return 0, err
	}
	written, err = io.Copy(w, body)
	return written, errors.Join(err, body.Close())
}

// openSegments are bytes in memory. They are written as they are, without a buffer between.
type openSegments struct{ rest [][]byte }

func (o *openSegments) Read(p []byte) (n int, err error) {
	for len(o.rest) > 0 && n < len(p) {
		m := copy(p[n:], o.rest[0])
		n += m
		if o.rest[0] = o.rest[0][m:]; len(o.rest[0]) == 0 {
			o.rest = o.rest[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (o *openSegments) WriteTo(w io.Writer) (written int64, err error) {
	for ; len(o.rest) > 0; o.rest = o.rest[1:] {
		n, err := w.Write(o.rest[0])
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (o *openSegments) Close() error { return nil }

// updateCRC continues crc with c's bytes, which are in memory.
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
