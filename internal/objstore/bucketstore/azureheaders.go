package bucketstore

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// azureHeaders are those of a block blob. A version is an ETag, which Azure never mints twice.
type azureHeaders struct{}

// azureSum keeps the checksum beside the blob: Azure has none that is as cheap. Names of metadata are those of C#.
const azureSum = "X-Ms-Meta-Tidemarkcrc32c"

func (azureHeaders) condition(h http.Header, cond objstore.Version) bool {
	if cond == objstore.Absent {
		h.Set("If-None-Match", "*")
		return true
	}
	h.Set("If-Match", string(cond))
	return isETag(string(cond))
}

// version is with the quotes.
func (azureHeaders) version(h http.Header) objstore.Version {
	if v := h.Get("ETag"); isETag(v) && h.Get("X-Ms-Version") != "" {
		return objstore.Version(v)
	}
	return objstore.Absent
}

// isETag: a weak one says nothing of the bytes.
func isETag(v string) bool { return len(v) > 2 && v[0] == '"' && v[len(v)-1] == '"' }

func (azureHeaders) crc32c(h http.Header) (uint32, bool) {
	text := h.Get(azureSum)
	sum, err := strconv.ParseUint(text, 16, 32)
	return uint32(sum), err == nil && len(text) == 8
}

func (azureHeaders) sum(h http.Header, crc uint32) { h.Set(azureSum, fmt.Sprintf("%08x", crc)) }
func (azureHeaders) describe(http.Header)          {} // it always tells
