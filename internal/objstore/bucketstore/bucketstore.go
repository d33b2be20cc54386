// Package bucketstore keeps objects in a bucket of a cloud, with the conditions that gocloud.dev itself does not offer.
//
// OpenGCS opens a Google Cloud Storage bucket the way that suits this package best, OpenS3 one behind the S3 protocol, without gocloud
// (S3 says why); New takes a bucket that the caller has opened. Data and listings go through gocloud.dev/blob; preconditions, versions and checksums are reached by As,
// in a dialect for each service. A bucket without a dialect is refused, because without conditions two owners
// of a job could both believe that they committed.
//
// On a bucket from OpenGCS each call sends exactly one request for each page or object, and the Meter counts what was
// really sent. On a bucket of the caller's that holds for writes, deletions and the start of a read. What remains is
// the caller's client: it may repeat a Stat or a page of a listing by its own policy, and it resumes a download that
// breaks off. All of that is harmless, bounded by the call's context, and counted once.
package bucketstore

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Options are for New and OpenGCS; the zero value and nil are the defaults.
type Options struct {
	// Prefix is put in front of every key; a slash is added to it if it has none.
	Prefix string
	// Name is what String returns, without secrets. OpenGCS has gs://bucket/prefix as the default.
	Name string
	// RewriteInterval replaces the service's limit in Traits (GCS: one second); negative means no limit.
	RewriteInterval time.Duration
	// Endpoint is where OpenGCS sends requests, as scheme and authority, instead of Google's.
	Endpoint string
}

// Store is a bucket, or the part of it below a prefix.
type Store struct {
	b       *blob.Bucket
	d       dialect
	prefix  string
	name    string
	rewrite time.Duration
	// metered means that the transport counts requests.
	metered bool
	// raw carries bytes past gocloud; nil for a bucket of the caller's.
	raw   *rawGCS
	close func() error
}

var (
	_ objstore.Store        = (*Store)(nil)
	_ objstore.BatchDeleter = (*Store)(nil)
)

// dialect is what differs between services.
type dialect interface {
	rewriteInterval() time.Duration
	// beforeRead prepares a read of exactly the stored bytes, in one attempt.
	beforeRead(as func(any) bool) error
	// read describes what a reader delivers: the version of those very bytes, and the checksum of the whole object.
	read(r *blob.Reader) (objstore.Info, error)
	// write prepares one request that stores a body with this checksum if the version is still cond; done returns
	// the new version after the writer was closed.
	write(cond objstore.Version, crc uint32) (before func(as func(any) bool) error, done func() (objstore.Version, error))
	beforeDelete(as func(any) bool) error
	// list prepares a page of a listing; only keys from start on are wanted.
	list(start string) (before func(as func(any) bool) error)
	// listed and stat describe an object under the name that the service has for it.
	listed(o *blob.ListObject) (objstore.Info, error)
	stat(a *blob.Attributes) (objstore.Info, error)
	// unproven reports whether err says "not found" without the evidence for it; a Stat then gives the answer.
	unproven(err error) bool
	// classify never sees the end of a context.
	classify(op string, err error) *objstore.Error
}

// New makes a store of a bucket that the caller opened and goes on owning. A service without a dialect is KindUnsupported.
func New(b *blob.Bucket, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	d := dialectOf(b)
	if d == nil {
		return nil, &objstore.Error{
			Kind: objstore.KindUnsupported, Op: "open", Key: o.Name,
			Err: fmt.Errorf("no create-if-absent and compare-and-swap are known for the gocloud driver %s", driverName(b)),
		}
	}
	prefix, err := below(o.Prefix)
	if err != nil {
		return nil, err
	}
	return &Store{
		b: b, d: d, prefix: prefix,
		name:    cmp.Or(o.Name, driverName(b)+"/"+prefix),
		rewrite: max(0, cmp.Or(o.RewriteInterval, d.rewriteInterval())),
		close:   func() error { return nil },
	}, nil
}

// driverName is the type of the driver inside b, as "s3blob": gocloud has no name for it, and an error should.
func driverName(b *blob.Bucket) string {
	v := reflect.ValueOf(b)
	for _, field := range []string{"b", "base", "base"} { // the driver, below one or two prefixes
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			break
		}
		f := v.Elem().FieldByName(field)
		if f.Kind() != reflect.Interface || f.IsNil() {
			break
		}
		v = f.Elem()
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(v.Type().String(), "*"), ".")
	return name
}

