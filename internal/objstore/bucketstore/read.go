package bucketstore

import (
	"context"
	"errors"
	"io"

	"gocloud.dev/blob"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// failRead is fail for reads, where "not found" needs evidence: it makes callers start from nothing.
func (s *Store) failRead(ctx context.Context, op, key string, err error) error {
	if caller := attemptOf(ctx).caller; caller.Err() == nil && s.d.unproven(err) {
		if _, err = s.Stat(caller, key); err == nil {
			err = &objstore.Error{Kind: objstore.KindUnavailable, Err: errors.New("it was said to be absent and is there")}
		}
	}
	return s.fail(ctx, op, key, err)
}

// open starts to read n bytes from off on, all of them if n is negative. The caller closes r unless there is an error.
func (s *Store) open(actx context.Context, name string, off, n int64) (r io.ReadCloser, info objstore.Info, err error) {
	if s.raw != nil {
		resp, info, err := s.raw.get(actx, name, off, n)
		if err != nil {
			return nil, info, err
		}
		return resp.Body, info, nil
	}
	br, err := s.b.NewRangeReader(actx, name, off, n, &blob.ReaderOptions{BeforeRead: s.d.beforeRead})
	if err != nil {
		return nil, info, err
	}
	if info, err = s.d.read(br); err != nil {
		_ = br.Close() // only frees the connection
		return nil, info, err
	}
	return br, info, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	const op = "get"
	actx, name, err := s.begin(ctx, op, key, objstore.ClassGet)
	if err != nil {
		return nil, objstore.Absent, err
	}
	r, info, err := s.open(actx, name, 0, -1)
	if err != nil {
		return nil, objstore.Absent, s.failRead(actx, op, key, err)
	}
	defer func() { _ = r.Close() }() // only frees the connection
	body, err := readWhole(r, info, limit)
	if err != nil {
		return nil, objstore.Absent, s.fail(actx, op, key, err)
	}
	return body, info.Version, nil
}

// ReadRange implements objstore.Store.
func (s *Store) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	return readRange(ctx, s.Stat, s.OpenRange, key, off, p)
}
