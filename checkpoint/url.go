package checkpoint

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/bucketstore"
	"github.com/tidemark-go/tidemark/internal/objstore/filestore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

const schemes = "gs://bucket/prefix, s3://bucket/prefix, azblob://container/prefix, file:///dir or mem://name"

// openURL also tells whether the store is one whose conditions have to be tried out before they are relied on.
func openURL(ctx context.Context, storeURL string, o *Options) (s objstore.Store, doubtful bool, err error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		// Its text quotes the URL, or a part of it, which may be a secret.
		return nil, false, badURL("the store's URL cannot be parsed")
	}
	if u.User != nil {
		return nil, false, badURL("a store's URL holds no user or password")
	}
	switch u.Scheme {
	case "gs":
		s, err = openGCS(ctx, u, o)
	case "s3":
		s, err = openS3(ctx, u, o)
	case "azblob":
		s, err = openAzure(u, o)
	case "file":
		s, err = openFile(u)
	case "mem":
		if err = onlyParams(u); err == nil {
			s = memstore.Open(u.Host + u.Path)
		}
	case "":
		err = badURL("%q has no scheme; a store is %s", u.Path, schemes)
	default:
		err = badURL("unknown scheme %q; a store is %s", u.Scheme, schemes)
	}
	if err != nil {
		return nil, false, wrap(err, "open", "", 0)
	}
	// Of all who speak S3 only some keep the conditions, and the name does not tell which.
	return s, u.Scheme == "s3" || u.Query().Has("endpoint"), nil
}

func badURL(text string, args ...any) error {
	return &Error{Kind: ErrInvalid, Op: "open", Err: fmt.Errorf(text, args...), Hint: "a store is " + schemes}
}

// onlyParams refuses query parameters that would otherwise be silently without effect.
func onlyParams(u *url.URL, known ...string) error {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return badURL("the query of the store's URL cannot be parsed")
	}
next:
	for k := range q {
		for _, n := range known {
			if k == n {
				continue next
			}
		}
		return badURL("%s:// knows no parameter %q", u.Scheme, k)
	}
	return nil
}

func openGCS(ctx context.Context, u *url.URL, o *Options) (objstore.Store, error) {
	if u.Host == "" {
		return nil, badURL("gs:// needs a bucket: gs://bucket/prefix")
	}
	// anonymous is package tidemark's to act on; it is legal here so that one URL serves both.
	if err := onlyParams(u, "endpoint", "anonymous"); err != nil {
		return nil, err
	}
	endpoint := u.Query().Get("endpoint")
	if endpoint != "" {
		if e, err := url.Parse(endpoint); err != nil || (e.Scheme != "http" && e.Scheme != "https") || e.Host == "" {
			return nil, badURL("endpoint has to be an http or https URL")
		}
	}
	b := &bucketstore.Options{Prefix: strings.Trim(u.Path, "/"), Endpoint: endpoint}
	if endpoint != "" {
		b.RewriteInterval = -1 // the limit is Google's own
	}
	return bucketstore.OpenGCS(ctx, o.HTTPClient, u.Host, b)
}

// openS3 leaves to bucketstore what an endpoint, a region and path style are.
func openS3(ctx context.Context, u *url.URL, o *Options) (objstore.Store, error) {
	if u.Host == "" {
		return nil, badURL("s3:// needs a bucket: s3://bucket/prefix")
	}
	if err := onlyParams(u, "endpoint", "region", "use_path_style"); err != nil {
		return nil, err
	}
	q := u.Query()
	s, err := bucketstore.OpenS3(ctx, o.HTTPClient, u.Host, &bucketstore.S3Options{
		Prefix: strings.Trim(u.Path, "/"), Endpoint: q.Get("endpoint"), Region: q.Get("region"), PathStyle: q.Get("use_path_style"),
	})
	if objstore.KindOf(err) == objstore.KindInvalid {
		return nil, badURL("%w", err)
	}
	return s, err
}

// openAzure leaves to bucketstore what an endpoint and an account are, and what the environment says of them.
func openAzure(u *url.URL, o *Options) (objstore.Store, error) {
	if u.Host == "" {
		return nil, badURL("azblob:// needs a container: azblob://container/prefix")
	}
	if err := onlyParams(u, "endpoint", "storage_account"); err != nil {
		return nil, err
	}
	q := u.Query()
	s, err := bucketstore.OpenAzure(o.HTTPClient, u.Host, &bucketstore.AzureOptions{
		Prefix: strings.Trim(u.Path, "/"), Endpoint: q.Get("endpoint"), Account: q.Get("storage_account"),
	})
	if objstore.KindOf(err) == objstore.KindInvalid {
		return nil, badURL("%w", err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openFile(u *url.URL) (objstore.Store, error) {
	if err := onlyParams(u); err != nil {
		return nil, err
	}
	if u.Host != "" && u.Host != "localhost" {
		return nil, badURL("file://%s… names a host; a local directory has three slashes: file:///dir", u.Host)
	}
	dir := filepath.FromSlash(u.Path)
	if !filepath.IsAbs(dir) {
		return nil, badURL("file:// needs an absolute path: file:///dir")
	}
	return filestore.Open(dir, nil)
}

func openBucket(bucket *blob.Bucket, prefix string) (objstore.Store, error) {
	s, err := bucketstore.New(bucket, &bucketstore.Options{Prefix: strings.Trim(prefix, "/")})
	if err != nil {
		return nil, wrap(err, "open", "", 0)
	}
	return s, nil
}
