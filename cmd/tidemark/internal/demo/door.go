package demo

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// door stands in front of the storage server. It can hold the one request that commits a checkpoint, so that a worker is killed
// with its commit under way, and it knows which tokens each worker used.
type door struct {
	inside http.Handler

	mu     sync.Mutex
	mode   moment        // what to hold; atAnyTime: nothing
	hit    chan struct{} // closed when a commit is held
	worker int
	tokens map[int]map[[sha256.Size]byte]struct{} // by worker, hashed: a token is kept nowhere
}

func newDoor() *door { return &door{tokens: map[int]map[[sha256.Size]byte]struct{}{}} }

// serves says which worker the requests from now on are of.
func (d *door) serves(worker int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.worker, d.mode = worker, atAnyTime
	d.tokens[worker] = map[[sha256.Size]byte]struct{}{}
}

func (d *door) accepted(bearer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if used := d.tokens[d.worker]; used != nil {
		used[sha256.Sum256([]byte(bearer))] = struct{}{}
	}
}

// lives is how many tokens the worker used: each is one life in the cache of one process.
func (d *door) lives(worker int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.tokens[worker])
}

// hold makes the next commit wait for its worker's death, before or after the store has carried it out, and closes the channel
// that it returns when one does.
func (d *door) hold(mode moment) (hit <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mode, d.hit = mode, make(chan struct{})
	return d.hit
}

// take gives a commit what it is to be done with, once.
func (d *door) take() (mode moment, hit chan<- struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	mode, d.mode = d.mode, atAnyTime
	return mode, d.hit
}

// giveBack is for a commit that failed by itself: the next one is held in its place.
func (d *door) giveBack(mode moment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mode = mode
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !commits(r) {
		d.inside.ServeHTTP(w, r)
		return
	}
	mode, hit := d.take()
	switch mode {
	case beforeCommit:
		// The store never sees it.
		_, _ = io.Copy(io.Discard, r.Body)
	case afterCommit:
		reply := &recorder{header: http.Header{}}
		d.inside.ServeHTTP(reply, r)
		if !reply.succeeded() {
			d.giveBack(mode)
			reply.replay(w)
			return
		}
	default:
		d.inside.ServeHTTP(w, r)
		return
	}
	close(hit)
	<-r.Context().Done() // its worker is dead, or the server closes
	panic(http.ErrAbortHandler)
}

// commits recognises a write of a job's HEAD, the commit point of the protocol.
func commits(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut:
		return strings.HasSuffix(r.URL.Query().Get("name"), "/HEAD") || strings.HasSuffix(r.URL.Path, "/HEAD")
	}
	return false
}

// CreateBucket is for the emulator, which asks its storage handler.
func (d *door) CreateBucket(name string) error {
	h, ok := d.inside.(interface{ CreateBucket(string) error })
	if !ok {
		return errors.New("the storage server cannot create buckets")
	}
	return h.CreateBucket(name)
}

// Close ends the storage server.
func (d *door) Close() error {
	if c, ok := d.inside.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
