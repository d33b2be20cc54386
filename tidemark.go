// Package tidemark is the front door: it opens a checkpoint store by URL with credentials that were found, cached and refreshed.
//
//	store, err := tidemark.Open(ctx, "gs://acme-state/flows", nil)
//	job, err := store.Acquire(ctx, "orders", nil)
//
// What a store, a job and a checkpoint can do is in package checkpoint; where tokens come from is in package credentials.
package tidemark

import (
	"context"
	"errors"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// Options tune Open. The zero value, and nil, work.
type Options struct {
	checkpoint.Options
}

// Store is a checkpoint store together with the credentials that it uses.
type Store struct {
	*checkpoint.Store
}

// CredentialStats says where a store's credentials come from and what they cost.
type CredentialStats struct {
	Source, Account string // empty for a store that needs none
	Fetches         int64  // tokens asked for by this process for this identity
	ExpiresIn       time.Duration
}

// Open opens gs://bucket/prefix, file:///dir or mem://name. For gs:// it finds credentials (see credentials.Find); the parameters
// endpoint=URL and anonymous=true name another server and do without a token.
func Open(ctx context.Context, storeURL string, opts *Options) (*Store, error) {
	return nil, errors.ErrUnsupported
}

// Credentials reports on the store's credentials without asking for any.
func (s *Store) Credentials() CredentialStats { return CredentialStats{} }

// Close closes the store and gives its share of the token cache back.
func (s *Store) Close() error { return nil }
