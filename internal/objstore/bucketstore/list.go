package bucketstore

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"gocloud.dev/blob"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// pageSize is the most that GCS, S3 and Azure have in common.
const pageSize = 1000

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.ListAfter(ctx, prefix, "")
}

// ListAfter is List from behind a key; the service starts there.
func (s *Store) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		for o, err := range s.pages(ctx, "list", prefix, "", after) {
			info := objstore.Info{}
			if err == nil {
				info, err = s.listed(ctx, prefix, o)
			}
			if err != nil {
				yield(objstore.Info{}, err)
				return
			}
			if (after == "" || info.Key > after) && !yield(info, nil) {
				return
			}
		}
	}
}

func (s *Store) listed(ctx context.Context, prefix string, o *blob.ListObject) (objstore.Info, error) {
	info, err := s.d.listed(o)
	if err != nil {
		return objstore.Info{}, s.fail(ctx, "list", prefix, err)
	}
	key, ok := strings.CutPrefix(info.Key, s.prefix)
	if !ok {
		return objstore.Info{}, &objstore.Error{
			Kind: objstore.KindUnsupported, Op: "list", Key: prefix,
			Err: fmt.Errorf("the listing has %q, which is not below %q", info.Key, s.prefix),
		}
	}
	info.Key = key
	return info, nil
}

// Dirs implements objstore.Store.
func (s *Store) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		last := ""
		for o, err := range s.pages(ctx, "dirs", prefix, "/", "") {
			if err != nil {
				yield("", err)
				return
			}
			dir := strings.TrimPrefix(o.Key, s.prefix)
			if !o.IsDir || dir == last { // a directory whose objects lie on two pages may come twice
				continue
			}
			last = dir
			if !yield(dir, nil) {
				return
			}
		}
	}
}

func (s *Store) pages(ctx context.Context, op, prefix, delimiter, after string) iter.Seq2[*blob.ListObject, error] {
	return func(yield func(*blob.ListObject, error) bool) {
		if err := objstore.CheckPrefix(op, prefix); err != nil {
			yield(nil, err)
			return
		}
		start := ""
		if after != "" {
			start = s.prefix + after
		}
		opts := &blob.ListOptions{Prefix: s.prefix + prefix, Delimiter: delimiter, BeforeList: s.d.list(start)}
		for token := blob.FirstPageToken; len(token) > 0; {
			if ctx.Err() != nil {
				yield(nil, objstore.ContextError(ctx, op, prefix))
				return
			}
			var page []*blob.ListObject
			var err error
			actx := s.count(ctx, objstore.ClassList)
			page, token, err = s.b.ListPage(actx, token, pageSize, opts)
			if err != nil {
				yield(nil, s.fail(actx, op, prefix, err))
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}
