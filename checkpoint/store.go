package checkpoint

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"gocloud.dev/blob"
)

// Options tune a Store. The zero value, and a nil *Options, work.
type Options struct {
	// HTTPClient sends the requests of a gs:// store. It has to authorise them; nil sends them without a token.
	// Package tidemark sets it from the credentials that it finds.
	HTTPClient *http.Client
	// MemoryBudget bounds, in bytes, what packs in flight, read buffers and tables of this store hold together.
	// Default 48 MiB, at least 16 MiB.
	MemoryBudget int64
	// Concurrency is how many requests one save or restore has under way at most. Default 4.
	Concurrency int
	// HeadInterval is the shortest time between two writes of one job's HEAD. Default: what the store needs
	// (GCS: one second). Negative: no limit.
	HeadInterval time.Duration
	// RetryFor is how long one request is tried again while the store is unavailable. Default 2 minutes.
	RetryFor time.Duration
	// Logger receives events worth an operator's attention. Default: none.
	Logger *slog.Logger
}

// Store is a place where jobs keep their checkpoints. Safe for concurrent use; open one per process and store.
type Store struct{}

// Open opens a store by its URL: gs://bucket/prefix[?endpoint=URL], file:///dir, mem://name. It sends no request.
func Open(ctx context.Context, storeURL string, opts *Options) (*Store, error) {
	return nil, errors.ErrUnsupported
}

// OpenBucket opens a store in the caller's own bucket, which stays the caller's to close. Only drivers whose
// preconditions can be reached are accepted (gcsblob).
func OpenBucket(ctx context.Context, bucket *blob.Bucket, prefix string, opts *Options) (*Store, error) {
	return nil, errors.ErrUnsupported
}

// String names the store as a person would, without secrets.
func (s *Store) String() string { return "" }

// Close releases the store's connections.
func (s *Store) Close() error { return nil }

// Jobs yields the names of the store's jobs in order, removed ones (tombstones) left out.
func (s *Store) Jobs(ctx context.Context) iter.Seq2[string, error] { return nil }

// Job names a job for reading and administering it, without owning it. It sends no request.
// ErrInvalid if name is not one path segment (no "/", "..", control characters, at most 200 bytes).
func (s *Store) Job(name string) (*Job, error) { return nil, errors.ErrUnsupported }

// AcquireOptions describe a new ownership.
type AcquireOptions struct {
	Owner string // who this is, for people; default host and process id
	// Retention is applied with each commit. Default: keep everything.
	Retention Retention
}

// Acquire makes the caller the job's owner, creating the job if need be. Every older owner is fenced: none of
// its commits can succeed any more.
func (s *Store) Acquire(ctx context.Context, job string, opts *AcquireOptions) (*Owner, error) {
	return nil, errors.ErrUnsupported
}

// SaveOptions describe a one-shot save.
type SaveOptions struct {
	Owner     string
	Retention Retention
	Tag       string // tag the checkpoint in the same commit
	Progress  *Progress
}

// Save is a one-shot save: it fences and commits in a single write, so that whoever came between wins. fill adds the parts. If
// somebody did come between, Save returns ErrConflict and nothing is visible.
func (s *Store) Save(ctx context.Context, job string, fill func(*Writer) error, opts *SaveOptions) (Info, error) {
	return Info{}, errors.ErrUnsupported
}

// Job is a job as a reader or an administrator sees it: tags, retention and collection are safe beside a running owner.
type Job struct{}

// Name is the job's name.
func (j *Job) Name() string { return "" }

// Latest is the newest checkpoint; ErrNotFound if there is none yet.
func (j *Job) Latest(ctx context.Context) (*Checkpoint, error) { return nil, errors.ErrUnsupported }

// List returns the retained checkpoints, newest first, at the price of one GET.
func (j *Job) List(ctx context.Context) ([]Info, error) { return nil, errors.ErrUnsupported }

// Find resolves a reference: a number, "latest", a tag, or "-2" for two before latest.
func (j *Job) Find(ctx context.Context, ref string) (*Checkpoint, error) {
	return nil, errors.ErrUnsupported
}

