package emulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
)

// uploadMetadata is what a client says about an object that it uploads.
type uploadMetadata struct {
	Name   string `json:"name"`
	CRC32C string `json:"crc32c"`
	MD5    string `json:"md5Hash"`
	attributes
}

// maxMetadata is far more than GCS takes: 8 KiB of custom metadata beside the fixed fields.
const maxMetadata = smallBody

// newUpload makes the object that a request is about to create, without its content.
func (s *Storage) newUpload(c *call, r *http.Request, meta uploadMetadata, mediaType string) (*object, checksums, error) {
	o := &object{bucket: c.bucket, name: cmp.Or(c.object, meta.Name), attributes: meta.attributes}
	o.attributes.ContentType = cmp.Or(o.attributes.ContentType, mediaType)
	o.attributes.ContentEncoding = cmp.Or(o.attributes.ContentEncoding, c.query.Get("contentEncoding"))
	o.attributes = o.attributes.withDefaults()
	if err := checkName(o.name); err != nil {
		return nil, checksums{}, err
	}
	if err := s.lookBucket(c.bucket); err != nil {
		return nil, checksums{}, err
	}
	sums := checksums{crc32c: meta.CRC32C, md5: meta.MD5}
	return o, sums, sums.addHeaders(r.Header)
}

// uploadMedia takes an object whose attributes are all in the URL.
func (s *Storage) uploadMedia(w http.ResponseWriter, r *http.Request, c *call) error {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return err
	}
	o, sums, err := s.newUpload(c, r, uploadMetadata{}, r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	rc := newReceiver(&s.memory, r.ContentLength, 0)
	defer rc.release()
	if err := rc.readFrom(r.Body); err != nil {
		return err
	}
	o.content, o.crc = rc.keep(rc.size), rc.sum(rc.size)
	return s.finish(w, r, o, sums, &cond)
}

// uploadMultipart takes an object's attributes and content in one body of two parts.
func (s *Storage) uploadMultipart(w http.ResponseWriter, r *http.Request, c *call) error {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return err
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	boundary := params["boundary"]
	if err != nil || !strings.HasPrefix(mediaType, "multipart/") || boundary == "" {
		return errInvalid("A multipart upload needs Content-Type: multipart/related; boundary=…")
	}
	head, media, read, err := readHead(r.Body, boundary)
	if err != nil {
		return err
	}
	var meta uploadMetadata
	if err := json.Unmarshal(head.metadata, &meta); err != nil {
		return errInvalid("The metadata of the upload is not JSON as expected: %v", err)
	}
	o, sums, err := s.newUpload(c, r, meta, head.mediaType)
	if err != nil {
		return err
	}
	expect := int64(-1)
	if r.ContentLength >= 0 {
		expect = r.ContentLength - read + int64(len(media))
	}
	// What follows the closing delimiter is at most a line end and a little white space.
	const epilogue = 16
	end := []byte("\n--" + boundary + "--")
	rc := newReceiver(&s.memory, expect, int64(len(end)+1+epilogue))
	defer rc.release()
	if err := rc.readFrom(io.MultiReader(bytes.NewReader(media), r.Body)); err != nil {
		return err
	}
	tail := rc.tail(rc.holdback)
	at := bytes.LastIndex(tail, end)
	if at < 0 {
		return errInvalid("The multipart body does not end with its boundary.")
	}
	if at > 0 && tail[at-1] == '\r' {
		at--
	}
	size := rc.size - int64(len(tail)-at)
	o.content, o.crc = rc.keep(size), rc.sum(size)
	return s.finish(w, r, o, sums, &cond)
}

// finish checks what was promised about an object whose bytes have come, and creates it.
func (s *Storage) finish(w http.ResponseWriter, r *http.Request, o *object, sums checksums, cond *conditions) error {
	err := sums.verify(o)
	if err == nil {
		err = s.install(o, cond)
	}
	if err != nil {
		s.memory.release(o.content.size)
		return err
	}
	s.replyObject(w, r, o)
	return nil
}

// replyObject answers with an object's attributes.
func (s *Storage) replyObject(w http.ResponseWriter, r *http.Request, o *object) {
	w.Header().Set("ETag", o.etag())
	reply(w, http.StatusOK, o.resource(r))
}
