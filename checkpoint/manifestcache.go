package checkpoint

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tidemark-go/tidemark/internal/format"
)

// manifestCache remembers manifests by their hash: those of the jobs that a store saves, each the base of its next checkpoint. It is bounded in number and in bytes,
// but for the newest one.
type manifestCache struct {
	*lru.Cache[format.Hash, format.Contents]
	limit int
}

func newManifestCache(number, limit int) (*manifestCache, error) {
	c, err := lru.New[format.Hash, format.Contents](number)
	return &manifestCache{c, limit}, err
}

func (c *manifestCache) add(h format.Hash, m format.Contents) {
	c.Add(h, m)
	for held := c.held(); held > c.limit && c.Len() > 1; held = c.held() {
		c.RemoveOldest()
	}
}

func (c *manifestCache) held() (n int) {
	for _, m := range c.Values() {
		n += m.Parts.Held()
	}
	return n
}
