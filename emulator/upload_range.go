package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// chunkRange is what a Content-Range header says about a request of a resumable upload.
type chunkRange struct {
	first int64 // offset of the body's first byte
	size  int64 // bytes of the body; 0 for a question, -1 if the request does not say
	total int64 // bytes of the whole object; -1 if the request does not say
}

// parseChunkRange reads the header. Without one, the body is the whole object.
func parseChunkRange(r *http.Request) (chunkRange, error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return chunkRange{0, r.ContentLength, r.ContentLength}, nil
	}
	bad := errInvalid("Failed to parse Content-Range header: %q", header)
	spec, ok := strings.CutPrefix(header, "bytes ")
	span, of, slash := strings.Cut(strings.TrimSpace(spec), "/")
	if !ok || !slash {
		return chunkRange{}, bad
	}
	rng := chunkRange{total: -1}
	if of != "*" {
		total, err := strconv.ParseInt(of, 10, 64)
		if err != nil || total < 0 {
			return chunkRange{}, bad
		}
		rng.total = total
	}
	if span == "*" {
		return rng, nil
	}
	from, to, dash := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	if !dash || err1 != nil || err2 != nil || first < 0 || last < first || (rng.total >= 0 && last >= rng.total) {
		return chunkRange{}, bad
	}
	rng.first, rng.size = first, last-first+1
	return rng, nil
}
