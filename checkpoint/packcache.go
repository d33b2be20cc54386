package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tidemark-go/tidemark/internal/format"
)

// PackCache is a directory in which a store keeps what restores and readers fetch of packs, so that it is fetched once by a machine. Packs never change, and what is read is verified like
// bytes of the store: what does not fit its hash is dropped and fetched anew. Several processes, stores and jobs may share the directory. What is encrypted in the store is so in the cache.
// Collection does not clear it.
type PackCache struct {
	// Dir is made if need be. It has to be closed to other users (mode 0700): it holds state.
	Dir string
	// MaxBytes is how much is kept, what was used last; each process counts what it knows of, so several may exceed it for a while. Default 1 GiB.
	MaxBytes int64
}

const (
	defaultCacheBytes = 1 << 30
	// cacheBlock is what is kept as one file: a few chunks. Reads of a store are rounded to it.
	cacheBlock = 256 << 10
	// cacheRescan is the share of MaxBytes after whose writing the directory is read again, for what other processes wrote.
	cacheRescan = 8
)

// packCache knows which blocks are in the directory. Its methods never fail: what cannot be had from the disk is fetched, what cannot be written is not kept.
type packCache struct {
	dir   *os.Root
	max   int64
	fresh atomic.Int64 // written since the directory was read

	mu    sync.Mutex
	lru   *simplelru.LRU[string, int64] // names of files and their sizes
	bytes int64
}

// openPackCache returns nil if o names no directory.
func openPackCache(o PackCache) (*packCache, error) {
	refused := func(err error, hint string) error {
		return &Error{Kind: ErrInvalid, Op: "open", Err: fmt.Errorf("pack cache: %w", err), Hint: hint}
	}
	if o.MaxBytes < 0 {
		return nil, refused(fmt.Errorf("a size of %d bytes", o.MaxBytes), "give a positive size, or none for 1 GiB")
	}
	if o.Dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, refused(err, "name a directory that this user can make and write")
	}
	info, err := os.Stat(o.Dir)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, refused(fmt.Errorf("directory %s is open to other users (mode %04o), and state would lie in it", o.Dir, info.Mode().Perm()), "chmod 700 it, or name one of its own")
	}
	dir, openErr := os.OpenRoot(o.Dir)
	if err := cmp.Or(err, openErr); err != nil {
		return nil, refused(err, "name a directory that this user can read and write")
	}
	c := &packCache{dir: dir, max: cmp.Or(o.MaxBytes, defaultCacheBytes)}
	c.lru, err = simplelru.NewLRU(math.MaxInt, func(_ string, n int64) { c.bytes -= n })
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	c.rescan()
	return c, nil
}

func (c *packCache) close() error {
	if c == nil {
		return nil
	}
	return c.dir.Close()
}

// blockName is the file of a pack's block.
func blockName(pack format.Nonce, block uint64) string {
	return fmt.Sprintf("%x-%d.block", pack, block)
}

// rescan takes in what is in the directory, what was used last at the end.
func (c *packCache) rescan() {
	entries, err := fs.ReadDir(c.dir.FS(), ".")
	if err != nil {
		return
	}
	var found []fs.FileInfo
	for _, e := range entries {
		if i, err := e.Info(); err == nil && i.Mode().IsRegular() {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, i := range found {
		c.keep(i.Name(), i.Size())
	}
}

// keep counts a file, and removes others until all of them fit.
func (c *packCache) keep(name string, size int64) {
	var gone []string
	c.mu.Lock()
	c.lru.Remove(name)
	for c.bytes+size > c.max {
		old, _, ok := c.lru.RemoveOldest()
		if !ok {
			break
		}
		gone = append(gone, old)
	}
	c.lru.Add(name, size)
	c.bytes += size
	c.mu.Unlock()
	for _, old := range gone {
		_ = c.dir.Remove(old) // another process may have been faster
	}
}

// has reports whether a block is likely to be there.
func (c *packCache) has(pack format.Nonce, block uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Contains(blockName(pack, block))
}

// read fills b, a whole block, from the cache if it is there.
func (c *packCache) read(pack format.Nonce, block uint64, b []byte) bool {
	name := blockName(pack, block)
	c.mu.Lock()
	_, ok := c.lru.Get(name)
	c.mu.Unlock()
	if !ok {
		return false
	}
	if c.fill(name, b) {
		now := time.Now()
		_ = c.dir.Chtimes(name, now, now) // for the next process, which has to know what was used last
		return true
	}
	c.forget(pack, block)
	return false
}

// fill reads a file that has to be as long as b.
func (c *packCache) fill(name string, b []byte) bool {
	f, err := c.dir.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	i, err := f.Stat()
	if err != nil || i.Size() != int64(len(b)) {
		return false
	}
	_, err = io.ReadFull(f, b)
	return err == nil
}

// write keeps a block, if the disk has room.
func (c *packCache) write(pack format.Nonce, block uint64, b []byte) {
	if int64(len(b)) > c.max {
		return
	}
	name := blockName(pack, block)
	c.keep(name, int64(len(b)))
	if err := c.put(name, b); err != nil {
		c.forget(pack, block)
		return
	}
	if fresh := c.fresh.Add(int64(len(b))); fresh > c.max/cacheRescan && c.fresh.CompareAndSwap(fresh, 0) {
		c.rescan()
	}
}

// put makes the file under a name of its own first: others see it whole or not at all. It need not survive a power cut.
func (c *packCache) put(name string, b []byte) error {
	temp := fmt.Sprintf("%x.new", newNonce())
	err := c.dir.WriteFile(temp, b, 0o600)
	if err == nil {
		err = c.dir.Rename(temp, name)
	}
	if err != nil {
		_ = c.dir.Remove(temp)
	}
	return err
}

// forget drops a block that is not what it should be.
func (c *packCache) forget(pack format.Nonce, block uint64) {
	name := blockName(pack, block)
	c.mu.Lock()
	c.lru.Remove(name)
	c.mu.Unlock()
	_ = c.dir.Remove(name) // it may be gone
}

// forgetRange drops the blocks of n bytes from offset off.
func (c *packCache) forgetRange(pack format.Nonce, off, n uint64) {
	if c == nil || n == 0 {
		return
	}
	for i := off / cacheBlock; i <= (off+n-1)/cacheBlock; i++ {
		c.forget(pack, i)
	}
}
