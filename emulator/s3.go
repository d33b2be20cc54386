package emulator

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// S3Options let a storage server speak S3 as well: requests outside the JSON API that carry no bearer token have to be signed.
// Served are PUT, GET, HEAD and DELETE of an object, ListObjectsV2 and DeleteObjects, with the bucket in the path; the rest is refused.
type S3Options struct {
	// Keys are the secrets by their access ids.
	Keys map[string]string

	// Google makes the server behave as the S3 mode of Google Cloud Storage does: If-Match and If-None-Match mean nothing to a write,
	// which x-goog-if-generation-match conditions; x-amz- and x-goog- headers in one request are refused, and so the latter
	// come with GOOG4-HMAC-SHA256, which is accepted beside AWS4-HMAC-SHA256. Without it the server behaves as Amazon's:
	// ETags are MD5 sums, at their price, and condition writes.
	Google bool

	// MaxSkew is how far a signature's time may be from this machine's; 0 stands for 15 minutes, as everywhere.
	MaxSkew time.Duration
}

// signed tells whether r is S3's to answer.
func (s *Storage) signed(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	path := r.URL.EscapedPath()
	for _, prefix := range []string{prefixJSON, prefixUpload, prefixResumable, prefixDownload, pathBatch} {
		if strings.HasPrefix(path, prefix) {
			return false
		}
	}
	return s.opts.S3 != nil && !strings.EqualFold(scheme, "Bearer")
}

func (s *Storage) serveS3(w http.ResponseWriter, r *http.Request) {
	c := &call{query: r.URL.Query()}
	c.routeXML("", r.URL.EscapedPath())
	if !s.opts.S3.Google {
		w.Header().Set("X-Amz-Request-Id", strconv.FormatInt(time.Now().UnixNano(), 36))
	}
	body, err := s.verify(r)
	if err = cmp.Or(s.diskErr, err); err == nil {
		err = s.dispatchS3(w, r, c, body)
	}
	if err != nil {
		fail(w, r, c, err)
	}
}

func (s *Storage) dispatchS3(w http.ResponseWriter, r *http.Request, c *call, body payload) error {
	var permission string
	serve := (*Storage).readS3
	switch {
	case c.bucket == "":
		return errNotImplemented("the list of buckets")
	case c.object == "" && r.Method == http.MethodGet && c.query.Get("list-type") == "2":
		permission, serve = "storage.objects.list", (*Storage).listS3
	case c.object == "" && r.Method == http.MethodPost && c.query.Has("delete"):
		if err := cmp.Or(s.unservedS3(r, c), s.lookBucket(c.bucket)); err != nil {
			return err
		}
		return s.deleteManyS3(w, r, c, body)
	case c.object == "":
		return errNotImplemented(r.Method + " of a bucket other than ListObjectsV2 and DeleteObjects")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		permission = "storage.objects.get"
	case r.Method == http.MethodDelete:
		permission, serve = "storage.objects.delete", (*Storage).deleteS3
	case r.Method == http.MethodPut:
		permission = "storage.objects.create"
		serve = func(s *Storage, w http.ResponseWriter, r *http.Request, c *call) error {
			return s.putS3(w, r, c, body)
		}
	default:
		return errNotImplemented(r.Method)
	}
	if err := s.unservedS3(r, c); err != nil {
		return err
	}
	if r.Method != http.MethodPut {
		if err := body.verify(content{}); err != nil {
			return err
		}
	}
	if err := s.permit(r, c.bucket, c.object, permission); err != nil {
		return s.forbiddenS3(err, c, permission)
	}
	if err := s.lookBucket(c.bucket); err != nil {
		return err
	}
	return serve(s, w, r, c)
}

// servedHeaders are the extension headers that are understood, of either family; others would change what a request means.
var servedHeaders = map[string]bool{
	"Date": true, "Content-Sha256": true, "Checksum-Crc32c": true, "Checksum-Mode": true, "User-Agent": true,
	"Hash": true, "If-Generation-Match": true, "If-Metageneration-Match": true,
}

func (s *Storage) unservedS3(r *http.Request, c *call) error {
	for name := range r.Header {
		for _, family := range []string{"X-Amz-", "X-Goog-"} {
			if rest, ok := strings.CutPrefix(name, family); ok && !servedHeaders[rest] {
				return errNotImplemented("the header " + name)
			}
		}
		if strings.HasPrefix(name, "If-") && !s.opts.S3.Google && r.Method != http.MethodPut {
			return errNotImplemented("the header " + name + " with " + r.Method)
		}
	}
	for name := range c.query {
		if name != "x-id" && c.object != "" { // x-id only repeats the operation's name
			return errNotImplemented("the parameter " + name)
		}
	}
	return nil
}

func errNotImplemented(what string) error {
	return &storageError{status: http.StatusNotImplemented, code: "NotImplemented",
		message: "A header or parameter you provided implies functionality that is not implemented: " + what + "."}
}

