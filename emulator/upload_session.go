package emulator

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
)

// chunkQuantum is what GCS persists of an upload that goes on: whole pieces of 256 KiB.
const chunkQuantum = 256 << 10

// maxSessions bounds how many uploads are remembered, where GCS remembers them for a week. The oldest is forgotten first.
const maxSessions = 8192

// session is a resumable upload.
type session struct {
	mu     sync.Mutex
	object *object // with everything but its content
	sums   checksums
	cond   conditions
	total  int64 // bytes of the whole object, -1 while unknown

	content content
	crc     uint32
	done    *object // what the upload became; whoever asks again is told again
	dead    bool    // cancelled, refused or forgotten
}

type sessions struct {
	mu    sync.Mutex
	byID  map[string]*session
	order []string // oldest first
}

// add remembers u and returns its identity, and the session that had to be forgotten for it, if any.
func (all *sessions) add(u *session) (id string, forgotten *session) {
	id = rand.Text() + rand.Text()
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.byID == nil {
		all.byID = make(map[string]*session)
	}
	if len(all.order) == maxSessions {
		forgotten = all.byID[all.order[0]]
		delete(all.byID, all.order[0])
		all.order = all.order[1:]
	}
	all.byID[id] = u
	all.order = append(all.order, id)
	return id, forgotten
}

func (all *sessions) get(id string) *session {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.byID[id]
}

func (all *sessions) clear() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.byID, all.order = nil, nil
}

// end gives up an upload that has not become an object. Its identity stays known, to be answered as gone.
func (s *Storage) end(u *session) {
	u.dead = true
	s.memory.release(u.content.size)
	u.content = content{}
}

func errGone() error {
	return &storageError{status: http.StatusGone, reason: "uploadBrokenConnection", code: "Gone",
		message: "The upload was cancelled or has failed: start a new one."}
}

// extend adds the bytes of c, which begin at offset first, as far as they are new, and takes c's share of the budget. Of
// bytes that came before, the first ones stay, as in GCS. Unless final, only whole quanta stay.
func (s *Storage) extend(u *session, c content, first int64, final bool) error {
	have, end := u.content.size, first+c.size
	if first > have {
		s.memory.release(c.size)
		return errInvalid("Invalid request.  According to the Content-Range header, the upload offset is %d byte(s), which "+
			"exceeds already uploaded size of %d byte(s).", first, have)
	}
	if !final {
		end -= end % chunkQuantum
	}
	fresh := content{}
	if end > have {
		fresh = c.part(have-first, end-have)
	}
	s.memory.release(c.size - fresh.size)
	u.crc = fresh.updateCRC(u.crc)
	u.content = u.content.append(fresh)
	return nil
}

// complete makes the object of an upload that has all its bytes. The upload stays locked while its bytes go to a file, if
// they do: only requests of the same upload wait for that.
func (s *Storage) complete(u *session, h http.Header) error {
	sums := u.sums
	o := *u.object
	o.content, o.crc = u.content, u.crc
	err := sums.addHeaders(h)
	if err == nil {
		err = sums.verify(&o)
	}
	if err == nil {
		err = s.install(&o, &u.cond)
	}
	if err != nil {
		if !isRate(err) { // the client may come again with the same request
			s.end(u)
		}
		return err
	}
	told := o
	told.content = content{size: o.content.size} // the bytes are the index's now, and go when the object goes
	u.done, u.content = &told, content{}
	return nil
}

// goOn answers that the upload is not complete and how many bytes it has. Clients that take 308 for a redirect ask for 200.
func goOn(w http.ResponseWriter, r *http.Request, have int64) {
	if have > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", have-1))
	}
	w.Header().Set("Content-Length", "0")
	if r.Header.Get("X-Guploader-No-308") == "yes" {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}
