package emulator

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// object is one generation of an object. It never changes once it is in a bucket's index: a change of its attributes
// puts a copy in its place, so that readers need no lock.
type object struct {
	bucket, name               string
	generation, metageneration int64
	created, updated           time.Time
	attributes                 attributes
	content                    content
	crc                        uint32 // CRC32C of the content
	md5                        []byte // nil unless the uploader declared it
	components                 int    // of a composite object
}

// attributes are what a client may set, in the names of the JSON API.
type attributes struct {
	ContentType        string            `json:"contentType,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	StorageClass       string            `json:"storageClass,omitempty"`
	CustomTime         string            `json:"customTime,omitempty"`
	EventBasedHold     bool              `json:"eventBasedHold,omitempty"`
	TemporaryHold      bool              `json:"temporaryHold,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

func (a attributes) withDefaults() attributes {
	a.ContentType = cmp.Or(a.ContentType, "application/octet-stream")
	a.StorageClass = cmp.Or(a.StorageClass, "STANDARD")
	return a
}

// objectResource is an object as the JSON API shows it; 64-bit numbers are strings there.
type objectResource struct {
	Kind           string `json:"kind"`
	ID             string `json:"id"`
	SelfLink       string `json:"selfLink"`
	MediaLink      string `json:"mediaLink"`
	Name           string `json:"name"`
	Bucket         string `json:"bucket"`
	Generation     int64  `json:"generation,string"`
	Metageneration int64  `json:"metageneration,string"`
	Size           int64  `json:"size,string"`
	CRC32C         string `json:"crc32c"`
	MD5            string `json:"md5Hash,omitempty"`
	ETag           string `json:"etag"`
	ComponentCount int    `json:"componentCount,omitempty"`
	Created        string `json:"timeCreated"`
	Updated        string `json:"updated"`
	ClassUpdated   string `json:"timeStorageClassUpdated"`
	Finalized      string `json:"timeFinalized"`
	attributes
}

func (o *object) resource(r *http.Request) *objectResource {
	base := origin(r)
	place := "storage/v1/b/" + url.PathEscape(o.bucket) + "/o/" + url.PathEscape(o.name)
	res := &objectResource{
		Kind: "storage#object", ID: fmt.Sprintf("%s/%s/%d", o.bucket, o.name, o.generation),
		SelfLink: base + place, MediaLink: fmt.Sprintf("%sdownload/%s?generation=%d&alt=media", base, place, o.generation),
		Name: o.name, Bucket: o.bucket, Generation: o.generation, Metageneration: o.metageneration,
		Size: o.content.size, CRC32C: encodeCRC(o.crc), MD5: base64.StdEncoding.EncodeToString(o.md5), ETag: o.etag(),
		ComponentCount: o.components, Created: stamp(o.created), Updated: stamp(o.updated),
		ClassUpdated: stamp(o.created), Finalized: stamp(o.created), attributes: o.attributes,
	}
	return res
}

// origin is the address by which the client reached this server, with a slash at the end.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host + "/"
	}
	return "http://" + r.Host + "/"
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

// etag names the generation and metageneration, as GCS's do: a protocol buffer of the two in base64.
func (o *object) etag() string {
	b := binary.AppendUvarint([]byte{1 << 3}, uint64(o.generation))
	b = binary.AppendUvarint(append(b, 2<<3), uint64(o.metageneration))
	return base64.StdEncoding.EncodeToString(b)
}

func encodeCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// maxName is GCS's limit, in bytes.
const maxName = 1024

// checkName refuses the names that GCS refuses.
func checkName(name string) error {
	switch {
	case name == "":
		return errRequired("name")
	case len(name) > maxName:
		return errInvalid("The maximum object length is %d characters, but got a name with %d characters: ''%.64s...''",
			maxName, len(name), name)
	case !utf8.ValidString(name) || strings.ContainsAny(name, "\r\n"):
		return errInvalid("Disallowed unicode characters present in object name ''%q''", name)
	case name == "." || name == ".." || strings.HasPrefix(name, ".well-known/acme-challenge/"):
		return errInvalid("Invalid object name: %q", name)
	}
	return nil
}
