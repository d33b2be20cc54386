package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Options tune a Store. The zero value, and a nil *Options, work.
type Options struct {
	// HTTPClient sends the requests of a gs:// or s3:// store. Those of gs:// it has to authorise; nil sends them without a
	// token, and package tidemark sets it from the credentials that it finds. Those of s3:// come to it signed with the keys of
	// the AWS environment; nil stands for connections of the store's own.
	HTTPClient *http.Client
	// MemoryBudget bounds, in bytes, what packs in flight, read buffers and remembered tables of this store hold together. At least 16 MiB. Default 64 MiB, or less
	// where the process may have less memory: what the limit of its control group leaves beside 36 MiB, and half of GOMEMLIMIT, if that is more than 28 MiB.
	MemoryBudget int64
	// Concurrency is how many requests the store has under way at first, all its saves and restores together. It grows up to four times that while
	// there is more to send and the store answers as fast as before, and is halved whenever the store throttles. A restore reads as many answers at a
	// time, and has up to four times as many open, each of which counts as under way until it begins to arrive. Default 4.
	Concurrency int
	// Compression of what is saved: none, snappy (the default: costs the processor little) or zstd (saves about a seventh more, at a third of the
	// speed). Chunks on which it does not pay are stored as they are. Reading needs no option.
	Compression Compression
	// HeadInterval is the shortest time between two writes of one job's HEAD. Default: what the store needs
	// (GCS: one second). Negative: no limit.
	HeadInterval time.Duration
	// RetryFor is how long one request is tried again while the store is unavailable. Default 2 minutes.
	RetryFor time.Duration
	// PackCache keeps what is read of packs in a local directory. Default: nothing is kept.
	PackCache PackCache
	// Keeper, if set, has everything encrypted that is saved, with data keys that it wraps, and opens what was. HEAD stays in the clear: it holds figures, tags and
	// the owner's name, nothing of the state. So do names of jobs and workers, and the sizes of objects. A job that is encrypted stays so: see docs/operations.md.
	Keeper Keeper
	// KeeperName says which keeper it is, to people whose key does not fit. It is stored in the clear.
	KeeperName string
	// EncryptedOnly refuses to read checkpoints that are not encrypted. Without it a job may begin to encrypt at any time, and whoever can write to the bucket
	// can put a state of their own into the place of an encrypted one, in the clear. It needs a Keeper.
	EncryptedOnly bool
	// Logger receives events worth an operator's attention. Default: none.
	Logger *slog.Logger
}

// Compression names a way to store chunks.
type Compression string

// The compressions of format version 1.
const (
	CompressionNone   Compression = "none"
	CompressionSnappy Compression = "snappy"
	CompressionZstd   Compression = "zstd"
)

var codecs = map[Compression]format.Codec{"": format.CodecSnappy, CompressionNone: format.CodecNone, CompressionSnappy: format.CodecSnappy, CompressionZstd: format.CodecZstd}

const (
	defaultConcurrency = 4
	defaultRetryFor    = 2 * time.Minute

	// cachedManifests is how many manifests a store remembers: those of the jobs that it saves, each the base of its next checkpoint.
	cachedManifests = 8
	// maxCachedTables bounds what of a budget goes to the tables of segments, which the next checkpoint is compared with: those of 2 GiB of state. Of more,
	// the rest is read again.
	maxCachedTables = 10 << 20
)

// Store is a place where jobs keep their checkpoints. Safe for concurrent use; open one per process and store.
type Store struct {
	objects   *objstore.Retrying
	raw       objstore.Store
	doubtful  bool // its conditions are tried out before the first write of a job
	opts      Options
	buffers   *buffers
	workers   *workers
	codec     format.Codec
	keyring   *keyring
	manifests *manifestCache
	tables    *tableCache
	cache     *packCache // nil: none

	mu       sync.Mutex
	headNext map[string]time.Time // by job: when its HEAD may be written again
}

// Open opens a store by its URL: gs://bucket/prefix[?endpoint=URL], s3://bucket/prefix[?endpoint=URL&region=NAME],
// azblob://container/prefix[?endpoint=URL&storage_account=NAME], file:///dir, mem://name. It sends no request.
func Open(ctx context.Context, storeURL string, opts *Options) (*Store, error) {
	o := withDefaults(opts)
	s, doubtful, err := openURL(ctx, storeURL, &o)
	if err != nil {
		return nil, err
	}
	return newStore(s, doubtful, o)
}

// OpenBucket opens a store in the caller's own bucket, which stays the caller's to close. Only drivers whose
// preconditions can be reached are accepted (gcsblob).
func OpenBucket(ctx context.Context, bucket *blob.Bucket, prefix string, opts *Options) (*Store, error) {
	s, err := openBucket(bucket, prefix)
	if err != nil {
		return nil, err
	}
	return newStore(s, true, withDefaults(opts))
}

