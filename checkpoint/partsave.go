package checkpoint

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	pageSize    = 4 << 10   // what databases write; see the table of page sizes in docs/format.md
	chunkSize   = 256 << 10 // BLAKE3 and Snappy are at full speed from 64 KiB; a ranged read fetches little too much
	segmentSize = 16 << 20  // a table of it is about 70 KiB, read or carried over as one piece
)

// source yields the content of a part.
type source interface {
	// next fills buf from offset off of the part, or says that zeros bytes from there are a hole. Offsets ascend within a segment.
	// The end of the part is io.EOF or io.ErrUnexpectedEOF, with what came before it.
	next(buf []byte, off int64) (n int, zeros int64, err error)
}

// saveStream reads r to its end and fills in the part's size, segments and figures.
func (w *Writer) saveStream(ctx context.Context, part, was *format.Part, r io.Reader) error {
	ws, err := w.job.store.workers.get(ctx)
	if err != nil {
		return err
	}
	defer w.job.store.workers.put(ws)
	return w.saveStreamIn(ctx, ws, part, was, w.job.store.workers.reader(r))
}

// saveStreamIn is saveStream with a workspace.
func (w *Writer) saveStreamIn(ctx context.Context, ws *workspace, part, was *format.Part, r io.Reader) error {
	part.SegmentSize = segmentSize
	s := w.onlySegmentSaver(ctx, ws, part, was)
	for eof := false; !eof; {
		seg, err := s.save(len(part.Segments), stream{r}, segmentSize, 0)
		if err != nil {
			return err
		}
		if seg.length > 0 {
			part.Segments = append(part.Segments, seg.segment)
			part.Size += uint64(seg.length)
			s.count(part)
		}
		eof = seg.length < segmentSize
	}
	return nil
}

type stream struct{ r io.Reader }

func (s stream) next(buf []byte, _ int64) (int, int64, error) {
	n, err := io.ReadFull(s.r, buf)
	return n, 0, err
}

// saveRegular does the same for the size bytes of a file, the first known of which are not read. Its segments are saved side by side as far as there are
// processors without work. errFileMoved if the file is shorter.
func (w *Writer) saveRegular(ctx context.Context, part, was *format.Part, f localFile, st fileState, known int64) error {
	part.SegmentSize, part.Size = segmentSize, uint64(st.size)
	if st.size == 0 {
		return mustBeEmpty(f)
	}
	part.Segments = make([]*format.Segment, (st.size-1)/segmentSize+1)
	ws, err := w.job.store.workers.get(ctx)
	if err != nil {
		return err
	}
	j := fileJob{w: w, part: part, was: was, f: f, sparse: st.sparse(), known: known}
	if len(part.Segments) == 1 {
		defer w.job.store.workers.put(ws)
		return j.segment(w.onlySegmentSaver(ctx, ws, part, was), 0)
	}
	return j.saveTogether(ctx, ws)
}

// fileJob is one file being saved by one or several workers.
type fileJob struct {
	w         *Writer
	ctx       context.Context
	g         *errgroup.Group
	part, was *format.Part
	f         localFile
	sparse    bool
	known     int64 // bytes that are what the base has
	next      *atomic.Int64
}

// saveTogether saves all segments.
func (j fileJob) saveTogether(ctx context.Context, ws *workspace) error {
	j.next = new(atomic.Int64)
	j.g, j.ctx = errgroup.WithContext(ctx)
	j.g.Go(func() error { return j.work(ws) })
	return j.g.Wait()
}

// work saves segments until there are no more, and calls others to help.
func (j fileJob) work(ws *workspace) error {
	defer j.w.job.store.workers.put(ws)
	s := j.w.onlySegmentSaver(j.ctx, ws, j.part, j.was)
	for {
		i := int(j.next.Add(1) - 1)
		if i >= len(j.part.Segments) {
			return nil
		}
		if i+1 < len(j.part.Segments) {
			if other, ok := j.w.job.store.workers.idle(); ok {
				j.g.Go(func() error { return j.work(other) })
			}
		}
		if err := j.segment(s, i); err != nil {
			return err
		}
	}
}

func (j fileJob) segment(s *segmentSaver, i int) error {
	start, length := int64(i)*segmentSize, int(format.SegmentLength(j.part, i))
	s.ws.file = fileSource{f: j.f, sparse: j.sparse, end: start + int64(length)}
	seg, err := s.save(i, &s.ws.file, length, int(max(0, j.known-start)))
	if err != nil {
		return err
	}
	if seg.length != length {
		return errFileMoved
	}
	j.part.Segments[i] = seg.segment
	s.count(j.part)
	return nil
}

// count adds a segment's figures to its part's.
func (s *segmentSaver) count(part *format.Part) {
	atomic.AddUint64(&part.NewBytes, s.newBytes)
	atomic.AddUint64(&part.MovedBytes, s.moved)
	atomic.AddUint64(&part.Chunks, s.chunks)
	if s.damaged {
		s.w.mu.Lock()
		part.Reason = "part of its base is damaged"
		s.w.mu.Unlock()
	}
}

// fileSource reads a file up to end, holes left out where the file has any.
type fileSource struct {
	f      localFile
	sparse bool
	end    int64
	data   int64 // up to here there is data, as far as is known
}

func (s *fileSource) next(buf []byte, off int64) (n int, zeros int64, err error) {
	buf = buf[:min(int64(len(buf)), s.end-off)]
	if s.sparse && off >= s.data {
		start, end := s.f.dataFrom(off, s.end)
		if s.data = end; start > off {
			return 0, start - off, nil
		}
	}
	for n < len(buf) {
		k, err := s.f.ReadAt(buf[n:], off+int64(n))
		n += k
		if err != nil && !errors.Is(err, io.EOF) {
			return n, 0, err
		}
		if k == 0 {
			return n, 0, io.EOF
		}
	}
	return n, 0, nil
}
