package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Options shape a cloud. The zero value, or nil, is a healthy one in memory on free ports of loopback.
type Options struct {
	// Storage shapes this package's storage server. Its Authorize is this cloud's Issuer if nil.
	Storage *StorageOptions
	// StorageHandler puts another storage server in its place, behind the same faults, request log and address. It is
	// given the cloud's token check and must use it. If the handler has CreateBucket(string) error, CreateBucket and StoreURL
	// use it; if it is an io.Closer, Close closes it.
	StorageHandler func(authorize func(bearer string) error) http.Handler
	// Metadata shapes the metadata server.
	Metadata *MetadataOptions
	// Faults are in force from the start.
	Faults []Fault

	// Testbench lets the storage server stand in for Google's storage-testbench, against which the retry conformance tests
	// of Google's client libraries run: every request may come without a token, as clients send them when
	// STORAGE_EMULATOR_HOST is set, and /retry_test takes retry tests. A bucket of the name retry_test cannot be read then.
	Testbench bool

	// Addresses, as host:port; 127.0.0.1 with a free port if empty.
	StorageAddr, MetadataAddr, OAuthAddr string
	// AllowNonLoopback allows addresses that other machines can reach. Whoever reaches them gets tokens.
	AllowNonLoopback bool
}

// Cloud is a running fake cloud. It is safe for concurrent use.
type Cloud struct {
	issuer   *Issuer
	metadata *Metadata
	oauth    *oauthServer
	storage  *Storage // nil behind StorageHandler
	faults   *Faults
	log      *requestLog
	handler  http.Handler // the storage server, whichever it is

	storageServer, metadataServer, oauthServer *server

	closing  sync.Once
	closeErr error
}

// TB is the part of testing.TB that Start needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Start runs a cloud until the test ends. It fails the test if that is impossible.
func Start(t TB, opts *Options) *Cloud {
	t.Helper()
	c, err := Listen(context.Background(), opts)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the emulator: %v", err)
		}
	})
	return c
}

// Listen runs a cloud until Close. ctx bounds the start alone.
func Listen(ctx context.Context, opts *Options) (*Cloud, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("emulator: start: %w", err)
	}
	faults, err := NewFaults(o.Faults...)
	if err != nil {
		return nil, err
	}
	c := &Cloud{issuer: NewIssuer(), faults: faults, log: newRequestLog()}
	for _, s := range []struct {
		server **server
		name   string
		addr   string
	}{
		{&c.storageServer, ServerStorage, o.StorageAddr},
		{&c.metadataServer, ServerMetadata, o.MetadataAddr},
		{&c.oauthServer, ServerOAuth, o.OAuthAddr},
	} {
		if *s.server, err = openServer(s.name, s.addr, o.AllowNonLoopback); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	c.serve(&o)
	return c, nil
}

// serve makes the handlers, then starts the servers.
func (c *Cloud) serve(o *Options) {
	c.faults.revoke = func(bearer string) { c.issuer.Revoke(bearer) }
	c.faults.refuse = c.refuse

	authorize := c.issuer.Check
	if o.Testbench {
		authorize = func(string) error { return nil }
	}
	if o.StorageHandler != nil {
		c.handler = o.StorageHandler(authorize)
	} else {
		var so StorageOptions
		if o.Storage != nil {
			so = *o.Storage
		}
		if so.Authorize == nil {
			so.Authorize = authorize
		}
		c.storage = NewStorage(&so)
		c.handler = c.storage
	}
	c.metadata = NewMetadata(o.Metadata, c.issuer)
	tokenURI := c.OAuthURL() + tokenPath
	c.oauth = &oauthServer{
		issuer: c.issuer, account: c.metadata.opts.Account, life: c.metadata.opts.TokenLifetime, audience: tokenURI,
		user: newAuthorizedUser(tokenURI),
		sts:  stsServer{issuer: c.issuer, life: c.metadata.opts.TokenLifetime},
		iam:  iamServer{issuer: c.issuer},
	}

	c.metadataServer.gate.refuse(c.metadata.opts.NotReadyFor / 2)
	storage := withinBounds(c.issuer, c.handler)
	outside := c.control
	if o.Testbench {
		retries := &retryTests{faults: c.faults}
		storage = retries.wrap(storage)
		outside = func(next http.Handler) http.Handler { return c.control(retries.control(next)) }
	}
	c.storageServer.start(outside(c.log.wrap(c.faults.Wrap(ServerStorage, storage))), nil)
	c.metadataServer.start(c.control(c.faults.Wrap(ServerMetadata, c.metadata)), c.metadata.ConnState)
	c.oauthServer.start(c.control(c.faults.Wrap(ServerOAuth, c.oauth)), nil)
}

