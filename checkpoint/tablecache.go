package checkpoint

import (
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tidemark-go/tidemark/internal/format"
)

// tableCache remembers encoded tables by their hash, bounded in bytes: tables of small parts are a hundredth of those of large ones,
// and a window of them has to survive until the parts that it was read for are through.
type tableCache struct {
	lru   *lru.Cache[format.Hash, []byte]
	limit int64
	bytes atomic.Int64
}

// smallestTable is what the least table counts for, with the cache's own cost.
const smallestTable = 256

func newTableCache(limit int64) (*tableCache, error) {
	c := &tableCache{limit: limit}
	var err error
	c.lru, err = lru.NewWithEvict(int(limit/smallestTable), func(_ format.Hash, b []byte) { c.bytes.Add(-tableCost(b)) })
	return c, err
}

func tableCost(b []byte) int64 { return max(int64(len(b)), smallestTable) }

// get counts as a use.
func (c *tableCache) get(h format.Hash) ([]byte, bool) { return c.lru.Get(h) }

func (c *tableCache) add(h format.Hash, b []byte) {
	if known, _ := c.lru.ContainsOrAdd(h, b); known {
		return
	}
	for c.bytes.Add(tableCost(b)); c.bytes.Load() > c.limit; {
		if _, _, ok := c.lru.RemoveOldest(); !ok {
			return
		}
	}
}
