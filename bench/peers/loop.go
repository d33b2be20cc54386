package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/tidemark-go/tidemark/bench"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
)

// loops are what one writes over a client in an hour: every file becomes an object of its name, so many at once. They send everything
// each time, so that cases B and C would be A again.
func loops() []bench.Saver {
	return []bench.Saver{
		loop("default", "cloud.google.com/go/storage, writers and readers with their default chunk size of 16 MiB, 8 files at once", func(c *storage.Client, p bench.Place) transport {
			return sdk{c.Bucket(p.Bucket), storageChunk, 8}
		}),
		loop("chunk0", "the same with ChunkSize 0, one request for a file, 8 files at once", func(c *storage.Client, p bench.Place) transport {
			return sdk{c.Bucket(p.Bucket), 0, 8}
		}),
		transferManager(),
		gocloud(),
	}
}

// storageChunk stands for the client's own default.
const storageChunk = -1

// transport is how one file travels.
type transport interface {
	put(ctx context.Context, name string, f *os.File) error
	get(ctx context.Context, name string, f *os.File) error
	list(ctx context.Context, visit func(name string) error) error
	width() int // files at once
}

func loop(name, about string, over func(*storage.Client, bench.Place) transport) bench.Saver {
	return bench.Saver{
		Name: bench.PeerLoop + name, About: about, Skip: unchanged,
		Open: func(ctx context.Context, p bench.Place) (bench.Session, error) {
			client, err := newClient(ctx, p)
			if err != nil {
				return nil, err
			}
			return &loopSession{over(client, p), client.Close}, nil
		},
	}
}

// unchanged leaves out the cases in which little has changed: a loop does not notice.
func unchanged(_, name string) bool {
	return name == "B" || name == "C" || strings.HasPrefix(name, "state-")
}

// newClient takes its tokens from the metadata server, as it would in the cloud.
func newClient(ctx context.Context, p bench.Place) (*storage.Client, error) {
	return storage.NewClient(ctx, option.WithEndpoint(p.Storage+"/storage/v1/"), option.WithScopes(storage.ScopeReadWrite))
}

type loopSession struct {
	transport
	close func() error
}

func (s *loopSession) Save(ctx context.Context, dir string) (bench.Outcome, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.width())
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		below, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		g.Go(func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }() // it was only read
			return s.put(ctx, filepath.ToSlash(below), f)
		})
		return nil
	})
	return bench.Outcome{}, errors.Join(err, g.Wait())
}

func (s *loopSession) Restore(ctx context.Context, dir string) (bench.Outcome, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.width())
	made := map[string]bool{}
	err := s.list(ctx, func(name string) error {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if parent := filepath.Dir(file); !made[parent] {
			made[parent] = true
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		g.Go(func() error {
			f, err := os.Create(file)
			if err != nil {
				return err
			}
			return errors.Join(s.get(ctx, name, f), f.Close())
		})
		return nil
	})
	return bench.Outcome{}, errors.Join(err, g.Wait())
}

func (s *loopSession) Close() error { return s.close() }

// sdk is Google's storage client.
type sdk struct {
	bucket *storage.BucketHandle
	chunk  int
	files  int
}

func (t sdk) width() int { return t.files }

func (t sdk) put(ctx context.Context, name string, f *os.File) error {
	w := t.bucket.Object(name).NewWriter(ctx)
	if t.chunk != storageChunk {
		w.ChunkSize = t.chunk
	}
	_, err := io.Copy(w, f)
	return errors.Join(err, w.Close())
}

func (t sdk) get(ctx context.Context, name string, f *os.File) error {
	r, err := t.bucket.Object(name).NewReader(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, r.Close())
}

func (t sdk) list(ctx context.Context, visit func(name string) error) error {
	q := new(storage.Query)
	if err := q.SetAttrSelection([]string{"Name"}); err != nil {
		return err
	}
	for it := t.bucket.Objects(ctx, q); ; {
		o, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(o.Name); err != nil {
			return err
		}
	}
}