// refuse is EffectRefuse's hand on the listeners.
func (c *Cloud) refuse(name string, d time.Duration) {
	for _, s := range []*server{c.storageServer, c.metadataServer, c.oauthServer} {
		if s.name == name {
			s.gate.refuse(d)
		}
	}
}

// Close cuts every connection, ends every stall and delay, and returns when nothing of the cloud runs any more.
func (c *Cloud) Close() error {
	c.closing.Do(func() {
		var errs []error
		for _, s := range []*server{c.storageServer, c.metadataServer, c.oauthServer} {
			if s != nil {
				errs = append(errs, s.close())
			}
		}
		if closer, ok := c.handler.(io.Closer); ok {
			errs = append(errs, closer.Close())
		}
		c.closeErr = errors.Join(errs...)
	})
	return c.closeErr
}

// StorageURL is the storage server's base URL, http://127.0.0.1:port. A Go storage client takes it as
// option.WithEndpoint(c.StorageURL() + "/storage/v1/").
func (c *Cloud) StorageURL() string { return c.storageServer.url() }

// MetadataURL is the metadata server's base URL.
func (c *Cloud) MetadataURL() string { return c.metadataServer.url() }

// MetadataHost is the metadata server's host:port, the value for GCE_METADATA_HOST.
func (c *Cloud) MetadataHost() string { return c.metadataServer.hostPort() }

// OAuthURL is the base URL of the OAuth2 token endpoint; STSURL and IAMURL are on the same server.
func (c *Cloud) OAuthURL() string { return c.oauthServer.url() }

// StoreURL creates bucket if it does not exist and returns the store in it at prefix as a URL,
// gs://bucket/prefix?endpoint=…. It panics if the bucket cannot be created; CreateBucket returns the error.
func (c *Cloud) StoreURL(bucket, prefix string) string {
	if err := c.CreateBucket(bucket); err != nil {
		panic(err)
	}
	u := url.URL{Scheme: "gs", Host: bucket, Path: "/" + prefix, RawQuery: url.Values{"endpoint": {c.StorageURL()}}.Encode()}
	return u.String()
}

// CreateBucket creates an empty bucket; one that exists is left as it is.
func (c *Cloud) CreateBucket(name string) error {
	h, ok := c.handler.(interface{ CreateBucket(string) error })
	if !ok {
		return fmt.Errorf("emulator: create bucket %q: the storage handler %T has no CreateBucket(string) error", name, c.handler)
	}
	return h.CreateBucket(name)
}

// Env is what a child process in any language needs to take the metadata server for the real one.
// STORAGE_EMULATOR_HOST is left out on purpose: with it clients send no token.
func (c *Cloud) Env() []string {
	host := c.MetadataHost()
	return []string{"GCE_METADATA_HOST=" + host, "GCE_METADATA_IP=" + host, "GCE_METADATA_ROOT=" + host}
}

// Issuer issues and revokes the cloud's tokens.
func (c *Cloud) Issuer() *Issuer { return c.issuer }

// Metadata is the metadata server.
func (c *Cloud) Metadata() *Metadata { return c.metadata }

// Storage is this package's storage server; nil if Options.StorageHandler took its place.
func (c *Cloud) Storage() *Storage { return c.storage }

// Faults are the rules in force.
func (c *Cloud) Faults() *Faults { return c.faults }

// SetFaults replaces the rules; none ends all faults.
func (c *Cloud) SetFaults(rules ...Fault) error { return c.faults.Set(rules...) }

// Requests are the storage requests so far.
func (c *Cloud) Requests() RequestCounts { return c.log.snapshot() }

// ResetRequests starts the count of storage requests again.
func (c *Cloud) ResetRequests() { c.log.reset() }

// OAuthRequests is how many requests the OAuth2 token endpoint, the token exchange and the IAM API had together.
func (c *Cloud) OAuthRequests() int64 { return c.oauth.requests.Load() }

// ServiceAccountKey is a key file for the cloud's service account, whose token_uri points at this cloud. It is what a client takes by
// GOOGLE_APPLICATION_CREDENTIALS. It panics if the machine cannot make an RSA key.
func (c *Cloud) ServiceAccountKey() []byte {
	key, err := c.issuer.keys.keyFile(c.metadata.opts.Account, c.metadata.opts.Project, c.oauth.audience)
	if err != nil {
		panic(err)
	}
	return key
}

// AuthorizedUser is the credentials file that gcloud writes for a person who logged in, with a token_uri that points at
// this cloud.
func (c *Cloud) AuthorizedUser() []byte {
	// A struct of strings always encodes.
	file, _ := json.MarshalIndent(c.oauth.user, "", "  ")
	return file
}
