package bucketstore

import (
	"context"
	"fmt"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Stat implements objstore.Store. The answer to a HEAD has no body: what it refuses, and whether that is the service's word at all, is
// found out by asking for the first byte.
func (s *S3) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := s.head(ctx, key)
	if objstore.KindOf(err) == objstore.KindUnknown && err != nil && ctx.Err() == nil {
		err = s.explain(ctx, key, err)
	}
	return info, err
}

// explain returns what a read says that a HEAD could not.
func (s *S3) explain(ctx context.Context, key string, unsaid error) error {
	_, resp, err := s.get(ctx, "stat", key, "bytes=0-0")
	switch {
	case err == nil:
		_ = resp.Body.Close() // it was not to be there
	case objstore.KindOf(err) != objstore.KindCorrupt: // which an empty object gives
		return err
	}
	return &objstore.Error{Kind: objstore.KindUnavailable, Op: "stat", Key: key, Err: fmt.Errorf("it was refused and can be read: %w", unsaid)}
}
