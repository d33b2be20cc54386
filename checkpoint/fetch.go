package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	// planGap is how many unwanted bytes are read rather than paying for another request.
	planGap = 64 << 10
	// biteSize is how much of a stream is taken at once: so little that it is still in the processor's cache when it is checked and written, so much that the
	// calls do not count.
	biteSize = 512 << 10
	// pieceSize is how much goes to a file in one call. Given more at once, Linux takes larger stretches of memory for its cache than the 32 KiB of which each
	// processor has some at hand; in a virtual machine those are the ones that the host has taken back, and getting them again costs up to ten times what copying does.
	pieceSize = 32 << 10
	// openFiles is how many files one stream keeps open. A pack holds the chunks of few large files or of many small ones, which are written once.
	openFiles = 16
	// leastSpace is room for the largest frame behind the largest gap, and for what a usual one decodes to.
	leastSpace = 5 << 18
)

// spaces is the working memory of one operation that reads: one buffer of the store's budget, in pieces, one for each stream that is being read. Whoever has a piece
// never waits for another one.
type spaces struct {
	of    *buffers
	whole []byte
	free  chan []byte
}

// spaces waits for a buffer and divides it by n, or less if the pieces became too small. Give it back by close.
func (s *Store) spaces(ctx context.Context, n int) (*spaces, error) {
	whole, err := s.buffers.get(ctx)
	if err != nil {
		return nil, err
	}
	size := max(len(whole)/n, leastSpace)
	sp := &spaces{of: s.buffers, whole: whole, free: make(chan []byte, n)}
	for rest := whole; len(rest) >= size && len(sp.free) < n; rest = rest[size:] {
		sp.free <- rest[:size:size]
	}
	return sp, nil
}