// Tag makes the checkpoint a savepoint: it is never retired while the tag exists. A tag that names another checkpoint is ErrConflict.
func (j *Job) Tag(ctx context.Context, ref, tag string) (Info, error) {
	return Info{}, errors.ErrUnsupported
}

// Untag removes a tag; ErrNotFound if there is none of that name.
func (j *Job) Untag(ctx context.Context, tag string) (Info, error) {
	return Info{}, errors.ErrUnsupported
}

// Retain retires what the policy does not keep, oldest first; with dryRun it only says which.
func (j *Job) Retain(ctx context.Context, policy Retention, dryRun bool) ([]Info, error) {
	return nil, errors.ErrUnsupported
}

// Collect deletes the objects of the job that nothing can need again. Safe at any time, by anybody, beside owners and other collectors.
func (j *Job) Collect(ctx context.Context, opts *CollectOptions) (CollectReport, error) {
	return CollectReport{}, errors.ErrUnsupported
}

// Verify checks that everything the job's HEAD needs is there and right. Problems are in the report; the error is for what kept
// Verify from looking.
func (j *Job) Verify(ctx context.Context, opts *VerifyOptions) (VerifyReport, error) {
	return VerifyReport{}, errors.ErrUnsupported
}

// Remove retires everything and leaves a tombstone; Collect then deletes the data. Acquire revives the job with higher numbers.
func (j *Job) Remove(ctx context.Context) error { return errors.ErrUnsupported }

// Retention says which checkpoints are kept: the union of its fields. The newest, tagged and leased ones always are. The zero value keeps all.
type Retention struct {
	KeepLast   int
	KeepWithin time.Duration
}

// CollectOptions tune Collect.
type CollectOptions struct {
	DryRun bool
}

// CollectReport says what Collect did (or, with DryRun, would do).
type CollectReport struct {
	DeletedObjects, DeletedBytes int64
	LiveObjects, LiveBytes       int64
	Pending                      int64    // objects of saves that may still be under way
	Unknown                      []string // objects below the job that tidemark did not name; never touched
	Requests                     Requests
}

// VerifyOptions tune Verify.
type VerifyOptions struct {
	Checkpoint string // a reference as of Find; empty: every retained checkpoint
	Data       bool   // read every byte and check every hash
	Progress   *Progress
}

// VerifyReport says what Verify found.
type VerifyReport struct {
	CheckedObjects, CheckedBytes int64
	Checkpoints                  int
	Problems                     []Problem
	Requests                     Requests
}

// OK reports whether nothing was wrong.
func (r VerifyReport) OK() bool { return len(r.Problems) == 0 }

// Problem is one finding of Verify.
type Problem struct {
	Kind       string // "missing", "size", "crc32c", "hash", "manifest", "head"
	Checkpoint uint64
	Part       string
	Object     string
	Detail     string
}

// Requests counts requests as a store bills them.
type Requests struct {
	Put, Get, List, Delete, Head int64
}

// Info is what HEAD says of one checkpoint.
type Info struct {
	Job         string
	Checkpoint  uint64
	Epoch       uint64
	CommittedAt time.Time
	Parts       int64
	Bytes       int64 // of all parts
	NewBytes    int64 // of parts, that were not in the base
	StoredBytes int64 // written to the store, after compression
	Tags        []string
	Duration    time.Duration // of the save
	Requests    Requests      // of the save up to, not including, its commit
}

// Owner is a fenced ownership of a job. It is also a Job.
type Owner struct {
	*Job
}

// Epoch is the number of this ownership.
func (o *Owner) Epoch() uint64 { return 0 }

// BeginOptions tune one save.
type BeginOptions struct {
	Full     bool   // compare with nothing; upload everything
	Tag      string // tag the checkpoint in its commit
	Progress *Progress
}

// Begin starts the next checkpoint. It sends no request for the caller to wait for. ctx bounds the whole save up to Commit or Abort.
// One of both must be called.
func (o *Owner) Begin(ctx context.Context, opts *BeginOptions) (*Writer, error) {
	return nil, errors.ErrUnsupported
}

// Close forgets the ownership in this process; HEAD stays as it is. Saves under way are aborted.
func (o *Owner) Close() error { return nil }
