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
	_ objstore.Streamer = (*Azure)(nil)
)

// rangeBody is the body of an answer whose errors have a kind; to end early is one.
type rangeBody struct {
	io.ReadCloser
	left int64 // bytes of the range
	fail func(error) error
}

func (b *rangeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		err = b.fail(err)
	case b.left > 0:
		err = b.fail(io.ErrUnexpectedEOF)
	}
	return n, err
}

func checkRange(key string, off, n int64) error {
	if off < 0 || n <= 0 {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: "range", Key: key, Err: fmt.Errorf("%d bytes from offset %d are no range", n, off)}
	}
	return nil
}

func shortRange(key string) error {
	return &objstore.Error{Kind: objstore.KindCorrupt, Op: "range", Key: key, Err: errors.New("the object ends before the range does")}
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
	return &rangeBody{r, n, func(err error) error { return s.fail(actx, op, key, err) }}, nil
}

// readRange is ReadRange of a store with these methods.
func readRange(
	ctx context.Context,
	stat func(context.Context, string) (objstore.Info, error),
	open func(ctx context.Context, key string, off, n int64) (io.ReadCloser, error),
	key string, off int64, p []byte,
) error {
	if off >= 0 && len(p) == 0 { // a range request cannot ask for nothing
		info, err := stat(ctx, key)
		if err == nil && off > info.Size {
			return shortRange(key)
		}
		return err
	}
	r, err := open(ctx, key, off, int64(len(p)))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only frees the connection
	_, err = io.ReadFull(r, p)
	return err
}

// readWhole reads an object of at most limit bytes, and holds it against its checksum.
func readWhole(r io.Reader, info objstore.Info, limit int64) ([]byte, error) {
	if info.Size > limit {
		return nil, &objstore.Error{Kind: objstore.KindTooLarge, Err: fmt.Errorf("it has %d bytes, %d are allowed", info.Size, limit)}
	}
	body := make([]byte, info.Size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	if crc := objstore.CRC32C(body); info.HasCRC32C && crc != info.CRC32C {
		return nil, &objstore.Error{Kind: objstore.KindCorrupt, Err: fmt.Errorf("CRC32C %08x, the store says %08x", crc, info.CRC32C)}
	}
	return body, nil
}
