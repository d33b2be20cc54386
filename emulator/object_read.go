package emulator

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

// read answers with an object's bytes, through either API, or for HEAD with what would come before them.
func (s *Storage) read(w http.ResponseWriter, r *http.Request, c *call) error {
	return s.readAs(w, r, c, (*object).describe)
}

// readAs leaves the headers that tell about the object to describe.
func (s *Storage) readAs(w http.ResponseWriter, r *http.Request, c *call, describe func(*object, http.Header)) error {
	cond, err := readConditions(c, r)
	if err != nil {
		return err
	}
	for last := (*object)(nil); ; {
		o, err := s.find(c.bucket, c.object, &cond)
		if err != nil {
			return err
		}
		if err := cond.forRead(o); err != nil {
			return err
		}
		err = o.send(w, r, describe)
		if o == last || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		last = o // its file is gone: it was replaced or deleted since it was found
	}
}

func (o *object) send(w http.ResponseWriter, r *http.Request, describe func(*object, http.Header)) error {
	h := w.Header()
	off, n, partial, err := parseRange(r.Header.Get("Range"), o.content.size)
	if err != nil {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", o.content.size))
		return err
	}
	body, err := o.content.part(off, n).open()
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // nothing was written to it
	describe(o, h)
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	status := http.StatusOK
	if partial {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, o.content.size))
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, body) // a client that leaves hears nothing more
	}
	return nil
}

// describe sets the headers that tell about an object.
func (o *object) describe(h http.Header) {
	a := &o.attributes
	for name, value := range map[string]string{
		"Content-Type": a.ContentType, "Content-Encoding": a.ContentEncoding, "Content-Disposition": a.ContentDisposition,
		"Content-Language": a.ContentLanguage, "Cache-Control": a.CacheControl,
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	for key, value := range a.Metadata {
		h.Set("X-Goog-Meta-"+key, value)
	}
	stored := a.ContentEncoding
	if stored == "" {
		stored = "identity"
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Last-Modified", o.updated.Format(http.TimeFormat))
	h.Set("ETag", `"-`+o.etag()+`"`) // the form of an object without MD5
	h.Set("X-Goog-Generation", strconv.FormatInt(o.generation, 10))
	h.Set("X-Goog-Metageneration", strconv.FormatInt(o.metageneration, 10))
	h.Set("X-Goog-Storage-Class", a.StorageClass)
	h.Set("X-Goog-Stored-Content-Encoding", stored)
	h.Set("X-Goog-Stored-Content-Length", strconv.FormatInt(o.content.size, 10))
	h.Set("X-Goog-Hash", "crc32c="+encodeCRC(o.crc))
	if o.md5 != nil {
		h.Add("X-Goog-Hash", "md5="+base64.StdEncoding.EncodeToString(o.md5))
	}
}

// parseRange reads a Range header for an object of that size. As in GCS, what is not one range of bytes is ignored.
func parseRange(header string, size int64) (off, n int64, partial bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return 0, size, false, nil
	}
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	first, firstErr := strconv.ParseInt(from, 10, 64)
	last, lastErr := strconv.ParseInt(to, 10, 64)
	switch {
	case !dash || (from != "" && (firstErr != nil || first < 0)) || (to != "" && (lastErr != nil || last < 0)) || from+to == "":
		return 0, size, false, nil
	case from == "": // the last bytes
		first, last = max(0, size-last), size-1
	case to == "" || last >= size:
		last = size - 1
	case last < first:
		return 0, size, false, nil
	}
	if first > last {
		return 0, 0, false, errRange()
	}
	return first, last - first + 1, true, nil
}
