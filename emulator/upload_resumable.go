package emulator

import (
	"math"
	"net/http"
	"net/url"
)

// statusCancelled is what GCS answers to a cancelled upload, in nginx's numbering.
const statusCancelled = 499

// startUpload opens a resumable upload. Preconditions are checked when it completes: only then do they decide anything.
func (s *Storage) startUpload(w http.ResponseWriter, r *http.Request, c *call) error {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return err
	}
	var meta uploadMetadata
	if err := readJSON(r, &meta); err != nil {
		return err
	}
	o, sums, err := s.newUpload(c, r, meta, r.Header.Get("X-Upload-Content-Type"))
	if err != nil {
		return err
	}
	u := &session{object: o, sums: sums, cond: cond, total: -1}
	total, err := number("X-Upload-Content-Length", r.Header.Get("X-Upload-Content-Length"))
	if err != nil {
		return err
	}
	if total != nil {
		u.total = *total
	}
	id, forgotten := s.sessions.add(u)
	if forgotten != nil {
		forgotten.mu.Lock()
		s.end(forgotten)
		forgotten.mu.Unlock()
	}
	query := url.Values{"uploadType": {"resumable"}, "name": {o.name}, "upload_id": {id}}
	w.Header().Set("Location", origin(r)+"upload/storage/v1/b/"+url.PathEscape(o.bucket)+"/o?"+query.Encode())
	w.Header().Set("X-Guploader-Uploadid", id)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// uploadChunk takes a part of a resumable upload, or a question about it.
func (s *Storage) uploadChunk(w http.ResponseWriter, r *http.Request, c *call) error {
	u, err := s.session(c)
	if err != nil {
		return err
	}
	rng, err := parseChunkRange(r)
	if err != nil {
		return err
	}
	// The session's own CRC32C is computed over what is new in the chunk, so the receiver computes none.
	rc := newReceiver(&s.memory, r.ContentLength, math.MaxInt64)
	defer rc.release()
	readErr := rc.readFrom(r.Body)
	if readErr != nil && !rc.broken {
		return readErr
	}

	u.mu.Lock()
	o, err := s.advance(u, rng, rc, r.Header)
	have := u.content.size
	u.mu.Unlock()
	switch {
	case err != nil:
		return err
	case readErr != nil: // what came of a request that broke off is kept, but there is nobody to tell
		return readErr
	case o == nil:
		goOn(w, r, have)
		return nil
	}
	s.replyObject(w, r, o)
	return nil
}

// advance applies what rc received to the upload u, which is locked, and returns the object if that made it complete.
func (s *Storage) advance(u *session, rng chunkRange, rc *receiver, h http.Header) (*object, error) {
	switch {
	case u.done != nil:
		return u.done, nil
	case u.dead:
		return nil, errGone()
	case rng.size < 0 && !rc.broken: // a body of unknown length that is the whole object
		rng.size, rng.total = rc.size, rc.size
	case !rc.broken && rc.size != rng.size:
		return nil, errInvalid("The Content-Range header announces %d bytes, but %d came.", rng.size, rc.size)
	case rng.total >= 0 && u.total >= 0 && rng.total != u.total:
		return nil, errInvalid("The upload was announced with %d bytes, and now with %d.", u.total, rng.total)
	}
	u.total = max(u.total, rng.total)
	final := !rc.broken && rng.first+rng.size == u.total
	if rng.size != 0 {
		if !final && !rc.broken && rng.size < chunkQuantum {
			return nil, errInvalid("Invalid request.  The number of bytes uploaded is required to be equal or greater than %d, "+
				"except for the final request (it's recommended to be the exact multiple of %d).  The received request contained "+
				"%d bytes, which does not meet this requirement.", chunkQuantum, chunkQuantum, rng.size)
		}
		if err := s.extend(u, rc.keep(rc.size), rng.first, final); err != nil {
			return nil, err
		}
	}
	if rc.broken || u.content.size != u.total {
		return nil, nil
	}
	if err := s.complete(u, h); err != nil {
		return nil, err
	}
	return u.done, nil
}

// cancelUpload ends an upload that is not complete.
func (s *Storage) cancelUpload(w http.ResponseWriter, _ *http.Request, c *call) error {
	u, err := s.session(c)
	if err != nil {
		return err
	}
	u.mu.Lock()
	if u.done == nil && !u.dead {
		s.end(u)
	}
	u.mu.Unlock()
	w.WriteHeader(statusCancelled)
	return nil
}

func (s *Storage) session(c *call) (*session, error) {
	u := s.sessions.get(c.query.Get("upload_id"))
	if u == nil || u.object.bucket != c.bucket {
		return nil, &storageError{status: http.StatusNotFound, reason: "notFound", code: "NoSuchUpload",
			message: "The upload is not known: it was never started, or it is too old."}
	}
	return u, nil
}
