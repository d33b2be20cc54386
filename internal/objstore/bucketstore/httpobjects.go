package bucketstore

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Put implements objstore.Store.
func (s *httpStore) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	return s.PutSummed(ctx, key, body, objstore.CRC32C(body), cond)
}

// PutSummed is Put of a body whose CRC32C is known.
func (s *httpStore) PutSummed(ctx context.Context, key string, body []byte, crc32c uint32, cond objstore.Version) (objstore.Version, error) {
	name, err := s.locate(ctx, "put", key)
	if err != nil {
		return objstore.Absent, err
	}
	h := http.Header{"Content-Type": {octets}}
	if !s.headers.condition(h, cond) {
		return objstore.Absent, &objstore.Error{
			Kind: objstore.KindPrecondition, Op: "put", Key: key, Err: fmt.Errorf("%q is no version of this store", cond),
		}
	}
	s.headers.sum(h, crc32c)
	c := &call{op: "put", key: key, class: objstore.ClassPut, method: http.MethodPut, object: name, header: h, body: body}
	resp, err := s.service.send(ctx, c)
	if err != nil {
		return objstore.Absent, err
	}
	_ = resp.Body.Close() // whatever else it says, the headers have the answer
	c.release()
	version := s.headers.version(resp.Header)
	if version == objstore.Absent {
		return objstore.Absent, s.fail(ctx, c, errForeign)
	}
	return version, nil
}

// get starts to read an object; rng is a Range header or empty.
func (s *httpStore) get(ctx context.Context, op, key, rng string) (*call, *http.Response, error) {
	name, err := s.locate(ctx, op, key)
	if err != nil {
		return nil, nil, err
	}
	h := http.Header{}
	s.headers.describe(h)
	if rng != "" {
		h.Set("Range", rng)
	}
	c := &call{op: op, key: key, class: objstore.ClassGet, method: http.MethodGet, object: name, header: h}
	resp, err := s.service.send(ctx, c)
	return c, resp, err
}

// info reads what an answer tells of the object.
func (s *httpStore) info(key string, h http.Header, size int64) (objstore.Info, error) {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return objstore.Info{}, errEncoded
	}
	i := objstore.Info{Key: key, Size: size, Version: s.headers.version(h)}
	if i.Version == objstore.Absent || size < 0 {
		return objstore.Info{}, errForeign
	}
	i.CRC32C, i.HasCRC32C = s.headers.crc32c(h)
	i.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return i, nil
}

// Get implements objstore.Store.
func (s *httpStore) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	c, resp, err := s.get(ctx, "get", key, "")
	if err != nil {
		return nil, objstore.Absent, err
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	info, err := s.info(key, resp.Header, resp.ContentLength)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errForeign
	}
	var body []byte
	if err == nil {
		body, err = readWhole(resp.Body, info, limit)
	}
	if err != nil {
		return nil, objstore.Absent, s.fail(ctx, c, err)
	}
	return body, info.Version, nil
}

// ReadRange implements objstore.Store.
func (s *httpStore) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	return readRange(ctx, s.service.Stat, s.OpenRange, key, off, p)
}

// OpenRange implements objstore.Streamer.
func (s *httpStore) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
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
		return &rangeBody{resp.Body, n, fail}, nil
	}
	_ = resp.Body.Close() // only frees the connection
	return nil, err
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

// head asks for what is known of an object.
func (s *httpStore) head(ctx context.Context, key string) (objstore.Info, error) {
	name, err := s.locate(ctx, "stat", key)
	if err != nil {
		return objstore.Info{}, err
	}
	h := http.Header{}
	s.headers.describe(h)
	c := &call{op: "stat", key: key, class: objstore.ClassHead, method: http.MethodHead, object: name, header: h}
	resp, err := s.service.send(ctx, c)
	if err != nil {
		return objstore.Info{}, err
	}
	_ = resp.Body.Close() // it has none
	info, err := s.info(key, resp.Header, resp.ContentLength)
	if err != nil {
		return objstore.Info{}, s.fail(ctx, c, err)
	}
	return info, nil
}

// Delete implements objstore.Store.
func (s *httpStore) Delete(ctx context.Context, key string) error {
	name, err := s.locate(ctx, "delete", key)
	if err != nil {
		return err
	}
	resp, err := s.service.send(ctx, &call{op: "delete", key: key, class: objstore.ClassDelete, method: http.MethodDelete, object: name})
	if objstore.KindOf(err) == objstore.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
