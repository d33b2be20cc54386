package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"google.golang.org/api/option"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// OpenGCS opens a bucket through client, which adds the credentials; the client stays the caller's, and nil stands for connections of the store's
// own, without a token. What carries bytes is sent by rawGCS, the rest by the storage client. Reads use the JSON API like
// everything else, because of the XML API's 404 the storage client keeps nothing, so that a proxy's "not found"
// page could not be told from the store's answer. The storage client's own retries are off.
func OpenGCS(ctx context.Context, client *http.Client, bucket string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	opts := *o
	if opts.Name == "" {
		opts.Name = strings.TrimSuffix("gs://"+bucket+"/"+opts.Prefix, "/")
	}
	invalid := func(err error) error {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: "open", Key: opts.Name, Err: err}
	}
	var own *transport.Pool
	if client == nil {
		own = transport.New(nil)
		client = &http.Client{Transport: own}
	}
	once := *client
	once.Transport = oneAttempt{base: client.Transport}
	endpoint := googleEndpoint()
	if opts.Endpoint != "" {
		var err error
		if endpoint, err = jsonEndpoint(opts.Endpoint); err != nil {
			return nil, invalid(err)
		}
	}
	raw, err := newRawGCS(&once, endpoint, bucket)
	if err != nil {
		return nil, invalid(err)
	}
	// "Without authentication" only keeps the storage client from looking for credentials of its own, which can
	// mean seconds of asking for a metadata server.
	c, err := storage.NewClient(ctx, option.WithHTTPClient(&once), option.WithoutAuthentication(), storage.WithJSONReads(), option.WithEndpoint(endpoint))
	if err != nil {
		return nil, invalid(err)
	}
	c.SetRetry(storage.WithPolicy(storage.RetryNever))
	b, err := gcsblob.OpenBucket(ctx, nil, bucket, &gcsblob.Options{Client: c})
	if err != nil {
		return nil, errors.Join(invalid(err), c.Close())
	}
	s, err := New(b, &opts)
	if err != nil {
		return nil, errors.Join(err, b.Close(), c.Close())
	}
	s.metered, s.raw = true, raw
	s.close = func() error {
		err := errors.Join(b.Close(), c.Close())
		if own != nil {
			err = errors.Join(err, own.Close())
		}
		return err
	}
	return s, nil
}

func jsonEndpoint(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("the endpoint %q is not of the form https://host:port", endpoint)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/storage/v1/"
	}
	return u.String(), nil
}

func dialectOf(b *blob.Bucket) dialect {
	var c *storage.Client
	if b.As(&c) {
		return gcs{}
	}
	return nil
}

// gcs speaks to Google Cloud Storage. A version is an object's generation, which grows with every write of the name, even
// through a deletion.
type gcs struct{}

var _ dialect = gcs{}

// rewriteInterval: https://cloud.google.com/storage/quotas#objects, one write a second to one object name.
func (gcs) rewriteInterval() time.Duration { return time.Second }

var errHook = errors.New("bucketstore: gocloud's GCS driver no longer offers the hook that conditions need")

// adapt lets change replace the handle that a request will use.
func adapt(as func(any) bool, change func(*storage.ObjectHandle) *storage.ObjectHandle) error {
	var h **storage.ObjectHandle
	if !as(&h) {
		return errHook
	}
	*h = change((*h).Retryer(storage.WithPolicy(storage.RetryNever)))
	return nil
}

func (gcs) beforeRead(as func(any) bool) error {
	return adapt(as, func(h *storage.ObjectHandle) *storage.ObjectHandle { return h })
}

// errForeign is an answer with success in its status and nothing of the service in it: a captive portal, a proxy.
var errForeign = errors.New("the answer carries no version or length: it is not the storage API's")

// errEncoded: lengths, ranges and checksums of such an answer mean other bytes than those that arrive.
var errEncoded = errors.New("the object, or something on the way, has a Content-Encoding; tidemark stores none")

func (gcs) read(r *blob.Reader) (objstore.Info, error) {
	var sr *storage.Reader
	if !r.As(&sr) {
		return objstore.Info{}, errHook
	}
	if sr.Attrs.Decompressed {
		return objstore.Info{}, errEncoded
	}
	if sr.Attrs.Generation <= 0 || sr.Attrs.Size < 0 {
		return objstore.Info{}, errForeign
	}
	return objstore.Info{
		Size: sr.Attrs.Size, Version: generation(sr.Attrs.Generation),
		// Zero is how the client says that there was no checksum, and that of an empty object: there is nothing to check in it.
		CRC32C: sr.Attrs.CRC32C, HasCRC32C: sr.Attrs.CRC32C != 0,
	}, nil
}

func (gcs) write(cond objstore.Version, crc uint32) (func(as func(any) bool) error, func() (objstore.Version, error)) {
	var w *storage.Writer
	before := func(as func(any) bool) error {
		g, err := generationOrAbsent(cond)
		if err != nil {
			return err
		}
		conditions := storage.Conditions{DoesNotExist: g == 0, GenerationMatch: g}
		err = adapt(as, func(h *storage.ObjectHandle) *storage.ObjectHandle { return h.If(conditions) })
		if err != nil {
			return err
		}
		if !as(&w) {
			return errHook
		}
		w.ChunkSize = 0 // one request, no buffer of 16 MiB; a repetition is ours to make
		w.SendCRC32C, w.CRC32C = true, crc
		return nil
	}
	done := func() (objstore.Version, error) {
		if attrs := w.Attrs(); attrs != nil && attrs.Generation > 0 {
			return generation(attrs.Generation), nil
		}
		return objstore.Absent, errForeign
	}
	return before, done
}

func (gcs) beforeDelete(as func(any) bool) error {
	return adapt(as, func(h *storage.ObjectHandle) *storage.ObjectHandle { return h })
}

func (gcs) list(start string) func(as func(any) bool) error {
	return func(as func(any) bool) error {
		var q *storage.Query
		if !as(&q) {
			return errHook
		}
		q.StartOffset = start
		// The default is everything, access lists included.
		return q.SetAttrSelection([]string{"Name", "Size", "Generation", "Updated", "CRC32C"})
	}
}

func (gcs) listed(o *blob.ListObject) (objstore.Info, error) {
	var attrs storage.ObjectAttrs
	if !o.As(&attrs) {
		return objstore.Info{}, errHook
	}
	info := infoOf(&attrs)
	info.Key = o.Key // not attrs.Name, which a blob.PrefixedBucket does not cut
	return info, nil
}

func (gcs) stat(a *blob.Attributes) (objstore.Info, error) {
	var attrs storage.ObjectAttrs
	if !a.As(&attrs) {
		return objstore.Info{}, errHook
	}
	if attrs.Generation <= 0 {
		return objstore.Info{}, errForeign
	}
	return infoOf(&attrs), nil
}

func infoOf(a *storage.ObjectAttrs) objstore.Info {
	return objstore.Info{
		Key: a.Name, Size: a.Size, Version: generation(a.Generation), Modified: a.Updated,
		CRC32C: a.CRC32C, HasCRC32C: a.CRC32C != 0 || a.Size == 0,
	}
}

func generation(g int64) objstore.Version { return objstore.Version(strconv.FormatInt(g, 10)) }
