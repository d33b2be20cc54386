package filestore

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path"
	"time"

	"github.com/tidemark-go/tidemark/internal/flock"
)

// stripes is the number of lock files: enough that keys rarely share one, few enough to stay for ever. They must stay:
// a lock file that is removed while another process waits for it would be two locks.
const stripes = 64

type keyLock struct{ f *os.File }

// lockKey waits for the exclusive lock on key. Locks belong to the open file, and each operation opens its own, so they
// exclude goroutines as well as processes, and the kernel releases those of a process that dies.
//
// The wait polls, because a blocked flock(2) could not be cancelled; the lock is held for a write of one small object.
func lockKey(ctx context.Context, root *os.Root, key string) (*keyLock, error) {
	if err := root.MkdirAll(locks, 0o777); err != nil {
		return nil, err
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // cannot fail
	f, err := root.OpenFile(path.Join(locks, fmt.Sprintf("%02x", h.Sum32()%stripes)), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	const first, longest = 500 * time.Microsecond, 20 * time.Millisecond
	for span := first; ; span = min(2*span, longest) {
		locked, err := flock.Try(f)
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if locked {
			return &keyLock{f}, nil
		}
		timer := time.NewTimer(rand.N(span))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			_ = f.Close()
			return nil, ctx.Err()
		}
	}
}

// unlock closes the file, which releases the lock.
func (l *keyLock) unlock() { _ = l.f.Close() }
