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
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/secrets"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// Scope is what a store asks tokens for: reading and writing objects, nothing else.
const Scope = "https://www.googleapis.com/auth/devstorage.read_write"

// Options tune Open. The zero value, and nil, work.
type Options struct {
	checkpoint.Options // with HTTPClient set, no credentials are looked for: the client brings its own
	// Credentials, if set, is used instead of what credentials.Find would find.
	Credentials credentials.Source
	// PrivateCredentials gives this store a token cache of its own instead of its share of the process's.
	PrivateCredentials bool
	// EncryptionKeyURL, if set, stands for Options.Keeper: base64key://… holds the key itself; gcpkms://, awskms://, azurekeyvault:// and hashivault:// work in a program
	// that imports the driver (gocloud.dev/secrets/gcpkms, ...). See docs/operations.md.
	EncryptionKeyURL string `json:"-"` // it may be the key
}

// Format prints the options under every verb as they are, except for EncryptionKeyURL.
func (o Options) Format(f fmt.State, verb rune) {
	type plain Options
	if o.EncryptionKeyURL != "" {
		o.EncryptionKeyURL = "[redacted]"
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), plain(o))
}

// Store is a checkpoint store together with its share of the process's token cache.
type Store struct {
	*checkpoint.Store
	source    string
	tokens    tokenCache // nil: the store needs none
	transport *transport.Pool
	keeper    *secrets.Keeper // nil: the store has none, or it is the caller's
}

// tokenCache is a cache of one's own, or a handle on a shared one.
type tokenCache interface {
	credentials.Tokens
	Stats() credentials.Stats
	Close() error
}

// CredentialStats says where a store's credentials come from and what they cost.
type CredentialStats struct {
	Source, Account string        // empty for a store that needs none
	Fetches         int64         // tokens asked for by this process for this identity, by all its stores together
	ExpiresIn       time.Duration // of the token in hand; 0 without one
}

// Open opens gs://bucket/prefix, s3://bucket/prefix, azblob://container/prefix, file:///dir or mem://name. For s3:// credentials are those of the AWS
// environment; for azblob:// the account key or shared access signature of the environment, or else what credentials/azure finds. For gs:// it finds credentials (see credentials.Find) and shares
// their token with every other store of the process that has the same. Parameters of gs://: endpoint=URL names another server that speaks Google's API, and
// anonymous=true does without a token. Open asks for no token and sends nothing to the store.
func Open(ctx context.Context, storeURL string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := new(Store)
	if o.EncryptionKeyURL != "" {
		var err error
		if s.keeper, o.KeeperName, err = openKeeper(ctx, o.EncryptionKeyURL); err != nil {
			return nil, err
		}
		o.Keeper = s.keeper
	}
	if o.HTTPClient == nil && needsToken(storeURL) {
		found, hint, err := find(ctx, storeURL, o.Credentials)
		if err != nil {
			return nil, errors.Join(credentialsError(err, hint), s.closeKeeper())
		}
		s.source = found.Name
		cacheOptions := &credentials.Options{Logger: o.Logger}
		if o.PrivateCredentials {
			s.tokens = credentials.New(found.Source, cacheOptions)
		} else {
			s.tokens = credentials.Shared(found.Source, cacheOptions)
		}
		s.transport = transport.New(nil)
		o.HTTPClient = &http.Client{Transport: credentials.Transport(s.tokens, s.transport)}
	}
	store, err := checkpoint.Open(ctx, storeURL, &o.Options)
	if err != nil {
		return nil, errors.Join(err, s.releaseCredentials(), s.closeKeeper())
	}
	s.Store = store
	return s, nil
}

// needsToken is only a first look: what is wrong with the URL is checkpoint.Open's to say.
func needsToken(storeURL string) bool {
	u, err := url.Parse(storeURL)
	return err == nil && (u.Scheme == "gs" && !strings.EqualFold(u.Query().Get("anonymous"), "true") || u.Scheme == azureScheme && !hasAzureKey())
}

// credentialsError says with checkpoint's errors that nothing was found.
func credentialsError(err error, hint string) error {
	var kind interface{ CredentialsError() string }
	e := &checkpoint.Error{Kind: checkpoint.ErrCredentials, Op: "open", Err: err, Hint: hint}
	if errors.As(err, &kind) && kind.CredentialsError() == "unavailable" {
		e.Kind, e.Hint = checkpoint.ErrUnavailable, "the source of credentials did not answer; try again later"
	}
	return e
}

// Credentials reports on the store's credentials without asking for any.
func (s *Store) Credentials() CredentialStats {
	if s.tokens == nil {
		return CredentialStats{}
	}
	st := s.tokens.Stats()
	return CredentialStats{Source: s.source, Account: st.Account, Fetches: st.Fetches, ExpiresIn: time.Duration(st.LeftSeconds * float64(time.Second))}
}

// Close closes the store, wipes the keys that it has open, and gives its share of the token cache back.
func (s *Store) Close() error {
	return errors.Join(s.Store.Close(), s.releaseCredentials(), s.closeKeeper())
}

func (s *Store) closeKeeper() error {
	if s.keeper == nil {
		return nil
	}
	return s.keeper.Close()
}

func (s *Store) releaseCredentials() error {
	if s.tokens == nil {
		return nil
	}
	return errors.Join(s.transport.Close(), s.tokens.Close())
}
