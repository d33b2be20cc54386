package memstore

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

var _ objstore.Streamer = (*Store)(nil)

// OpenRange implements objstore.Streamer. It is one request of the method "range".
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (body io.ReadCloser, err error) {
	op := Op{Method: "range", Key: key}
	err = s.do(ctx, objstore.ClassGet, op, func() error {
		o, err := s.space.find(op)
		if err != nil {
			return err
		}
		if off < 0 || n <= 0 {
			return failed(op, objstore.KindInvalid, errors.New("no range"))
		}
		if off+n > int64(len(o.body)) {
			return failed(op, objstore.KindCorrupt, errors.New("the object ends before the range does"))
		}
		body = io.NopCloser(bytes.NewReader(o.body[off : off+n])) // bodies are replaced, never changed
		return nil
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}
