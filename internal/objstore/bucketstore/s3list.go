package bucketstore

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

// List implements objstore.Store.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.ListAfter(ctx, prefix, "")
}

// ListAfter is List from behind a key; the service starts there.
func (s *S3) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		const op = "list"
		last := after
		for page, err := range s.pages(ctx, op, prefix, "", after) {
			if err != nil {
				yield(objstore.Info{}, err)
				return
			}
			for i := range page.Objects {
				o := &page.Objects[i]
				key, ok := strings.CutPrefix(o.Key, s.prefix)
				if !ok || key <= last {
					yield(objstore.Info{}, unordered(op, prefix, o.Key, last))
					return
				}
				last = key
				if !yield(objstore.Info{Key: key, Size: o.Size, Version: s.d.listed(o), Modified: o.LastModified}, nil) {
					return
				}
			}
		}
	}
}

// Dirs implements objstore.Store.
func (s *S3) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		const op = "dirs"
		last := ""
		for page, err := range s.pages(ctx, op, prefix, "/", "") {
			if err != nil {
				yield("", err)
				return
			}
			for _, p := range page.Prefixes {
				dir, ok := strings.CutPrefix(p.Prefix, s.prefix)
				if ok && dir == last { // a directory whose objects lie on two pages may come twice
					continue
				}
				if !ok || dir < last {
					yield("", unordered(op, prefix, p.Prefix, last))
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

// unordered is for stores, some of Amazon's own among them, that list in another order, or outside of what was asked for.
func unordered(op, prefix, key, last string) error {
	return &objstore.Error{
		Kind: objstore.KindUnsupported, Op: op, Key: prefix, Err: fmt.Errorf("the listing has %q after %q: it is not in the order of keys", key, last),
	}
}

func (s *S3) pages(ctx context.Context, op, prefix, delimiter, after string) iter.Seq2[*s3Page, error] {
	return func(yield func(*s3Page, error) bool) {
		if err := objstore.CheckPrefix(op, prefix); err != nil {
			yield(nil, err)
			return
		}
		// Without the encoding a stranger's key with a control character would make all of a listing unreadable.
		q := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "max-keys": {strconv.Itoa(pageSize)}, "prefix": {s.prefix + prefix}}
		if delimiter != "" {
			q.Set("delimiter", delimiter)
		}
		if after != "" {
			q.Set("start-after", s.prefix+after)
		}
		for {
			if ctx.Err() != nil {
				yield(nil, objstore.ContextError(ctx, op, prefix))
				return
			}
			page, err := s.page(ctx, &s3Call{op: op, key: prefix, class: objstore.ClassList, method: http.MethodGet, query: q})
			if !yield(page, err) || err != nil || !page.IsTruncated {
				return
			}
			q.Set("continuation-token", page.Next)
		}
	}
}

func (s *S3) page(ctx context.Context, c *s3Call) (*s3Page, error) {
	resp, err := s.send(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	page, err := decodePage(resp)
	if err != nil {
		return nil, s.fail(ctx, c, err)
	}
	return page, nil
}

var errNoListing = fmt.Errorf("%w, or it is no whole listing", errForeign)

func decodePage(resp *http.Response) (*s3Page, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPageBody))
	if err != nil {
		return nil, err
	}
	var page s3Page
	if !isXML(resp.Header) || xml.Unmarshal(body, &page) != nil || page.IsTruncated && page.Next == "" {
		return nil, errNoListing
	}
	if page.EncodingType != "url" {
		return &page, nil
	}
	for i := range page.Objects {
		page.Objects[i].Key, err = unescapeKey(page.Objects[i].Key, err)
	}
	for i := range page.Prefixes {
		page.Prefixes[i].Prefix, err = unescapeKey(page.Prefixes[i].Prefix, err)
	}
	return &page, err
}

func unescapeKey(escaped string, earlier error) (string, error) {
	key, err := url.QueryUnescape(escaped)
	if err != nil {
		err = errNoListing
	}
	return key, errors.Join(earlier, err)
}
