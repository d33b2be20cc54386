// Package objstore is the small conditional store that the commit protocol needs: create-if-absent,
// compare-and-swap on one object's version, ranged reads, ordered listings.
//
// Adapters live in sub-packages (memstore, filestore, bucketstore) and make exactly one attempt per call;
// Retrying is the one retry layer above them, so an error that it returns is final. Bodies are byte slices:
// length and checksum are known before the first byte leaves, and a retry is a re-send.
// Every adapter passes the suite in storetest.
package objstore

import (
	"context"
	"iter"
	"time"
)

// Version names one state of one object. Only a store mints versions, and never the same one twice for a key
// unless the bytes are equal too; callers compare and hand them back.
type Version string

// Absent is the version of an object that does not exist.
const Absent Version = ""

// Info is what a store knows of an object without reading it.
type Info struct {
	Key      string
	Size     int64
	Version  Version   // empty where a store would have to read the object to know it: a plain file
	Modified time.Time // shown to people only; no decision rests on it
	// CRC32C is the Castagnoli checksum of the whole object, valid only if HasCRC32C: a plain file has none.
	CRC32C    uint32
	HasCRC32C bool
}

// Traits are facts about a store that shape how it is used.
type Traits struct {
	// RewriteInterval is the shortest time between two writes of one key that the store allows
	// (GCS: one second). Zero means no limit.
	RewriteInterval time.Duration
}

// Store is a flat, strongly consistent key space. Keys are slash-separated, relative, valid UTF-8, without empty, "."
// or ".." segments; CheckKey has the details, and a bad key is KindInvalid. All methods are safe for concurrent use,
// make one attempt, honour their context, count themselves into the context's Meter, and return a *Error.
type Store interface {
	// Get reads a whole object of at most limit bytes (larger: KindTooLarge, without reading it all)
	// with the version that these bytes have.
	Get(ctx context.Context, key string, limit int64) ([]byte, Version, error)
	// ReadRange fills p from offset off. Fewer bytes than len(p) is an error (KindCorrupt), never a short success.
	ReadRange(ctx context.Context, key string, off int64, p []byte) error
	// Put writes body if the object's version is still cond (Absent: only if it does not exist), atomically: a
	// reader sees the old object or the new one, whole. KindPrecondition if it is not. body is not retained.
	// When Put fails with an unknown outcome (see Unknown) the write may have been, or may still be, applied.
	Put(ctx context.Context, key string, body []byte, cond Version) (Version, error)
	// Stat reports on one object.
	Stat(ctx context.Context, key string) (Info, error)
	// List yields the objects whose key starts with prefix in ascending byte order of their keys, page by page.
	// After an error the sequence ends. An empty result is a statement, not a failure.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Dirs yields, in order, the distinct keys up to and including the first slash after prefix.
	Dirs(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Delete removes an object; one that is already absent is a success.
	Delete(ctx context.Context, key string) error
	Traits() Traits
	// String names the store as a person would, without secrets.
	String() string
	Close() error
}
