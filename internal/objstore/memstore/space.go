package memstore

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// space is the set of objects that connections share.
type space struct {
	mu       sync.Mutex
	objects  map[string]*object
	keys     []string // of objects, in order
	versions uint64   // one counter for all keys, so that no version ever returns
	traits   objstore.Traits
	referee  referee
}

type object struct {
	body     []byte // never changed: a write makes a new object
	version  objstore.Version
	modified time.Time
}

func newSpace() *space {
	return &space{objects: map[string]*object{}, referee: newReferee()}
}

func (o *object) info(key string) objstore.Info {
	return objstore.Info{
		Key: key, Size: int64(len(o.body)), Version: o.version, Modified: o.modified,
		CRC32C: objstore.CRC32C(o.body), HasCRC32C: true,
	}
}

func (sp *space) find(op Op) (*object, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	o := sp.objects[op.Key]
	if o == nil {
		return nil, failed(op, objstore.KindNotFound, nil)
	}
	return o, nil
}

func (sp *space) put(op Op, body []byte) (objstore.Version, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	old := sp.objects[op.Key]
	current := objstore.Absent
	if old != nil {
		current = old.version
	}
	if current != op.Cond {
		return objstore.Absent, failed(op, objstore.KindPrecondition, errors.New("its version is "+strconv.Quote(string(current))))
	}
	sp.referee.written(op, old, body)
	sp.versions++
	o := &object{body: body, version: objstore.Version(strconv.FormatUint(sp.versions, 10)), modified: time.Now()}
	if old == nil {
		i, _ := slices.BinarySearch(sp.keys, op.Key)
		sp.keys = slices.Insert(sp.keys, i, op.Key)
	}
	sp.objects[op.Key] = o
	return o.version, nil
}

func (sp *space) remove(key string) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.objects[key] == nil {
		return
	}
	sp.referee.removed(key, sp.peek)
	delete(sp.objects, key)
	if i, ok := slices.BinarySearch(sp.keys, key); ok {
		sp.keys = slices.Delete(sp.keys, i, i+1)
	}
}

func (sp *space) excuse(key string) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.referee.doubtful[key] = true
}

// peek is for the referee's callbacks, which run under the lock.
func (sp *space) peek(key string) ([]byte, bool) {
	o := sp.objects[key]
	if o == nil {
		return nil, false
	}
	return o.body, true
}

func (sp *space) list(prefix, after string, limit int) []objstore.Info {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	var page []objstore.Info
	for _, key := range sp.from(prefix, after) {
		if !strings.HasPrefix(key, prefix) || len(page) == limit {
			break
		}
		page = append(page, sp.objects[key].info(key))
	}
	return page
}

func (sp *space) dirs(prefix, after string, limit int) []string {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	var page []string
	for _, key := range sp.from(prefix, after) {
		if !strings.HasPrefix(key, prefix) || len(page) == limit {
			break
		}
		slash := strings.IndexByte(key[len(prefix):], '/')
		if slash < 0 {
			continue
		}
		dir := key[:len(prefix)+slash+1]
		if dir != after && (len(page) == 0 || page[len(page)-1] != dir) {
			page = append(page, dir)
		}
	}
	return page
}

// from returns the keys that are at least prefix and greater than after.
func (sp *space) from(prefix, after string) []string {
	i, _ := slices.BinarySearch(sp.keys, prefix)
	if after != "" {
		j, found := slices.BinarySearch(sp.keys, after)
		if found {
			j++
		}
		i = max(i, j)
	}
	return sp.keys[i:]
}
