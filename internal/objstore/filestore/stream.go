package filestore

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

var _ objstore.Streamer = (*Store)(nil)

// OpenRange implements objstore.Streamer.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n <= 0 {
		return nil, failed("range", key, errNegative)
	}
	f, info, err := s.object(ctx, "range", key, objstore.ClassGet)
	if err != nil {
		return nil, err
	}
	if off+n > info.Size() {
		_ = f.Close() // nothing was written
		return nil, &objstore.Error{Kind: objstore.KindCorrupt, Op: "range", Key: key, Err: errors.New("the object ends before the range does")}
	}
	return &fileRange{SectionReader: io.NewSectionReader(f, off, n), ctx: ctx, f: f, key: key}, nil
}

type fileRange struct {
	*io.SectionReader
	ctx context.Context
	f   *os.File
	key string
}

func (r *fileRange) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, objstore.ContextError(r.ctx, "range", r.key)
	}
	n, err := r.SectionReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = failed("range", r.key, err)
	}
	return n, err
}

func (r *fileRange) Close() error { return r.f.Close() }
