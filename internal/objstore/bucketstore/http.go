package bucketstore

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// httpStore is what S3 and Azure have in common: stores that speak HTTP themselves, one request for each call. What a request says, what
// an answer may be believed of, and how both become calls of objstore is the same for them; the words are each service's own.
type httpStore struct {
	client  *http.Client
	base    url.URL // where the bucket or container is
	prefix  string
	name    string
	ownPool *transport.Pool // nil if the client is the caller's
	headers headers
	service service
}

// headers are a service's words for the version and the checksum of an object.
type headers interface {
	// condition adds the header that lets a write happen only on this version. It is false for what was never a version here.
	condition(h http.Header, cond objstore.Version) bool
	// version and crc32c read an answer about an object; an answer without a version is not the service's.
	version(h http.Header) objstore.Version
	crc32c(h http.Header) (uint32, bool)
	// sum declares the body of a write, describe asks for what crc32c reads.
	sum(h http.Header, crc uint32)
	describe(h http.Header)
}

// service is the rest of what S3 and Azure do not share.
type service interface {
	// aliased refuses a name that the service would not tell from another one.
	aliased(name string) error
	// send makes one attempt under the store's authority (see exchange). It returns a success or an *objstore.Error.
	send(ctx context.Context, c *call) (*http.Response, error)
	// Stat is head for a service that says why it refuses one.
	Stat(ctx context.Context, key string) (objstore.Info, error)
	// judge gives a refusal its kind, and adds what else it says.
	judge(e *objstore.Error, c *call, resp *http.Response, said *serviceError)
	// listing asks for a page of names; those up to after need not come. token is that of the page before, and empty for the first.
	listing(prefix, delimiter, after, token string) url.Values
	decode(resp *http.Response) (*listed, error)
}

// connect sets how the store is reached. Redirections are never followed: they would carry the authority of another host, and say only
// that the address is wrong.
func (s *httpStore) connect(client *http.Client) {
	once := http.Client{}
	if client != nil {
		once = *client
	} else {
		s.ownPool = transport.New(nil)
		once.Transport = s.ownPool
	}
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &once
}

// below returns what stands before every key of a store with this prefix.
func below(prefix string) (string, error) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	return prefix + "/", objstore.CheckKey("open", prefix)
}

// locate checks key and returns the object's full name.
func (s *httpStore) locate(ctx context.Context, op, key string) (string, error) {
	if ctx.Err() != nil {
		return "", objstore.ContextError(ctx, op, key)
	}
	if err := objstore.CheckKey(op, key); err != nil {
		return "", err
	}
	name := s.prefix + key
	if len(name) > objstore.MaxKey {
		return "", objstore.CheckKey(op, name)
	}
	if err := s.service.aliased(name); err != nil {
		return "", &objstore.Error{Kind: objstore.KindInvalid, Op: op, Key: key, Err: err}
	}
	return name, nil
}

// String is the name that the options gave.
func (s *httpStore) String() string { return s.name }

// Close closes the connections that are the store's own.
func (s *httpStore) Close() error {
	if s.ownPool != nil {
		return s.ownPool.Close()
	}
	return nil
}
