package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// StorageOptions shape a storage server. The zero value, or nil, takes any token and keeps everything in memory.
type StorageOptions struct {
	// Authorize checks a bearer token (without the word Bearer; empty if the request has none). An error is answered as
	// GCS answers a bad token: 401, except that an anonymous read through the XML API is 403. Nil: all pass.
	Authorize func(bearer string) error

	// Forbid takes permissions away: the request is answered 403 in GCS's words if denied. An empty permission stands for
	// the one that the operation needs, such as storage.objects.get. The object is empty for operations on buckets and for
	// listings.
	Forbid func(method, bucket, object string) (permission string, denied bool)

	// Memory is how many bytes of objects and unfinished uploads are kept in memory at most; 0 stands for 1 GiB. An upload beyond
	// it is answered 413, which no client repeats, where 507 would be repeated for minutes.
	Memory int64

	// Dir, if not empty, is where the bytes of objects are, in a directory that Close removes, instead of in memory. Names of
	// objects never become names of files. If it cannot be used, CreateBucket says so, and every request is answered 500.
	Dir string

	// RateLimit answers 429 to a second change of the same object name within a second.
	RateLimit bool

	// Bucket is what every bucket says of its settings.
	Bucket BucketSettings

	// AutoCreate lets buckets spring into being on first use, instead of answering 404.
	AutoCreate bool

	// S3, if not nil, lets the server speak S3 too.
	S3 *S3Options
}

// defaultMemory leaves a machine of a few GiB room for the program under test.
const defaultMemory = 1 << 30

// Storage is an object store that speaks the JSON API of Google Cloud Storage, and its XML API for reading objects, as
// Google's clients use them. It is strongly consistent, checks every precondition and every checksum that a client
// sends, and stores nothing of an upload that broke off. It is safe for concurrent use.
//
// CRC32C is always returned. MD5 is absent, as for composite objects of GCS, unless the uploader declared it: computing
// it costs more than everything else that a request does. There is one live version of an object, and no soft delete.
// What is not served is refused: lists of access rights, customers' keys, globs and filters of listings, writing through
// the XML API without StorageOptions.S3.
type Storage struct {
	opts    StorageOptions
	memory  budget
	disk    *disk // nil if objects are in memory
	diskErr error // why it cannot be used

	mu             sync.RWMutex // never held across I/O: objects are immutable once they are in the index
	buckets        map[string]*bucket
	lastGeneration int64

	sessions sessions

	closing  sync.Once
	closeErr error
}

type bucket struct {
	name    string
	created time.Time
	objects index
	changed map[string]time.Time // with RateLimit: when a name was last written or deleted
}

// ObjectInfo describes a stored object.
type ObjectInfo struct {
	Name           string
	Generation     int64
	Metageneration int64
	Size           int64 // bytes
	CRC32C         uint32
}

// NewStorage returns an empty storage server.
func NewStorage(opts *StorageOptions) *Storage {
	s := &Storage{buckets: make(map[string]*bucket)}
	if opts != nil {
		s.opts = *opts
	}
	s.memory.limit = cmp.Or(s.opts.Memory, defaultMemory)
	if s.opts.Dir != "" {
		s.disk, s.diskErr = openDisk(s.opts.Dir)
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *Storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.signed(r) {
		s.serveS3(w, r)
		return
	}
	if isBatch(r) {
		if err := cmp.Or(s.diskErr, s.authenticate(&call{}, r)); err != nil {
			fail(w, r, &call{}, err)
			return
		}
		serveBatch(w, r, s)
		return
	}
	c := route(r)
	err := cmp.Or(s.diskErr, s.admit(c, r), c.unserved(r))
	if err == nil {
		err = c.serve(s, w, r, c)
	}
	if err != nil {
		fail(w, r, c, err)
	}
}

// CreateBucket creates an empty bucket; one that exists is left as it is.
func (s *Storage) CreateBucket(name string) error {
	if err := cmp.Or(s.diskErr, checkBucketName(name)); err != nil {
		return fmt.Errorf("emulator: create bucket %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] == nil {
		s.buckets[name] = newBucket(name)
	}
	return nil
}

func newBucket(name string) *bucket {
	return &bucket{name: name, created: time.Now().UTC(), changed: make(map[string]time.Time)}
}

func checkBucketName(name string) error {
	if len(name) < 3 || len(name) > 222 {
		return errors.New("a bucket name has 3 to 222 characters")
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return errors.New("a bucket name consists of lower-case letters, digits, '-', '_' and '.'")
		}
	}
	return nil
}

// Objects lists what bucket holds, in the order of names; nothing if there is no such bucket.
func (s *Storage) Objects(bucket string) []ObjectInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil
	}
	infos := make([]ObjectInfo, 0, b.objects.count)
	for n := b.objects.seek(""); n != nil; n = n.next[0] {
		o := n.object
		infos = append(infos, ObjectInfo{o.name, o.generation, o.metageneration, o.content.size, o.crc})
	}
	return infos
}

// Close forgets all buckets, objects and uploads. Call it when no request is served any more.
func (s *Storage) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.buckets = make(map[string]*bucket)
		s.mu.Unlock()
		s.sessions.clear()
		s.memory.reset()
		if s.disk != nil {
			s.closeErr = s.disk.close()
		}
	})
	return s.closeErr
}
