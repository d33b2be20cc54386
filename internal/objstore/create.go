package objstore

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
)

// Create writes an immutable object, and is idempotent: one that exists with equal bytes is a success, because it is our
// own earlier try whose reply was lost. One with other bytes is KindPrecondition. body must not change during the call.
//
// After an unknown outcome the same bytes are sent again under the same condition; the store's refusal is then what
// tells that something is there, and only then Create looks at it.
func (r *Retrying) Create(ctx context.Context, key string, body []byte) error {
	return r.CreateSummed(ctx, key, body, CRC32C(body))
}

// summed is implemented by a Store that sends a checksum with each body, and takes one that is known already.
type summed interface {
	PutSummed(ctx context.Context, key string, body []byte, crc32c uint32, cond Version) (Version, error)
}

// CreateSummed is Create of a body whose CRC32C is known. Where the store checks it, it covers the body's time in memory, too.
func (r *Retrying) CreateSummed(ctx context.Context, key string, body []byte, crc32c uint32) error {
	put := r.s.Put
	if s, ok := r.s.(summed); ok {
		put = func(ctx context.Context, key string, body []byte, cond Version) (Version, error) {
			return s.PutSummed(ctx, key, body, crc32c, cond)
		}
	}
	return r.do(ctx, "put", key, int64(len(body)), func(ctx context.Context) error {
		_, err := put(ctx, key, body, Absent)
		if err == nil || !Unknown(err) || Retryable(err) || ctx.Err() != nil {
			return err
		}
		same, lookErr := r.holds(ctx, key, body)
		refused := KindOf(err) == KindPrecondition
		switch {
		case lookErr == nil && same:
			return nil
		case lookErr == nil:
			return &Error{Kind: KindPrecondition, Op: "put", Key: key, Err: errors.New("it exists with other bytes")}
		case !refused:
			return err
		case KindOf(lookErr) == KindNotFound:
			// Deleted in between. Whoever did that has fenced us, and the next write of HEAD will say so.
			return &Error{Kind: KindUnavailable, Op: "put", Key: key, Err: errors.New("it was said to exist and is gone")}
		}
		return lookErr
	})
}

// holds reports whether key exists with exactly these bytes.
func (r *Retrying) holds(ctx context.Context, key string, body []byte) (bool, error) {
	info, err := r.s.Stat(ctx, key)
	if err != nil {
		return false, err
	}
	if info.Size != int64(len(body)) {
		return false, nil
	}
	if info.HasCRC32C {
		// Enough: names of immutable objects carry a nonce, so nobody else writes there by chance.
		return info.CRC32C == CRC32C(body), nil
	}
	stored, _, err := r.s.Get(ctx, key, info.Size)
	return err == nil && bytes.Equal(stored, body), err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the checksum of Info.
func CRC32C(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }
