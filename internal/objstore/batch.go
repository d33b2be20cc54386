package objstore

import (
	"context"
	"errors"
	"slices"
)

// BatchDeleter is implemented by a Store that deletes many objects with one request.
type BatchDeleter interface {
	// BatchSize is how many keys one request takes.
	BatchSize() int
	// DeleteBatch makes one attempt to delete at most BatchSize objects; those that are absent already count as deleted. failed tells, by key,
	// what is not known to be deleted and why, as a *Error. With err, which is about the request, that is all of them.
	DeleteBatch(ctx context.Context, keys []string) (failed map[string]error, err error)
}

// BatchSize is how many keys are best given to DeleteAll at once.
func (r *Retrying) BatchSize() int {
	if b, ok := r.s.(BatchDeleter); ok {
		return b.BatchSize()
	}
	return 1
}

// DeleteAll deletes the objects of keys, with as few requests as the Store allows, and returns, by key, what could not be deleted and why; it is
// empty if all are gone. What may pass is tried again, without the keys that are done.
func (r *Retrying) DeleteAll(ctx context.Context, keys []string) (failed map[string]error) {
	failed = map[string]error{}
	b, ok := r.s.(BatchDeleter)
	if !ok {
		for _, key := range keys {
			if err := r.Delete(ctx, key); err != nil {
				failed[key] = err
			}
		}
		return failed
	}
	for batch := range slices.Chunk(keys, b.BatchSize()) {
		r.deleteBatch(ctx, b, slices.Clone(batch), failed)
	}
	return failed
}

// deleteBatch notes in failed what is left of one batch.
func (r *Retrying) deleteBatch(ctx context.Context, b BatchDeleter, keys []string, failed map[string]error) {
	err := r.doAs(ctx, small, "delete", keys[0], 0, func(ctx context.Context) error {
		refused, err := b.DeleteBatch(ctx, keys)
		if err != nil {
			return err
		}
		var again error
		keys = slices.DeleteFunc(keys, func(key string) bool {
			err := refused[key]
			if Retryable(err) {
				again = err // for the whole batch: they fail for one reason, and it decides how long to wait
				return false
			}
			if err != nil {
				failed[key] = err
			}
			return true
		})
		return again
	})
	if err == nil {
		return
	}
	for _, key := range keys {
		failed[key] = ofKey(err, key)
	}
}

// ofKey is an error about a batch as one about a key of it.
func ofKey(err error, key string) error {
	var e *Error
	if !errors.As(err, &e) || e.Key == key {
		return err
	}
	copied := *e
	copied.Key, copied.Err = key, err
	return &copied
}
