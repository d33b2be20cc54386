package bucketstore

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// s3Page is the answer to ListObjectsV2.
type s3Page struct {
	XMLName      xml.Name `xml:"ListBucketResult"`
	EncodingType string
	IsTruncated  bool
	Next         string                    `xml:"NextContinuationToken"`
	Objects      []s3Listed                `xml:"Contents"`
	Prefixes     []struct{ Prefix string } `xml:"CommonPrefixes"`
}

type s3Listed struct {
	Key, ETag    string
	Generation   string // Google's
	Size         int64
	LastModified time.Time
}

// maxPageBody holds a thousand of the longest keys, every byte of them escaped, with room for the rest.
const maxPageBody = 16 << 20

// listing implements service; S3 starts behind after by itself.
func (s *S3) listing(prefix, delimiter, after, token string) url.Values {
	// Without the encoding a stranger's key with a control character would make all of a listing unreadable.
	q := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "max-keys": {strconv.Itoa(pageSize)}, "prefix": {prefix}}
	for name, value := range map[string]string{"delimiter": delimiter, "start-after": after, "continuation-token": token} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// decode implements service.
func (s *S3) decode(resp *http.Response) (*listed, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPageBody))
	if err != nil {
		return nil, err
	}
	var page s3Page
	if !isXML(resp.Header) || unmarshal(body, &page) != nil || page.IsTruncated && page.Next == "" {
		return nil, errNoListing
	}
	name := func(text string) string { return text }
	if page.EncodingType == "url" {
		name = func(text string) string {
			unescaped, bad := url.QueryUnescape(text)
			if bad != nil {
				err = errNoListing
			}
			return unescaped
		}
	}
	out := &listed{objects: make([]objstore.Info, len(page.Objects))}
	for i := range page.Objects {
		o := &page.Objects[i]
		if o.Size < 0 {
			return nil, errNoListing
		}
		out.objects[i] = objstore.Info{Key: name(o.Key), Size: o.Size, Version: s.d.listed(o), Modified: o.LastModified}
	}
	for _, p := range page.Prefixes {
		out.dirs = append(out.dirs, name(p.Prefix))
	}
	if page.IsTruncated {
		out.next = page.Next
	}
	return out, err
}
