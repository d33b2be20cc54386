package bench

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/tidemark-go/tidemark/emulator"
)

// RESTPath is where the storage server speaks restic's REST protocol (version 2): Place.Storage + RESTPath is a repository. It is
// for programs that can reach Google's storage at Google's address alone.
const RESTPath = "/restic-repository/"

// benchStore is the storage server with a door for restic. What comes through it lies in a store of its own with the same code behind
// it, and needs no token.
type benchStore struct {
	*emulator.Storage
	rest *restDoor
}

func newBenchStore(authorize func(bearer string) error, memory int64) *benchStore {
	return &benchStore{
		Storage: emulator.NewStorage(&emulator.StorageOptions{Memory: memory, Authorize: authorize}),
		rest:    &restDoor{store: emulator.NewStorage(&emulator.StorageOptions{Memory: memory, AutoCreate: true})},
	}
}

func (s *benchStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, RESTPath); ok {
		s.rest.serve(w, r, name)
		return
	}
	s.Storage.ServeHTTP(w, r)
}

// restDoor turns each request of the protocol into the one request of the storage API that does the same.
type restDoor struct {
	store *emulator.Storage

	mu  sync.Mutex
	ops map[emulator.Op]int64
}

func (d *restDoor) count(op emulator.Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops[op]++
}

func (d *restDoor) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = map[emulator.Op]int64{}
}

// correct classes the requests by what they did: the request log, which sees URLs it does not know, takes them all for others. An answer other
// than success is counted here too; there are few.
func (d *restDoor) correct(c *emulator.RequestCounts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ops) == 0 {
		return
	}
	c.ClassA, c.ClassB, c.Free, c.Unbilled = 0, 0, 0, 0
	c.ByOp = map[emulator.Op]int64{}
	for op, n := range d.ops {
		c.ByOp[op] = n
		switch op.Class() {
		case emulator.ClassA:
			c.ClassA += n
		case emulator.ClassB:
			c.ClassB += n
		default:
			c.Free += n
		}
	}
}

func (d *restDoor) serve(w http.ResponseWriter, r *http.Request, name string) {
	to := r.Clone(r.Context())
	to.URL.RawQuery = ""
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Get("create") == "true":
		d.count(emulator.OpOther) // a repository needs no making
		return
	case r.Method == http.MethodGet && strings.HasSuffix(name, "/"):
		d.count(emulator.OpList)
		d.list(w, name)
		return
	case r.Method == http.MethodPost:
		d.count(emulator.OpInsert)
		to.URL.Path = "/upload/storage/v1/b/" + benchBucket + "/o"
		to.URL.RawQuery = url.Values{"uploadType": {"media"}, "name": {name}}.Encode()
		to.Header.Set("Content-Type", "application/octet-stream")
	case r.Method == http.MethodDelete:
		d.count(emulator.OpDelete)
		w = okReply{w} // 204 is a failure to restic
		to.URL.Path = "/storage/v1/b/" + benchBucket + "/o/" + name
		to.URL.RawPath = "/storage/v1/b/" + benchBucket + "/o/" + url.PathEscape(name)
	case r.Method == http.MethodHead:
		d.count(emulator.OpStat)
		to.URL.Path = "/" + benchBucket + "/" + name
	default:
		d.count(emulator.OpRead)
		to.URL.Path = "/" + benchBucket + "/" + name
	}
	d.store.ServeHTTP(w, to)
}

// okReply says 200 where the store says 204.
type okReply struct{ http.ResponseWriter }

func (w okReply) WriteHeader(status int) {
	if status == http.StatusNoContent {
		status = http.StatusOK
	}
	w.ResponseWriter.WriteHeader(status)
}

// list answers with the files of one kind. A store would say as much in pages of a thousand.
func (d *restDoor) list(w http.ResponseWriter, prefix string) {
	type file struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	}
	files := []file{}
	for _, o := range d.store.Objects(benchBucket) {
		if name, ok := strings.CutPrefix(o.Name, prefix); ok {
			files = append(files, file{name, o.Size})
		}
	}
	w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v2")
	_ = json.NewEncoder(w).Encode(files) // who has gone needs no list
}