func withDefaults(opts *Options) Options {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.MemoryBudget == 0 {
		o.MemoryBudget = defaultBudget()
	}
	o.Concurrency = cmp.Or(o.Concurrency, defaultConcurrency)
	o.RetryFor = cmp.Or(o.RetryFor, defaultRetryFor)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

func newStore(s objstore.Store, doubtful bool, o Options) (*Store, error) {
	if o.MemoryBudget < minBudget {
		return nil, &Error{Kind: ErrBudget, Op: "open", Err: fmt.Errorf("a memory budget of %d bytes cannot hold one save; at least %d are needed", o.MemoryBudget, minBudget),
			Hint: "raise Options.MemoryBudget"}
	}
	if o.EncryptedOnly && o.Keeper == nil {
		return nil, &Error{Kind: ErrInvalid, Op: "open", Err: errors.New("EncryptedOnly without a Keeper: nothing could be read"), Hint: "give the key, or leave the option out"}
	}
	if o.Concurrency < 0 {
		return nil, &Error{Kind: ErrInvalid, Op: "open", Err: fmt.Errorf("concurrency %d is negative", o.Concurrency)}
	}
	if o.HeadInterval == 0 {
		o.HeadInterval = s.Traits().RewriteInterval
	}
	codec, ok := codecs[o.Compression]
	if !ok {
		return nil, &Error{Kind: ErrInvalid, Op: "open", Err: fmt.Errorf("unknown compression %q", o.Compression), Hint: "use none, snappy or zstd"}
	}
	share := divide(o.MemoryBudget, runtime.GOMAXPROCS(0))
	tables, err := newTableCache(int64(share.tables))
	if err != nil {
		return nil, err
	}
	manifests, err := newManifestCache(cachedManifests, share.tables)
	if err != nil {
		return nil, err
	}
	keys, err := newKeyring(&o)
	if err != nil {
		return nil, err
	}
	cache, err := openPackCache(o.PackCache)
	if err != nil {
		return nil, err
	}
	return &Store{
		cache:   cache,
		keyring: keys,
		objects: objstore.NewRetrying(s, &objstore.RetryOptions{MaxElapsed: o.RetryFor, Concurrency: o.Concurrency}),
		raw:     s, doubtful: doubtful, opts: o, buffers: newBuffers(share.packSize, share.packs), workers: newWorkers(share.workers), codec: codec, manifests: manifests, tables: tables,
		headNext: map[string]time.Time{},
	}, nil
}

// String names the store as a person would, without secrets.
func (s *Store) String() string { return s.objects.String() }

// Close releases the store's connections, and wipes the data keys that it has open.
func (s *Store) Close() error {
	s.keyring.wipe()
	return errors.Join(s.objects.Close(), s.cache.close())
}

// Jobs yields the names of the store's jobs in order, removed ones left out, at the price of one listing and one GET per job.
func (s *Store) Jobs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for dir, err := range s.objects.Dirs(ctx, "") {
			if err != nil {
				yield("", wrap(err, "list jobs", "", 0))
				return
			}
			name := strings.TrimSuffix(dir, "/")
			if format.CheckJobName(name) != nil {
				continue
			}
			at, err := (&Job{store: s, name: name}).readHead(ctx)
			switch {
			case err != nil:
				if !yield(name, wrap(err, "read", name, 0)) {
					return
				}
			case at.head == nil || at.head.Removed: // not a job: somebody else's directory, or a tombstone
			case !yield(name, nil):
				return
			}
		}
	}
}

// Job names a job for reading and administering it, without owning it. It sends no request.
// ErrInvalid if name is not one path segment (no "/", "..", control characters, at most 200 bytes).
func (s *Store) Job(name string) (*Job, error) {
	if err := format.CheckJobName(name); err != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "open", Err: err}
	}
	return &Job{store: s, name: name}, nil
}

// probe refuses a store that ignores conditions, before a job is created in it: there every promise of this package would be empty.
func (s *Store) probe(ctx context.Context) error {
	if !s.doubtful {
		return nil
	}
	retries := backoff{limit: s.opts.RetryFor}
	for doubted := false; ; {
		err := objstore.Probe(ctx, s.raw, ".tidemark-probe")
		// Probe sends each request once, and one bad answer is no trait of a store.
		switch kind := objstore.KindOf(err); {
		case err == nil:
			return nil
		case !doubted && (kind == objstore.KindUnsupported || kind == objstore.KindCorrupt || kind == objstore.KindPrecondition):
			doubted = true
		case !objstore.Retryable(err):
			return err
		}
		if waitErr := retries.wait(ctx, err); waitErr != nil {
			return waitErr
		}
	}
}

// pace waits until HEAD of the job may be written again. All writers of HEAD in this process pass here.
func (s *Store) pace(ctx context.Context, job string) error {
	if s.opts.HeadInterval <= 0 {
		return nil
	}
	s.mu.Lock()
	now := time.Now()
	at := s.headNext[job]
	if at.Before(now) {
		at = now
	}
	s.headNext[job] = at.Add(s.opts.HeadInterval)
	s.mu.Unlock()
	return sleep(ctx, at.Sub(now))
}
