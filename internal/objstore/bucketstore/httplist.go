package bucketstore

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// listed is one page of a listing, its keys full names in the order of the service.
type listed struct {
	objects []objstore.Info
	dirs    []string
	next    string // asks for the page behind this one; empty on the last
}

// List implements objstore.Store.
func (s *httpStore) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.ListAfter(ctx, prefix, "")
}

// ListAfter is List from behind a key. What a service lists before it is left out on arrival.
func (s *httpStore) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		const op = "list"
		last := ""
		for page, err := range s.pages(ctx, op, prefix, "", after) {
			if err != nil {
				yield(objstore.Info{}, err)
				return
			}
			for _, info := range page.objects {
				key, ok := strings.CutPrefix(info.Key, s.prefix)
				if !ok || key <= last {
					yield(objstore.Info{}, unordered(op, prefix, info.Key, last))
					return
				}
				if last = key; key <= after {
					continue
				}
				if info.Key = key; !yield(info, nil) {
					return
				}
			}
		}
	}
}

// Dirs implements objstore.Store.
func (s *httpStore) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		const op = "dirs"
		last := ""
		for page, err := range s.pages(ctx, op, prefix, "/", "") {
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page.dirs {
				dir, ok := strings.CutPrefix(name, s.prefix)
				if ok && dir == last { // a directory whose objects lie on two pages may come twice
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

// unordered is for stores, some of Amazon's own among them, that list in another order, or outside of what was asked for.
func unordered(op, prefix, key, last string) error {
	return &objstore.Error{
		Kind: objstore.KindUnsupported, Op: op, Key: prefix, Err: fmt.Errorf("the listing has %q after %q: it is not in the order of keys", key, last),
	}
}

func (s *httpStore) pages(ctx context.Context, op, prefix, delimiter, after string) iter.Seq2[*listed, error] {
	return func(yield func(*listed, error) bool) {
		if err := objstore.CheckPrefix(op, prefix); err != nil {
			yield(nil, err)
			return
		}
		if after != "" {
			after = s.prefix + after
		}
		for token := ""; ; {
			if ctx.Err() != nil {
				yield(nil, objstore.ContextError(ctx, op, prefix))
				return
			}
			page, err := s.page(ctx, &call{
				op: op, key: prefix, class: objstore.ClassList, method: http.MethodGet,
				query: s.service.listing(s.prefix+prefix, delimiter, after, token),
			})
			if !yield(page, err) || err != nil || page.next == "" {
				return
			}
			token = page.next
		}
	}
}

func (s *httpStore) page(ctx context.Context, c *call) (*listed, error) {
	resp, err := s.service.send(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	page, err := s.service.decode(resp)
	if err != nil {
		return nil, s.fail(ctx, c, err)
	}
	return page, nil
}

var errNoListing = fmt.Errorf("%w, or it is no whole listing", errForeign)

// isXML tells an answer of the service from a page.
func isXML(h http.Header) bool {
	t := strings.ToLower(h.Get("Content-Type"))
	return strings.HasPrefix(t, "application/xml") || strings.HasPrefix(t, "text/xml")
}