func (s *Storage) readS3(w http.ResponseWriter, r *http.Request, c *call) error {
	if s.opts.S3.Google {
		return s.read(w, r, c)
	}
	return s.readAs(w, r, c, func(o *object, h http.Header) {
		o.describeS3(h)
		if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && r.Header.Get("Range") == "" {
			h.Set("X-Amz-Checksum-Crc32c", encodeCRC(o.crc))
			h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
		}
	})
}

func (o *object) describeS3(h http.Header) {
	for name, value := range map[string]string{"Content-Type": o.attributes.ContentType, "Content-Encoding": o.attributes.ContentEncoding} {
		if value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Last-Modified", o.updated.Format(http.TimeFormat))
	h.Set("ETag", o.etagS3())
}

func (s *Storage) deleteS3(w http.ResponseWriter, r *http.Request, c *call) error {
	var cond conditions
	var err error
	if s.opts.S3.Google {
		if cond, err = readConditions(c, r); err != nil {
			return err
		}
	}
	err = s.remove(c.bucket, c.object, &cond)
	var e *storageError
	if errors.As(err, &e) && e.code == "NoSuchKey" && !s.opts.S3.Google {
		err = nil // as Amazon's: what is not there is deleted
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (s *Storage) putS3(w http.ResponseWriter, r *http.Request, c *call, body payload) error {
	if r.ContentLength < 0 {
		return &storageError{status: http.StatusLengthRequired, code: "MissingContentLength", message: "You must provide the Content-Length HTTP header."}
	}
	if err := checkName(c.object); err != nil {
		return err
	}
	cond, err := s.writeConditionsS3(c, r)
	if err != nil {
		return err
	}
	o := &object{bucket: c.bucket, name: c.object}
	o.attributes.ContentType, o.attributes.ContentEncoding = r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding")
	o.attributes = o.attributes.withDefaults()
	sums := checksums{crc32c: r.Header.Get("X-Amz-Checksum-Crc32c")}
	if err := sums.addHeaders(r.Header); err != nil {
		return err
	}
	rc := newReceiver(&s.memory, r.ContentLength, 0)
	defer rc.release()
	if err := rc.readFrom(r.Body); err != nil {
		return err
	}
	o.content, o.crc = rc.keep(rc.size), rc.sum(rc.size)
	if err := s.storeS3(o, sums, body, &cond); err != nil {
		s.memory.release(o.content.size)
		return err
	}
	if s.opts.S3.Google {
		o.describe(w.Header())
		return nil
	}
	w.Header().Set("ETag", o.etagS3())
	if sums.crc32c != "" {
		w.Header().Set("X-Amz-Checksum-Crc32c", sums.crc32c)
	}
	return nil
}

// storeS3 checks what was promised about o, and creates it.
func (s *Storage) storeS3(o *object, sums checksums, body payload, cond *conditions) error {
	if err := body.verify(o.content); err != nil {
		return err
	}
	if err := sums.verify(o); err != nil {
		return &storageError{status: http.StatusBadRequest, code: "BadDigest", message: err.Error()}
	}
	if o.md5 == nil && !s.opts.S3.Google {
		o.md5 = o.content.md5()
	}
	return s.install(o, cond)
}

// writeConditionsS3 reads what a write depends on. An ETag becomes the generation that has it, if there is one.
func (s *Storage) writeConditionsS3(c *call, r *http.Request) (conditions, error) {
	if s.opts.S3.Google {
		return readConditions(c, r) // of which forWrite heeds no ETag
	}
	var cond conditions
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case none == "*" && match == "":
		cond.generationIs = new(int64)
	case none != "":
		return cond, errNotImplemented("If-None-Match other than *")
	case match != "":
		o, err := s.find(c.bucket, c.object, &cond)
		if err != nil {
			return cond, err
		}
		if match != "*" && strings.Trim(match, `"`) != strings.Trim(o.etagS3(), `"`) {
			return cond, errPrecondition()
		}
		cond.generationIs = &o.generation
	}
	return cond, nil
}

// etagS3 is the MD5 sum, or for what came through another API, something that is none.
func (o *object) etagS3() string {
	if o.md5 == nil {
		return `"` + strconv.FormatInt(o.generation, 16) + `-1"`
	}
	return `"` + hex.EncodeToString(o.md5) + `"`
}

// forbiddenS3 puts a refusal into Amazon's words.
func (s *Storage) forbiddenS3(err error, c *call, permission string) error {
	if s.opts.S3.Google {
		return err
	}
	action := map[string]string{"storage.objects.get": "s3:GetObject", "storage.objects.list": "s3:ListBucket",
		"storage.objects.delete": "s3:DeleteObject", "storage.objects.create": "s3:PutObject"}[permission]
	return &storageError{status: http.StatusForbidden, code: "AccessDenied", message: "User: arn:aws:iam::123456789012:user/tidemark is not " +
		"authorized to perform: " + action + ` on resource: "arn:aws:s3:::` + strings.TrimSuffix(c.bucket+"/"+c.object, "/") +
		`" because no identity-based policy allows the ` + action + " action"}
}
