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

// azureSum keeps the checksum beside the blob: Azure has none that is as cheap. Names of metadata are those of C#.
const azureSum = "X-Ms-Meta-Tidemarkcrc32c"

// Put implements objstore.Store. Azure takes up to 5,000 MiB in one request.
func (s *Azure) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	const op = "put"
	name, err := s.locate(ctx, op, key)
	if err != nil {
		return objstore.Absent, err
	}
	h := http.Header{"Content-Type": {"application/octet-stream"}, "X-Ms-Blob-Type": {"BlockBlob"}, azureSum: {fmt.Sprintf("%08x", objstore.CRC32C(body))}}
	if cond == objstore.Absent {
		h.Set("If-None-Match", "*")
	} else if !isETag(string(cond)) {
		return objstore.Absent, &objstore.Error{Kind: objstore.KindPrecondition, Op: op, Key: key, Err: fmt.Errorf("%q is no version of this store", cond)}
	} else {
		h.Set("If-Match", string(cond))
	}
	c := &azureCall{op: op, key: key, class: objstore.ClassPut, method: http.MethodPut, blob: name, header: h, body: body}
	resp, err := s.send(ctx, c)
	if err != nil {
		return objstore.Absent, err
	}
	_ = resp.Body.Close() // whatever else it says, the headers have the answer
	c.release()
	version := resp.Header.Get("ETag")
	if resp.StatusCode != http.StatusCreated || !isETag(version) {
		return objstore.Absent, s.fail(ctx, c, errForeign)
	}
	return objstore.Version(version), nil
}

// isETag: a weak one says nothing of the bytes.
func isETag(v string) bool { return len(v) > 2 && v[0] == '"' && v[len(v)-1] == '"' }

// get starts to read a blob; rng is a Range header or empty.
func (s *Azure) get(ctx context.Context, op, key, rng string) (*azureCall, *http.Response, error) {
	name, err := s.locate(ctx, op, key)
	if err != nil {
		return nil, nil, err
	}
	h := http.Header{}
	if rng != "" {
		h.Set("Range", rng)
	}
	c := &azureCall{op: op, key: key, class: objstore.ClassGet, method: http.MethodGet, blob: name, header: h}
	resp, err := s.send(ctx, c)
	return c, resp, err
}

// info reads what an answer tells of the blob.
func (s *Azure) info(key string, h http.Header, size int64) (objstore.Info, error) {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return objstore.Info{}, errEncoded
	}
	i := objstore.Info{Key: key, Size: size, Version: objstore.Version(h.Get("ETag"))}
	if !isETag(string(i.Version)) || size < 0 || h.Get("X-Ms-Version") == "" {
		return objstore.Info{}, errForeign
	}
	if sum, err := strconv.ParseUint(h.Get(azureSum), 16, 32); err == nil && len(h.Get(azureSum)) == 8 {
		i.CRC32C, i.HasCRC32C = uint32(sum), true
	}
	i.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return i, nil
}

// Get implements objstore.Store.
func (s *Azure) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
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
			Kind: objstore.KindCorrupt, Op: op, Key: key, Err: fmt.Errorf("CRC32C %08x, it was stored with %08x", crc, info.CRC32C),
		}
	}
	return body, info.Version, nil
}

// ReadRange implements objstore.Store.
func (s *Azure) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	if off < 0 {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: "range", Key: key, Err: errors.New("the offset is negative")}
	}
	if len(p) == 0 { // a range request cannot ask for nothing
		info, err := s.Stat(ctx, key)
		if err == nil && off > info.Size {
			return shortRange(key)
		}
		return err
	}
	body, err := s.OpenRange(ctx, key, off, int64(len(p)))
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only frees the connection
	if _, err := io.ReadFull(body, p); err != nil {
		var ours *objstore.Error
		if errors.As(err, &ours) {
			return err
		}
		return s.fail(ctx, &azureCall{op: "range", key: key}, err)
	}
	return nil
}

// OpenRange implements objstore.Streamer.
func (s *Azure) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
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

// Stat implements objstore.Store. Unlike S3, Azure says in a header why it refuses a HEAD.
func (s *Azure) Stat(ctx context.Context, key string) (objstore.Info, error) {
	name, err := s.locate(ctx, "stat", key)
	if err != nil {
		return objstore.Info{}, err
	}
	c := &azureCall{op: "stat", key: key, class: objstore.ClassHead, method: http.MethodHead, blob: name}
	resp, err := s.send(ctx, c)
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
func (s *Azure) Delete(ctx context.Context, key string) error {
	name, err := s.locate(ctx, "delete", key)
	if err != nil {
		return err
	}
	// Whoever took a snapshot of one of our blobs would otherwise keep it from being deleted.
	h := http.Header{"X-Ms-Delete-Snapshots": {"include"}}
	resp, err := s.send(ctx, &azureCall{op: "delete", key: key, class: objstore.ClassDelete, method: http.MethodDelete, blob: name, header: h})
	if objstore.KindOf(err) == objstore.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
