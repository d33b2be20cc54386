package checkpoint

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// workspace is the memory of one worker of a save.
type workspace struct {
	allocate func(n int) []byte

	read    []byte // as read
	dirty   []byte // changed pages, up to chunkSize
	frame   []byte
	scratch []byte
	hashes  []byte // of the pages of one segment
	cut     []byte // of cutting
	saver   segmentSaver
	file    fileSource

	pages    *format.PageHasher
	pageKey  [format.PageKeySize]byte // of pages
	zeroPage format.PageHash          // of a whole page of zeros
}

// hashPagesWith makes pages hash with a key; making a hasher costs as much as hashing a page.
func (ws *workspace) hashPagesWith(key [format.PageKeySize]byte) {
	if ws.pages == nil || ws.pageKey != key {
		ws.pages, ws.pageKey = format.NewPageHasher(key), key
		ws.zeroPage = ws.pages.Sum(zeros[:])
	}
}

var zeros [pageSize]byte

func isZero(page []byte) bool { return page[0] == 0 && bytes.Equal(page, zeros[:len(page)]) }

// workspaceSize is what a workspace grows to, with the table that its worker builds.
const workspaceSize = 5 * chunkSize

// newWorkspace makes a workspace of memory that allocate gives.
func newWorkspace(allocate func(n int) []byte) *workspace {
	return &workspace{
		allocate: allocate, read: allocate(chunkSize), dirty: allocate(chunkSize)[:0], frame: allocate(format.MaxCompressed(chunkSize))[:0],
		hashes: allocate(segmentSize / pageSize * format.PageHashSize)[:0],
	}
}

// cutting is room for a chunker: 2 MiB that only streams take, beyond the memory budget.
func (ws *workspace) cutting() []byte {
	if ws.cut == nil {
		ws.cut = ws.allocate(chunkerBuffer)
	}
	return ws.cut
}

// stallTime is how long those who have workspaces may all wait for what feeds them, until one who waits for a workspace gets one beyond the budget.
const stallTime = time.Second

// workers hands out a store's workspaces, in the order in which they are asked for. Whoever has one asks for no second one.
type workers struct {
	free  chan *workspace // holds nil for one that was not needed yet
	slabs *slabs          // what they are made of

	mu      sync.Mutex
	out     int // workspaces that somebody has
	reading int // of those, how many wait for a stream's reader
	moves   int // counts everything that has happened
}

func newWorkers(n int) *workers {
	w := &workers{free: make(chan *workspace, n), slabs: new(slabs)}
	for range n {
		w.free <- nil
	}
	runtime.AddCleanup(w, (*slabs).release, w.slabs)
	return w
}

// get waits for a workspace. A goroutine may feed several streams in turn, and wait itself until one is read that waits here: so if all who have a workspace
// wait to be fed, one more is made.
func (w *workers) get(ctx context.Context) (*workspace, error) {
	for {
		seen := w.count(0, 0)
		timer := time.NewTimer(stallTime)
		select {
		case ws := <-w.free:
			timer.Stop()
			return w.given(ws), nil
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
			if w.stalled(seen) {
				return newWorkspace(func(n int) []byte { return make([]byte, n) }), nil
			}
		}
	}
}

// idle returns a workspace if one is free: a processor has nothing to do, then.
func (w *workers) idle() (*workspace, bool) {
	select {
	case ws := <-w.free:
		return w.given(ws), true
	default:
		return nil, false
	}
}

func (w *workers) given(ws *workspace) *workspace {
	w.count(1, 0)
	if ws == nil {
		ws = newWorkspace(w.slabs.allocate)
	}
	return ws
}

// stalled reports whether everybody who has a workspace waits for a reader, and nothing has happened since; then it counts one more.
func (w *workers) stalled(since int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moves != since || w.reading < w.out {
		return false
	}
	w.moves++
	w.out++
	return true
}

// count notes that workspaces were taken or given back, or that their owners began or ended to wait for a reader.
func (w *workers) count(out, reading int) (moves int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out, w.reading = w.out+out, w.reading+reading
	if out != 0 || reading != 0 {
		w.moves++
	}
	return w.moves
}

func (w *workers) put(ws *workspace) {
	w.count(-1, 0)
	select {
	case w.free <- ws:
	default: // it was one beyond the budget
	}
}

// reader is r, whose owner has a workspace.
func (w *workers) reader(r io.Reader) io.Reader { return fedReader{r, w} }

type fedReader struct {
	r io.Reader
	w *workers
}

func (f fedReader) Read(p []byte) (int, error) {
	f.w.count(0, 1)
	defer f.w.count(0, -1)
	return f.r.Read(p)
}
