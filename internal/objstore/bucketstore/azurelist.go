package bucketstore

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// azurePage is the answer to List Blobs.
type azurePage struct {
	XMLName xml.Name `xml:"EnumerationResults"`
	Blobs   struct {
		Blob []struct {
			Name       azureName
			Properties struct {
				Etag         string
				LastModified string `xml:"Last-Modified"`
				Size         int64  `xml:"Content-Length"`
				ResourceType string // of an account with a hierarchical namespace: file or directory
			}
		}
		BlobPrefix []struct{ Name azureName }
	}
	NextMarker string
}

// azureName is percent-encoded where it holds what XML cannot.
type azureName struct {
	Encoded bool   `xml:",attr"`
	Text    string `xml:",chardata"`
}

func (n azureName) decoded() (string, error) {
	if !n.Encoded {
		return n.Text, nil
	}
	text, err := url.PathUnescape(n.Text)
	if err != nil {
		return "", errNoListing
	}
	return text, nil
}

// listing implements service. The versions of the protocol that are spoken here cannot start behind a key.
func (s *Azure) listing(prefix, delimiter, _, token string) url.Values {
	q := url.Values{"restype": {"container"}, "comp": {"list"}, "maxresults": {strconv.Itoa(azurePageSize)}}
	for name, value := range map[string]string{"prefix": prefix, "delimiter": delimiter, "marker": token} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// azurePageSize is the most that Azure gives at once.
const azurePageSize = 5000

// maxAzurePage holds five thousand of the longest keys with their properties.
const maxAzurePage = 32 << 20

// decode implements service.
func (s *Azure) decode(resp *http.Response) (*listed, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAzurePage))
	if err != nil {
		return nil, err
	}
	var page azurePage
	if !isXML(resp.Header) || unmarshal(body, &page) != nil {
		return nil, errNoListing
	}
	out := &listed{objects: make([]objstore.Info, len(page.Blobs.Blob)), next: page.NextMarker}
	for i := range page.Blobs.Blob {
		b := &page.Blobs.Blob[i]
		name, err := b.Name.decoded()
		if err != nil {
			return nil, err
		}
		if b.Properties.Size < 0 {
			return nil, errNoListing
		}
		if b.Properties.ResourceType == "directory" {
			return nil, &objstore.Error{Kind: objstore.KindUnsupported,
				Err: fmt.Errorf("%q is a directory: the account has a hierarchical namespace, which does not list in the order of keys", name)}
		}
		info := objstore.Info{Key: name, Size: b.Properties.Size, Version: objstore.Version(quoted(b.Properties.Etag))}
		info.Modified, _ = http.ParseTime(b.Properties.LastModified)
		out.objects[i] = info
	}
	for _, p := range page.Blobs.BlobPrefix {
		name, err := p.Name.decoded()
		if err != nil {
			return nil, err
		}
		out.dirs = append(out.dirs, name)
	}
	return out, nil
}

// quoted: listings have ETags without quotes.
func quoted(etag string) string {
	if etag == "" || isETag(etag) {
		return etag
	}
	return `"` + etag + `"`
}
