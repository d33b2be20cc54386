package checkpoint

import (
	"bytes"
	"context"
	"sync"

	"github.com/tidemark-go/tidemark/internal/format"
)

// workspace is the memory of one worker of a save.
type workspace struct {
	read    []byte // as read
	dirty   []byte // changed pages, up to chunkSize
	frame   []byte
	scratch []byte
	hashes  []byte // of the pages of one segment
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

func newWorkspace() *workspace {
	return &workspace{read: make([]byte, chunkSize), hashes: make([]byte, 0, segmentSize/pageSize*format.PageHashSize), dirty: make([]byte, 0, chunkSize), frame: make([]byte, 0, format.MaxCompressed(chunkSize))}
}

// workers hands out a store's workspaces.
type workers struct {
	free  chan *workspace // holds nil for one that was not needed yet
	spare sync.Pool       // for streams beyond the processors
}

func newWorkers(n int) *workers {
	w := &workers{free: make(chan *workspace, n)}
	for range n {
		w.free <- nil
	}
	return w
}

// get waits for a workspace.
func (w *workers) get(ctx context.Context) (*workspace, error) {
	select {
	case ws := <-w.free:
		return orNew(ws), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// idle returns a workspace if one is free: a processor has nothing to do, then.
func (w *workers) idle() (*workspace, bool) {
	select {
	case ws := <-w.free:
		return orNew(ws), true
	default:
		return nil, false
	}
}

// extra returns a workspace at once, beyond the budget if it has to: a stream that waited for another one's workspace might wait for ever, if one
// goroutine feeds both.
func (w *workers) extra() (ws *workspace, put func()) {
	if ws, ok := w.idle(); ok {
		return ws, func() { w.put(ws) }
	}
	ws, _ = w.spare.Get().(*workspace)
	ws = orNew(ws)
	return ws, func() { w.spare.Put(ws) }
}

func (w *workers) put(ws *workspace) { w.free <- ws }

func orNew(ws *workspace) *workspace {
	if ws == nil {
		ws = newWorkspace()
	}
	return ws
}
