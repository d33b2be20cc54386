package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

var (
	_ objstore.Streamer = (*Store)(nil)
	_ objstore.Streamer = (*S3)(nil)
)

// rangeBody is the body of an answer whose errors have a kind.
type rangeBody struct {
	io.ReadCloser
	fail func(error) error
}

func (b *rangeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fail(err)
	}
	return n, err
}

func checkRange(key string, off, n int64) error {
	if off < 0 || n <= 0 {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: "range", Key: key, Err: fmt.Errorf("%d bytes from offset %d are no range", n, off)}
	}
	return nil
}

// OpenRange implements objstore.Streamer.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	const op = "range"
	if err := checkRange(key, off, n); err != nil {
		return nil, err
	}
	actx, name, err := s.begin(ctx, op, key, objstore.ClassGet)
	if err != nil {
		return nil, err
	}
	r, info, err := s.open(actx, name, off, n)
	if err != nil {
		return nil, s.failRead(actx, op, key, err)
	}
	if off+n > info.Size {
		_ = r.Close() // only frees the connection
		return nil, shortRange(key)
	}
	return &rangeBody{r, func(err error) error { return s.fail(actx, op, key, err) }}, nil
}

// OpenRange implements objstore.Streamer.
func (s *S3) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := checkRange(key, off, n); err != nil {
		return nil, err
	}
	c, resp, err := s.get(ctx, "range", key, fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { return s.fail(ctx, c, err) }
	size, err := rangeOf(resp, off)
	if err == nil {
		_, err = s.info(key, resp.Header, size)
	}
	switch {
	case err != nil:
		err = fail(err)
	case off+n > size:
		err = shortRange(key)
	default:
		return &rangeBody{resp.Body, fail}, nil
	}
	_ = resp.Body.Close() // only frees the connection
	return nil, err
}