// Traits has the service's limit on rewriting one object.
func (s *Store) Traits() objstore.Traits { return objstore.Traits{RewriteInterval: s.rewrite} }

// String is Options.Name.
func (s *Store) String() string { return s.name }

// Close closes what OpenGCS opened; a bucket given to New stays open.
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return &objstore.Error{Kind: objstore.KindUnknown, Op: "close", Key: s.name, Err: err}
	}
	return nil
}

// begin checks and names the object, and counts the request unless the transport does.
func (s *Store) begin(ctx context.Context, op, key string, class objstore.Class) (context.Context, string, error) {
	if ctx.Err() != nil {
		return nil, "", objstore.ContextError(ctx, op, key)
	}
	if err := objstore.CheckKey(op, key); err != nil {
		return nil, "", err
	}
	name := s.prefix + key
	if len(name) > objstore.MaxKey {
		return nil, "", objstore.CheckKey(op, name)
	}
	return s.count(ctx, class), name, nil
}

func (s *Store) count(ctx context.Context, class objstore.Class) context.Context {
	if !s.metered {
		objstore.Count(ctx, class)
	}
	return withAttempt(ctx, class)
}

// fail gives err its kind. ctx is that of the attempt.
func (s *Store) fail(ctx context.Context, op, key string, err error) error {
	a := attemptOf(ctx)
	if isForeign(err) {
		a.condemn()
	}
	if a.caller.Err() != nil {
		err = a.ended(op, key)
	}
	e := s.d.classify(op, err)
	e.Op, e.Key = op, key
	return e
}

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte, cond objstore.Version) (objstore.Version, error) {
	return s.PutSummed(ctx, key, body, objstore.CRC32C(body), cond)
}

// PutSummed is Put of a body whose CRC32C is known.
func (s *Store) PutSummed(ctx context.Context, key string, body []byte, crc32c uint32, cond objstore.Version) (objstore.Version, error) {
	const op = "put"
	actx, name, err := s.begin(ctx, op, key, objstore.ClassPut)
	if err != nil {
		return objstore.Absent, err
	}
	if s.raw != nil {
		version, err := s.raw.put(actx, name, body, crc32c, cond)
		if err != nil {
			return objstore.Absent, s.fail(actx, op, key, err)
		}
		return version, nil
	}
	actx, cancel := context.WithCancel(actx)
	defer cancel()
	before, done := s.d.write(cond, crc32c)
	w, err := s.b.NewWriter(actx, name, &blob.WriterOptions{
		BufferSize: -1, ContentType: "application/octet-stream", BeforeWrite: before,
	})
	if err != nil {
		return objstore.Absent, s.fail(actx, op, key, err)
	}
	if _, err := w.Write(body); err != nil {
		cancel() // before Close, which would otherwise publish what was written so far
		_ = w.Close()
		return objstore.Absent, s.fail(actx, op, key, err)
	}
	if err := w.Close(); err != nil {
		return objstore.Absent, s.fail(actx, op, key, err)
	}
	version, err := done()
	if err != nil {
		return objstore.Absent, s.fail(actx, op, key, err)
	}
	return version, nil
}

// Stat implements objstore.Store.
func (s *Store) Stat(ctx context.Context, key string) (objstore.Info, error) {
	const op = "stat"
	actx, name, err := s.begin(ctx, op, key, objstore.ClassHead)
	if err != nil {
		return objstore.Info{}, err
	}
	attrs, err := s.b.Attributes(actx, name)
	if err != nil {
		return objstore.Info{}, s.fail(actx, op, key, err)
	}
	info, err := s.d.stat(attrs)
	if err != nil {
		return objstore.Info{}, s.fail(actx, op, key, err)
	}
	info.Key = key
	return info, nil
}

// Delete implements objstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	const op = "delete"
	actx, name, err := s.begin(ctx, op, key, objstore.ClassDelete)
	if err != nil {
		return err
	}
	err = s.b.DeleteWithOptions(actx, name, &blob.DeleteOptions{BeforeDelete: s.d.beforeDelete})
	if err == nil {
		return nil
	}
	err = s.fail(actx, op, key, err)
	if objstore.KindOf(err) == objstore.KindNotFound {
		return nil
	}
	return err
}
