package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"github.com/tidemark-go/tidemark/internal/format"
)

// span is a stretch of a segment.
type span struct{ off, n uint32 }

func total(spans []span) (n int64) {
	for _, s := range spans {
		n += int64(s.n)
	}
	return n
}

// appendSpan adds a stretch behind all others.
func appendSpan(spans []span, off, n uint32) []span {
	if k := len(spans) - 1; k >= 0 && spans[k].off+spans[k].n == off {
		spans[k].n += n
		return spans
	}
	return append(spans, span{off, n})
}

// startFromLocal looks at the file that has the target's name in the directory. If it is equal, it stays; if not, it is copied to the stage, where what is good of it
// serves. Nil without an error: there is nothing to start from.
func (r *restorer) startFromLocal(ctx context.Context, t *target, part *format.Part, in *directory) (f *os.File, unchanged bool, err error) {
	if !r.merge || (!r.o.Update && !r.found) {
		return nil, false, nil
	}
	st, err := r.root.Lstat(t.name)
	if err != nil || !st.Mode().IsRegular() {
		return nil, false, nil // what is in the way is met again when the names are given
	}
	local, err := r.root.Open(t.name)
	if err != nil {
		return nil, false, nil // not ours to read: replaced like a file that is not there
	}
	defer func() { _ = local.Close() }() // it was only read
	if st.Size() == t.size {
		equal, err := r.equal(ctx, local, t, part)
		if err != nil {
			return nil, false, err
		}
		if equal {
			at := t.modified()
			r.leave(t, st.Mode().Perm() != t.mode() || !at.IsZero() && !st.ModTime().Equal(at))
			r.kept.Add(t.size)
			r.o.Progress.Bytes.Add(t.size)
			return nil, true, nil
		}
	}
	if st.Size() == 0 || t.size == 0 {
		return nil, false, nil
	}
	if f, err = r.openNew(t, in); err != nil {
		return nil, false, err
	}
	if _, err := io.Copy(f, io.LimitReader(local, t.size)); err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, false, nil
}

// equal reports whether a file of the right size has the target's content; it stops at the first difference.
func (r *restorer) equal(ctx context.Context, local *os.File, t *target, part *format.Part) (bool, error) {
	for i, s := range part.Segments {
		length := format.SegmentLength(part, i)
		table, _, err := r.c.table(ctx, r.m, s, length)
		if err != nil {
			return false, err
		}
		missing, err := r.missing(ctx, local, t, int64(i)*int64(part.SegmentSize), length, table, true)
		if err != nil || len(missing) > 0 {
			return false, err
		}
	}
	return true, nil
}

// missing finds out which bytes of a segment, at offset off of its part, are not in f: page by page if the table has their hashes, else chunk by chunk. A file that
// cannot be read has nothing. With first it stops at the first span.
func (r *restorer) missing(ctx context.Context, f *os.File, t *target, off int64, length uint64, table *format.Table, first bool) ([]span, error) {
	buf, err := r.spaces.get(ctx)
	if err != nil {
		return nil, err
	}
	defer r.spaces.put(buf)
	l := local{ctx: ctx, f: f, buf: buf, first: first}
	if table.PageSize > 0 {
		l.pages(off, length, table)
	} else {
		l.chunks(off, table, t.size)
	}
	return l.missing, context.Cause(ctx)
}

// local compares a file with a table.
type local struct {
	ctx     context.Context
	f       *os.File
	buf     []byte
	first   bool
	missing []span
}

// enough reports that nobody wants to know more.
func (l *local) enough() bool { return l.ctx.Err() != nil || l.first && len(l.missing) > 0 }

func (l *local) pages(off int64, length uint64, table *format.Table) {
	size := uint64(table.PageSize)
	bite := max(size, min(biteSize, uint64(len(l.buf)))/size*size)
	if bite > uint64(len(l.buf)) {
		l.buf = make([]byte, bite)
	}
	hasher := format.NewPageHasher([format.PageKeySize]byte(table.PageKey))
	for at := uint64(0); at < length && !l.enough(); at += bite {
		n := min(bite, length-at)
		got := l.read(off+int64(at), n)
		for p := uint64(0); p < n; p += size {
			page := l.buf[p:min(p+size, n)]
			if p+uint64(len(page)) > got || hasher.Sum(page) != table.Page(int((at+p)/size)) {
				l.missing = appendSpan(l.missing, uint32(at+p), uint32(len(page)))
			}
		}
	}
}

// read returns how many bytes of the file there are.
func (l *local) read(off int64, n uint64) uint64 {
	got, err := l.f.ReadAt(l.buf[:n], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	return uint64(got)
}

// chunks compares chunk by chunk. Of a chunk that is used in part, the rest is looked for around it: content-defined chunks lie across segments.
func (l *local) chunks(off int64, table *format.Table, size int64) {
	at := uint32(0)
	for row := range table.ExtentChunk {
		if l.enough() {
			return
		}
		e := table.Extent(row)
		if e.Chunk == format.Zeros {
			l.zeros(off, at, e.Length)
		} else if !l.chunk(off+int64(at)-int64(e.Start), table.Chunk(int(e.Chunk)), size) {
			l.missing = appendSpan(l.missing, at, e.Length)
		}
		at += e.Length
	}
}

// chunk reports whether the whole of a chunk is at offset start of the file.
func (l *local) chunk(start int64, c format.Chunk, size int64) bool {
	n := uint64(c.Raw)
	if start < 0 || start+int64(n) > size {
		return false
	}
	if uint64(len(l.buf)) < n {
		l.buf = make([]byte, format.MaxRaw)
	}
	return l.read(start, n) == n && format.Sum(l.buf[:n]) == c.Hash
}

// zeros compares a stretch of zeros at offset at of the segment.
func (l *local) zeros(off int64, at, length uint32) {
	for length > 0 && !l.enough() {
		n := min(length, uint32(len(zeroBytes)))
		if got := l.read(off+int64(at), uint64(n)); got < uint64(n) || !allZero(l.buf[:n]) {
			l.missing = appendSpan(l.missing, at, n)
		}
		at, length = at+n, length-n
	}
}

var zeroBytes [64 << 10]byte

func allZero(b []byte) bool {
	for len(b) > len(zeroBytes) {
		if !bytes.Equal(b[:len(zeroBytes)], zeroBytes[:]) {
			return false
		}
		b = b[len(zeroBytes):]
	}
	return bytes.Equal(b, zeroBytes[:len(b)])
}

// writeZeros overwrites what an older state has at a place of zeros.
func writeZeros(f *os.File, off, n int64) error {
	for n > 0 {
		k, err := f.WriteAt(zeroBytes[:min(n, int64(len(zeroBytes)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}
