package bucketstore

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// s3dialect is what differs between servers that speak S3.
type s3dialect interface {
	headers
	defaultRegion() string
	rewriteInterval() time.Duration
	scheme() signingScheme
	// space is the namespace of what is sent in XML.
	space() string
	// listed is the version that a listing tells.
	listed(o *s3Listed) objstore.Version
}

// amazon is S3 as Amazon documents it, and as MinIO, Ceph, R2 and others follow. A version is an ETag: equal ones mean equal bytes,
// and what must never come back, the head of a job, carries a nonce.
//
// Writes declare their CRC32C in x-amz-checksum-crc32c: Amazon refuses a damaged body, and tells the checksum again to whoever reads or asks,
// for the price of 50 ms a GiB; Content-MD5 would cost 1.6 s and tell nothing later. It is a header; the trailer that SDKs prefer is what
// other servers fail on.
type amazon struct{}

func (amazon) space() string { return "http://s3.amazonaws.com/doc/2006-03-01/" }
func (google) space() string { return "" }

func (amazon) defaultRegion() string          { return "" }
func (amazon) rewriteInterval() time.Duration { return 0 }

func (amazon) scheme() signingScheme {
	return signingScheme{algorithm: "AWS4-HMAC-SHA256", secret: "AWS4", service: "s3", end: "aws4_request", header: "X-Amz-"}
}

var etagForm = regexp.MustCompile(`^[!#-~]+$`) // what an entity tag may hold between its quotes

func (amazon) condition(h http.Header, cond objstore.Version) bool {
	if cond == objstore.Absent {
		h.Set("If-None-Match", "*")
		return true
	}
	h.Set("If-Match", `"`+string(cond)+`"`)
	return etagForm.MatchString(string(cond))
}

func (amazon) version(h http.Header) objstore.Version { return etag(h.Get("ETag")) }

// etag refuses weak tags, on which no write can be conditioned.
func etag(v string) objstore.Version {
	if v = strings.Trim(v, `"`); etagForm.MatchString(v) {
		return objstore.Version(v)
	}
	return objstore.Absent
}

func (amazon) crc32c(h http.Header) (uint32, bool) {
	// Of an object in parts it is a checksum of checksums, "…-3".
	return decodeCRC(h.Get("X-Amz-Checksum-Crc32c"))
}

func (amazon) sum(h http.Header, crc uint32)       { h.Set("X-Amz-Checksum-Crc32c", encodeCRC(crc)) }
func (amazon) describe(h http.Header)              { h.Set("X-Amz-Checksum-Mode", "ENABLED") }
func (amazon) listed(o *s3Listed) objstore.Version { return etag(o.ETag) }

// google is Google Cloud Storage by HMAC keys. Its S3 mode accepts If-None-Match and If-Match on a write and ignores them; what it heeds
// is x-goog-if-generation-match, and it refuses that (400 ExcessHeaderValues) beside any x-amz- header, which an AWS
// signature cannot do without. So requests carry the same keys in Google's own form of that signature. A version is a generation.
type google struct{}

func (google) defaultRegion() string          { return "auto" }
func (google) rewriteInterval() time.Duration { return gcs{}.rewriteInterval() }

func (google) scheme() signingScheme {
	return signingScheme{algorithm: "GOOG4-HMAC-SHA256", secret: "GOOG4", service: "storage", end: "goog4_request", header: "X-Goog-"}
}

func (google) condition(h http.Header, cond objstore.Version) bool {
	generation := int64(0) // stands for "absent"
	if cond != objstore.Absent {
		var err error
		if generation, err = strconv.ParseInt(string(cond), 10, 64); err != nil || generation <= 0 {
			return false
		}
	}
	h.Set("X-Goog-If-Generation-Match", strconv.FormatInt(generation, 10))
	return true
}

func (google) version(h http.Header) objstore.Version {
	return generationOf(h.Get("X-Goog-Generation"))
}

func generationOf(v string) objstore.Version {
	if g, err := strconv.ParseInt(v, 10, 64); err == nil && g > 0 {
		return generation(g)
	}
	return objstore.Absent
}

func (google) crc32c(h http.Header) (uint32, bool) {
	for _, line := range h.Values("X-Goog-Hash") {
		for hash := range strings.SplitSeq(line, ",") {
			if sum, ok := strings.CutPrefix(strings.TrimSpace(hash), "crc32c="); ok {
				return decodeCRC(sum)
			}
		}
	}
	return 0, false
}

func (google) sum(h http.Header, crc uint32)       { h.Set("X-Goog-Hash", "crc32c="+encodeCRC(crc)) }
func (google) describe(http.Header)                {} // it always tells
func (google) listed(o *s3Listed) objstore.Version { return generationOf(o.Generation) }

func encodeCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

func decodeCRC(v string) (uint32, bool) {
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(b) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}
