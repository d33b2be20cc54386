// Package memstore keeps objects in memory: for tests of everything above the store, and for mem:// URLs.
//
// New makes a private store; Open one that the whole process shares by name. For tests, SetFault decides the fate of
// every single request (see Outcome), Peer is another process's connection to the same objects, and a referee notes
// every write that the commit protocol forbids (see Violations).
package memstore

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// PageSize is how many objects one request of a listing returns, as on GCS.
const PageSize = 1000

// Store is one connection to a set of objects. Faults and request numbers belong to the connection.
type Store struct {
	space *space
	name  string

	mu    sync.Mutex
	fault func(Op) Outcome
	n     int
	dead  bool
}

var _ objstore.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store { return &Store{space: newSpace(), name: "mem://"} }

var named sync.Map // name → *Store

// Open returns the store of that name, the same one for the whole process and as long as it lives; its objects
// stay when a caller closes it. The empty name is New.
func Open(name string) *Store {
	if name == "" {
		return New()
	}
	fresh := New()
	fresh.name += name
	s, _ := named.LoadOrStore(name, fresh)
	return s.(*Store)
}

// Peer is a second connection to the same objects, without faults: what another process sees.
func (s *Store) Peer() *Store { return &Store{space: s.space, name: s.name} }

// String is the store's URL.
func (s *Store) String() string { return s.name }

// Close does nothing: the objects belong to all connections.
func (s *Store) Close() error { return nil }

// Traits are those of SetTraits; the default is no limit.
func (s *Store) Traits() objstore.Traits {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return s.space.traits
}

// SetTraits makes the store claim t, on all connections.
func (s *Store) SetTraits(t objstore.Traits) {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.traits = t
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, limit int64) (body []byte, version objstore.Version, err error) {
	op := Op{Method: "get", Key: key}
	err = s.do(ctx, objstore.ClassGet, op, func() error {
		o, err := s.space.find(op)
		if err != nil {
			return err
		}
		if int64(len(o.body)) > limit {
			return failed(op, objstore.KindTooLarge, nil)
		}
		body, version = slices.Clone(o.body), o.version
		return nil
	})
	if err != nil {
		return nil, objstore.Absent, err
	}
	return body, version, nil
}

// ReadRange implements objstore.Store.
func (s *Store) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	op := Op{Method: "range", Key: key}
	return s.do(ctx, objstore.ClassGet, op, func() error {
		o, err := s.space.find(op)
		if err != nil {
			return err
		}
		if off < 0 {
			return failed(op, objstore.KindInvalid, errors.New("the offset is negative"))
		}
		if off > int64(len(o.body)) || copy(p, o.body[off:]) < len(p) {
			return failed(op, objstore.KindCorrupt, errors.New("the object ends before the range does"))
		}
		return nil
	})
}

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (version objstore.Version, err error) {
	op := Op{Method: "put", Key: key, Cond: cond, Size: len(body)}
	body = slices.Clone(body) // also because a delayed write outlives the call
	err = s.do(ctx, objstore.ClassPut, op, func() (err error) {
		version, err = s.space.put(op, body)
		return err
	})
	if err != nil {
		return objstore.Absent, err
	}
	return version, nil
}

// Stat implements objstore.Store.
func (s *Store) Stat(ctx context.Context, key string) (info objstore.Info, err error) {
	op := Op{Method: "stat", Key: key}
	err = s.do(ctx, objstore.ClassHead, op, func() error {
		o, err := s.space.find(op)
		if err == nil {
			info = o.info(key)
		}
		return err
	})
	if err != nil {
		return objstore.Info{}, err
	}
	return info, nil
}

// Delete implements objstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	op := Op{Method: "delete", Key: key}
	return s.do(ctx, objstore.ClassDelete, op, func() error {
		s.space.remove(key)
		return nil
	})
}

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.ListAfter(ctx, prefix, "")
}

// ListAfter is List from behind a key.
func (s *Store) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return pages(s, ctx, Op{Method: "list", Key: prefix}, func(after string) ([]objstore.Info, string) {
		page := s.space.list(prefix, after, PageSize)
		if len(page) < PageSize {
			return page, ""
		}
		return page, page[PageSize-1].Key
	}, after)
}

// Dirs implements objstore.Store.
func (s *Store) Dirs(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return pages(s, ctx, Op{Method: "dirs", Key: prefix}, func(after string) ([]string, string) {
		page := s.space.dirs(prefix, after, PageSize)
		if len(page) < PageSize {
			return page, ""
		}
		return page, page[PageSize-1]
	}, "")
}

// pages yields what fetch returns, one request for each page, until fetch says that nothing follows.
func pages[T any](s *Store, ctx context.Context, op Op, fetch func(after string) ([]T, string), after string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var page []T
			err := s.do(ctx, objstore.ClassList, op, func() error {
				page, after = fetch(after)
				return nil
			})
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
			if after == "" {
				return
			}
		}
	}
}

func failed(op Op, kind objstore.Kind, cause error) error {
	return &objstore.Error{Kind: kind, Op: op.Method, Key: op.Key, Err: cause}
}
