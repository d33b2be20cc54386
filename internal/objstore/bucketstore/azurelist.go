package bucketstore

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

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

// List implements objstore.Store.
func (s *Azure) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.ListAfter(ctx, prefix, "")
}

// ListAfter is List from behind a key. The versions of the protocol that are spoken here cannot start there: what comes before is left out
// on arrival.
func (s *Azure) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		const op = "list"
		last := ""
		for page, err := range s.pages(ctx, op, prefix, "") {
			if err != nil {
				yield(objstore.Info{}, err)
				return
			}
			for i := range page.Blobs.Blob {
				b := &page.Blobs.Blob[i]
				name, err := b.Name.decoded()
				key, ok := strings.CutPrefix(name, s.prefix)
				switch {
				case err != nil:
					err = s.fail(ctx, &azureCall{op: op, key: prefix}, err)
				case b.Properties.ResourceType == "directory":
					err = &objstore.Error{Kind: objstore.KindUnsupported, Op: op, Key: prefix,
						Err: fmt.Errorf("%q is a directory: the account has a hierarchical namespace, which does not list in the order of keys", name)}
				case !ok || key <= last:
					err = unordered(op, prefix, name, last)
				}
				if err != nil {
					yield(objstore.Info{}, err)
					return
				}
				if last = key; key <= after {
					continue
				}
				info := objstore.Info{Key: key, Size: b.Properties.Size, Version: objstore.Version(quoted(b.Properties.Etag))}
				info.Modified, _ = http.ParseTime(b.Properties.LastModified)
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// quoted: listings have ETags without quotes.
func quoted(etag string) string {
	if etag == "" || isETag(etag) {
		return etag
	}
	return `"` + etag + `"`
}

// Dirs implements objstore.Store.
func (s *Azure) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		const op = "dirs"
		last := ""
		for page, err := range s.pages(ctx, op, prefix, "/") {
			if err != nil {
				yield("", err)
				return
			}
			for _, p := range page.Blobs.BlobPrefix {
				name, err := p.Name.decoded()
				if err != nil {
					yield("", s.fail(ctx, &azureCall{op: op, key: prefix}, err))
					return
				}
				dir, ok := strings.CutPrefix(name, s.prefix)
				if ok && dir == last { // a directory whose blobs lie on two pages may come twice
					continue
				}
				if !ok || dir < last {
					yield("", unordered(op, prefix, name, last))
					return
				}
				last = dir
				if !yield(dir, nil) {
					return
				}
			}
		}
	}
}

func (s *Azure) pages(ctx context.Context, op, prefix, delimiter string) iter.Seq2[*azurePage, error] {
	return func(yield func(*azurePage, error) bool) {
		if err := objstore.CheckPrefix(op, prefix); err != nil {
			yield(nil, err)
			return
		}
		q := url.Values{"restype": {"container"}, "comp": {"list"}, "maxresults": {strconv.Itoa(azurePageSize)}}
		if p := s.prefix + prefix; p != "" {
			q.Set("prefix", p)
		}
		if delimiter != "" {
			q.Set("delimiter", delimiter)
		}
		for {
			if ctx.Err() != nil {
				yield(nil, objstore.ContextError(ctx, op, prefix))
				return
			}
			page, err := s.page(ctx, &azureCall{op: op, key: prefix, class: objstore.ClassList, method: http.MethodGet, query: q})
			if !yield(page, err) || err != nil || page.NextMarker == "" {
				return
			}
			q.Set("marker", page.NextMarker)
		}
	}
}

// azurePageSize is the most that Azure gives at once.
const azurePageSize = 5000

func (s *Azure) page(ctx context.Context, c *azureCall) (*azurePage, error) {
	resp, err := s.send(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAzurePage))
	if err != nil {
		return nil, s.fail(ctx, c, err)
	}
	var page azurePage
	// Azure puts a byte order mark in front.
	if !isXML(resp.Header) || xml.Unmarshal([]byte(strings.TrimPrefix(string(body), "\uFEFF")), &page) != nil {
		return nil, s.fail(ctx, c, errNoListing)
	}
	return &page, nil
}

// maxAzurePage holds five thousand of the longest keys with their properties.
const maxAzurePage = 32 << 20
