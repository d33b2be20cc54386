package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Put implements objstore.Store.
func (s *S3) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	return s.PutSummed(ctx, key, body, objstore.CRC32C(body), cond)
}

// PutSummed is Put of a body whose CRC32C is known.
func (s *S3) PutSummed(ctx context.Context, key string, body []byte, crc32c uint32, cond objstore.Version) (objstore.Version, error) {
	name, err := s.locate(ctx, "put", key)
	if err != nil {
		return objstore.Absent, err
	}
	h := http.Header{"Content-Type": {"application/octet-stream"}}
	if !s.d.condition(h, cond) {
		return objstore.Absent, &objstore.Error{
			Kind: objstore.KindPrecondition, Op: "put", Key: key, Err: fmt.Errorf("%q is no version of this store", cond),
		}
	}
	s.d.sum(h, crc32c)
	c := &s3Call{op: "put", key: key, class: objstore.ClassPut, method: http.MethodPut, object: name, header: h, body: body}
	resp, err := s.send(ctx, c)
	if err != nil {
		return objstore.Absent, err
	}
	_ = resp.Body.Close() // whatever else it says, the headers have the answer
	c.release()
	version := s.d.version(resp.Header)
	if version == objstore.Absent {
		return objstore.Absent, s.fail(ctx, c, errForeign)
	}
	return version, nil
}

// get starts to read an object; rng is a Range header or empty.
func (s *S3) get(ctx context.Context, op, key, rng string) (*s3Call, *http.Response, error) {
	name, err := s.locate(ctx, op, key)
	if err != nil {
		return nil, nil, err
	}
	h := http.Header{}
	s.d.describe(h)
	if rng != "" {
		h.Set("Range", rng)
	}
	c := &s3Call{op: op, key: key, class: objstore.ClassGet, method: http.MethodGet, object: name, header: h}
	resp, err := s.send(ctx, c)
	return c, resp, err
}

// info reads what an answer tells of the object.
func (s *S3) info(key string, h http.Header, size int64) (objstore.Info, error) {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return objstore.Info{}, errEncoded
	}
	i := objstore.Info{Key: key, Size: size, Version: s.d.version(h)}
	if i.Version == objstore.Absent || size < 0 {
		return objstore.Info{}, errForeign
	}
	i.CRC32C, i.HasCRC32C = s.d.crc32c(h)
	i.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return i, nil
}

// Get implements objstore.Store.
func (s *S3) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	const op = "get"
	c, resp, err := s.get(ctx, op, key, "")
	if err != nil {
		return nil, objstore.Absent, err
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	info, err := s.info(key, resp.Header, resp.ContentLength)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errForeign
	}
	if err != nil {
		return nil, objstore.Absent, s.fail(ctx, c, err)
	}
	if info.Size > limit {
		return nil, objstore.Absent, &objstore.Error{
			Kind: objstore.KindTooLarge, Op: op, Key: key, Err: fmt.Errorf("it has %d bytes, %d are allowed", info.Size, limit),
		}
	}
	body := make([]byte, info.Size)
	if _, err := io.ReadFull(resp.Body, body); err != nil {
		return nil, objstore.Absent, s.fail(ctx, c, err)
	}
	if crc := objstore.CRC32C(body); info.HasCRC32C && crc != info.CRC32C {
		return nil, objstore.Absent, &objstore.Error{
			Kind: objstore.KindCorrupt, Op: op, Key: key, Err: fmt.Errorf("CRC32C %08x, the store says %08x", crc, info.CRC32C),
		}
	}
	return body, info.Version, nil
}

// ReadRange implements objstore.Store.
func (s *S3) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	const op = "range"
	if off < 0 {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: op, Key: key, Err: errors.New("the offset is negative")}
	}
	if len(p) == 0 { // a range request cannot ask for nothing
		info, err := s.Stat(ctx, key)
		if err == nil && off > info.Size {
			return shortRange(key)
		}
		return err
	}
	c, resp, err := s.get(ctx, op, key, fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	size, err := rangeOf(resp, off)
	if err == nil {
		_, err = s.info(key, resp.Header, size)
	}
	if err != nil {
		return s.fail(ctx, c, err)
	}
	if off+int64(len(p)) > size {
		return shortRange(key)
	}
	if _, err := io.ReadFull(resp.Body, p); err != nil {
		return s.fail(ctx, c, err)
	}
	return nil
}

// rangeOf makes sure that the body starts at off, and returns the size of the whole object.
func rangeOf(resp *http.Response, off int64) (size int64, err error) {
	span, total, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	size, err = strconv.ParseInt(total, 10, 64)
	if resp.StatusCode != http.StatusPartialContent || first != strconv.FormatInt(off, 10) || err != nil {
		return 0, fmt.Errorf("%w: it is not the range that was asked for", errForeign)
	}
	return size, nil
}

// Stat implements objstore.Store. The answer to a HEAD has no body: what it refuses, and whether that is the service's word at all, is
// found out by asking for the first byte.
func (s *S3) Stat(ctx context.Context, key string) (objstore.Info, error) {
	const op = "stat"
	name, err := s.locate(ctx, op, key)
	if err != nil {
		return objstore.Info{}, err
	}
	h := http.Header{}
	s.d.describe(h)
	c := &s3Call{op: op, key: key, class: objstore.ClassHead, method: http.MethodHead, object: name, header: h}
	resp, err := s.send(ctx, c)
	if err != nil {
		if objstore.KindOf(err) == objstore.KindUnknown && ctx.Err() == nil {
			err = s.explain(ctx, key, err)
		}
		return objstore.Info{}, err
	}
	_ = resp.Body.Close() // it has none
	info, err := s.info(key, resp.Header, resp.ContentLength)
	if err != nil {
		return objstore.Info{}, s.fail(ctx, c, err)
	}
	return info, nil
}

// explain returns what a read says that a HEAD could not.
func (s *S3) explain(ctx context.Context, key string, unsaid error) error {
	_, resp, err := s.get(ctx, "stat", key, "bytes=0-0")
	switch {
	case err == nil:
		_ = resp.Body.Close() // it was not to be there
	case objstore.KindOf(err) != objstore.KindCorrupt: // which an empty object gives
		return err
	}
	return &objstore.Error{Kind: objstore.KindUnavailable, Op: "stat", Key: key, Err: fmt.Errorf("it was refused and can be read: %w", unsaid)}
}

// Delete implements objstore.Store.
func (s *S3) Delete(ctx context.Context, key string) error {
	const op = "delete"
	name, err := s.locate(ctx, op, key)
	if err != nil {
		return err
	}
	resp, err := s.send(ctx, &s3Call{op: op, key: key, class: objstore.ClassDelete, method: http.MethodDelete, object: name})
	if objstore.KindOf(err) == objstore.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