func (s *spaces) get(ctx context.Context) ([]byte, error) {
	select {
	case b := <-s.free:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *spaces) put(b []byte) { s.free <- b }

func (s *spaces) close() { s.of.put(s.whole) }

// want is a stretch of a chunk's content and its place in a file.
type want struct {
	chunk         format.Chunk // Pack is the manifest's index
	t             *target
	off           int64
	start, length uint32
}

// name is whom an error concerns.
func (w *want) name() string { return w.t.part }

func (w *want) end() uint64 { return w.chunk.Offset + uint64(w.chunk.Stored) }

// fetch brings the content of all targets into their files. One goroutine plans, the others each carry out one request at a time; the plan runs ahead of them by
// no more than a batch. As many streams are open as the store's limiter may ever allow, and Options.Concurrency of them are read: the answers of the others are
// on the way meanwhile, and wait in the system's buffers.
func (r *restorer) fetch(ctx context.Context) (err error) {
	s := r.c.job.store
	if r.spaces, err = s.spaces(ctx, s.opts.Concurrency); err != nil {
		return err
	}
	defer r.spaces.close()
	g, ctx := errgroup.WithContext(ctx)
	runs := make(chan []want)
	r.wants = semaphore.NewWeighted(mostWants)
	for range s.objects.MaxConcurrency() {
		g.Go(func() error {
			for run := range runs {
				if err := r.read(ctx, run); err != nil {
					return err
				}
				r.wants.Release(weightOf(run))
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(runs)
		return r.plan(ctx, runs)
	})
	return g.Wait()
}

// read fetches one run, verifies each frame as it arrives and writes it where it belongs.
func (r *restorer) read(ctx context.Context, run []want) (err error) {
	w := &fileWriter{r: r, dir: directory{work: r.work}}
	defer func() {
		if cerr := w.close(); err == nil {
			err = cerr
		}
	}()
	return r.c.frames(ctx, r.m, run, r.spaces, func(same []want, content []byte, err error) error {
		if err != nil {
			return err
		}
		return w.write(content, same)
	})
}

// fileWriter is the files that one stream has open, the one used last at the end.
type fileWriter struct {
	r    *restorer
	dir  directory
	open []heldFile
}

type heldFile struct {
	t *target
	f *os.File
}

// write puts a chunk's content where it belongs.
func (w *fileWriter) write(content []byte, same []want) error {
	for i := range same {
		d := &same[i]
		if err := w.writeTo(d.t, content[d.start:d.start+d.length], d.off); err != nil {
			return w.r.c.targetError(d.t.part, err)
		}
	}
	return nil
}

func (w *fileWriter) writeTo(t *target, b []byte, off int64) error {
	f, err := w.file(t)
	if err != nil {
		return err
	}
	for at := 0; at < len(b); at += pieceSize {
		if _, err := f.WriteAt(b[at:min(at+pieceSize, len(b))], off+int64(at)); err != nil {
			return err
		}
	}
	whole, err := w.r.done(t, f, &w.dir, int64(len(b)))
	if err == nil && whole {
		err = w.drop(len(w.open) - 1)
	}
	return err
}

// file opens t's file, or finds it open.
func (w *fileWriter) file(t *target) (*os.File, error) {
	for i := len(w.open) - 1; i >= 0; i-- {
		if o := w.open[i]; o.t == t {
			copy(w.open[i:], w.open[i+1:])
			w.open[len(w.open)-1] = o
			return o.f, nil
		}
	}
	if len(w.open) == openFiles {
		if err := w.drop(0); err != nil {
			return nil, err
		}
	}
	f, err := w.r.openNew(t, &w.dir)
	if err != nil {
		return nil, err
	}
	w.open = append(w.open, heldFile{t, f})
	return f, nil
}

// drop closes a file. A full disk may be reported only here.
func (w *fileWriter) drop(i int) error {
	f := w.open[i].f
	w.open = append(w.open[:i], w.open[i+1:]...)
	return f.Close()
}

func (w *fileWriter) close() (err error) {
	for len(w.open) > 0 {
		t := w.open[0].t
		if cerr := w.drop(0); cerr != nil && err == nil {
			err = w.r.c.targetError(t.part, cerr)
		}
	}
	w.dir.close()
	return err
}

// frames reads a run as one stream, and hands each frame's content to use, together with all that is wanted of it, or what is wrong with it. What use
// returns ends the stream.
func (c *Checkpoint) frames(ctx context.Context, m format.Contents, run []want, sp *spaces, use func(same []want, content []byte, err error) error) error {
	o, pos, last := m.Objects[run[0].chunk.Pack], run[0].chunk.Offset, run[len(run)-1].end()
	s, err := c.openPack(ctx, o, pos, last-pos)
	if err != nil {
		return c.explain(ctx, err, run[0].name(), c.keyOf(o))
	}
	defer func() { _ = s.Close() }() // only frees the connection
	buf, err := sp.get(ctx)
	if err != nil {
		return err
	}
	defer sp.put(buf)
	for len(run) > 0 {
		n, end := bite(run, pos, uint64(len(buf)))
		b := buf[:end-pos]
		if _, err := io.ReadFull(s, b); err != nil {
			return c.explain(ctx, err, run[0].name(), c.keyOf(o))
		}
		for bitten := run[:n]; len(bitten) > 0; {
			k := 1
			for k < len(bitten) && bitten[k].chunk == bitten[0].chunk {
				k++
			}
			content, err := c.frame(ctx, o, bitten[0].chunk, b[bitten[0].chunk.Offset-pos:][:bitten[0].chunk.Stored], buf[len(b):], bitten[0].name())
			if err := use(bitten[:k], content, err); err != nil {
				return err
			}
			bitten = bitten[k:]
		}
		run, pos = run[n:], end
	}
	return nil
}

// bite is how many wants of a sorted run are dealt with at once, from offset pos of the pack to end.
func bite(run []want, pos, space uint64) (n int, end uint64) {
	for end = pos; n < len(run); n++ {
		e := run[n].end()
		if n > 0 && e > end && e-pos > min(biteSize, space) {
			break
		}
		end = max(end, e)
	}
	return n, end
}

// frame verifies a frame and returns its content. One that does not verify is fetched once more: it may have been damaged on the way.
func (c *Checkpoint) frame(ctx context.Context, o *format.Object, want format.Chunk, b, space []byte, part string) ([]byte, error) {
	content, err := c.decodeFrame(space[:0], b, o, want)
	if err == nil {
		return content, nil
	}
	c.job.store.cache.forgetRange(format.Nonce(o.Nonce), want.Offset, uint64(want.Stored))
	if rerr := c.readPack(ctx, o, want.Offset, b, part); rerr != nil {
		return nil, rerr
	}
	content, err = c.decodeFrame(space[:0], b, o, want)
	if err != nil {
		return nil, c.corrupt(part, c.keyOf(o), err)
	}
	return content, nil
}

// openPack asks for n bytes of a pack from offset off, and returns when they begin to arrive.
func (c *Checkpoint) openPack(ctx context.Context, o *format.Object, off, n uint64) (io.ReadCloser, error) {
	if pack := c.packInBody(o); uint64(len(pack)) >= off+n {
		return io.NopCloser(bytes.NewReader(pack[off : off+n])), nil
	}
	if s := c.cached(ctx, o, off, n); s != nil {
		if err := s.open(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
	key, at := c.locate(o)
	s := c.job.store.objects.Stream(ctx, key, at+int64(off), int64(n))
	if err := s.Open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (c *Checkpoint) keyOf(o *format.Object) string {
	key, _ := c.locate(o)
	return key
}
