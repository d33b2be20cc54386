package checkpoint

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidemark-go/tidemark/internal/format"
)

const (
	// embedLimit is the largest pack that travels inside the manifest: up to here the bytes cost less than a request of their own.
	embedLimit = 256 << 10
	// tableSlack is memory for tables that are held back when the cache has let go of them.
	tableSlack = 1 << 20
	// mostSlots is how many times Options.Concurrency a store may come to allow; that bound is the store's own, and packs are bounded by memory.
	mostSlots = 4
)

// packer collects the frames of one save in packs and uploads them behind the save's back. Memory is the store's: a pack
// waits for a buffer, so a save runs at the speed of its uploads.
type packer struct {
	w      *Writer
	stored atomic.Int64 // bytes sent to the store
	slots  chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	cur    *openPack
	closed bool
	tables []*pendingTable
	held   int // bytes in tables
	refs   map[format.Nonce]uint32
	objs   []*format.Object
	own    uint32 // packs started
	sent   int    // packs handed to upload
	err    error  // the first failure of an upload
}

// openPack is a pack being filled.
type openPack struct {
	*format.PackBuilder
	buf     []byte
	object  *format.Object
	index   uint32         // of object in the manifest
	placing sync.WaitGroup // frames that have their place and are being copied there
}

// pendingTable is a table that has no place yet; at is filled in when it gets one.
type pendingTable struct {
	content []byte
	what    format.PackFrame
	at      *format.Location
}

func newPacker(w *Writer) *packer {
	return &packer{w: w, slots: make(chan struct{}, mostSlots*w.job.store.opts.Concurrency), refs: map[format.Nonce]uint32{}}
}

// ref returns the manifest's index of an object, adding it on its first use.
func (p *packer) ref(o *format.Object) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refLocked(o)
}

func (p *packer) refLocked(o *format.Object) uint32 {
	n := format.Nonce(o.Nonce)
	i, ok := p.refs[n]
	if !ok {
		i = uint32(len(p.objs))
		p.refs[n], p.objs = i, append(p.objs, o)
	}
	return i
}

func (p *packer) objects() []*format.Object {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.objs)
}

// frameOf says what a frame is of, for the pack's index.
type frameOf struct {
	part    *format.Part
	segment int
	at      uint64 // offset in the part
}

// chunk packs content, made a frame by c, and says where it lies; the chunk's pack is the manifest's index.
func (p *packer) chunk(ctx context.Context, ws *workspace, c *format.Compressor, content []byte, hash format.Hash, of frameOf) (format.Chunk, error) {
	ws.frame, ws.scratch = c.AppendFrame(ws.frame[:0], content, ws.scratch)
	pack, offset, stored, err := p.add(ctx, ws.frame, format.PackFrame{
		Kind: format.PackEntry_CHUNK, Raw: len(content), Hash: hash, Part: of.part, Segment: of.segment, At: of.at,
	})
	return format.Chunk{Pack: pack, Offset: offset, Stored: stored, Raw: uint32(len(content)), Hash: hash}, err
}

// add places a frame in the open pack and returns the pack, and the frame's offset and length in it.
func (p *packer) add(ctx context.Context, frame []byte, f format.PackFrame) (pack uint32, offset uint64, stored uint32, err error) {
	if err := p.lockWithRoom(ctx, len(frame), f.Part.Name); err != nil {
		return 0, 0, 0, err
	}
	cur := p.cur
	offset, space := cur.Reserve(len(frame), f)
	cur.placing.Add(1)
	p.mu.Unlock()
	defer cur.placing.Done()
	cur.Place(space, frame, offset)
	return cur.index, offset, uint32(len(space)), nil
}

// lockWithRoom returns with mu held and a pack open that has room for a frame of n bytes of a part; or with an error, and mu free.
func (p *packer) lockWithRoom(ctx context.Context, n int, part []byte) error {
	for {
		p.mu.Lock()
		if p.err != nil || p.closed {
			err := cmp.Or(p.err, errAborted)
			p.mu.Unlock()
			return err
		}
		full := p.cur
		if full.hasRoom(n, part) {
			return nil
		}
		p.cur = nil
		p.mu.Unlock()
		if full != nil {
			if err := p.upload(ctx, full); err != nil {
				return err
			}
		}
		if err := p.open(ctx); err != nil {
			return err
		}
	}
}

func (o *openPack) hasRoom(n int, part []byte) bool { return o != nil && o.Room(n, part) <= len(o.buf) }

// open starts a pack, unless another goroutine did while this one waited for its buffer.
func (p *packer) open(ctx context.Context) error {
	buf, err := p.w.job.store.buffers.get(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cur != nil || p.closed {
		p.w.job.store.buffers.put(buf)
		return nil
	}
	o := &format.Object{Id: p.w.id, Writer: p.w.name, Number: p.own, Nonce: newNonce()}
	if key := p.w.key; key != nil {
		id := key.ID()
		o.DataKey = id[:]
	}
	p.own++
	p.cur = &openPack{PackBuilder: format.NewPackBuilder(buf, o.Nonce, p.w.key), buf: buf, object: o, index: p.refLocked(o)}
	return nil
}

// upload seals a pack and sends it from a goroutine that finish and abort wait for.
func (p *packer) upload(ctx context.Context, pack *openPack) error {
	body, err := pack.seal()
	if err != nil {
		p.w.job.store.buffers.put(pack.buf)
		return err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		p.w.job.store.buffers.put(pack.buf)
		return context.Cause(ctx)
	}
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	p.wg.Go(func() {
		defer func() { <-p.slots }()
		defer p.w.job.store.buffers.put(pack.buf)
		err := p.w.job.store.objects.CreateSummed(p.w.ctx, format.PackKey(p.w.job.name, pack.object), body, pack.object.Crc32C)
		if err != nil {
			p.setErr(err)
			return
		}
		p.stored.Add(int64(len(body)))
	})
	return nil
}

func (o *openPack) seal() ([]byte, error) {
	o.placing.Wait()
	body, err := o.Finish()
	if err != nil {
		return nil, err
	}
	o.object.Size, o.object.Crc32C, o.object.Raw = uint64(len(body)), o.Sum(body), o.Raw()
	return body, nil
}

func (p *packer) setErr(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	p.w.cancel(err) // the save cannot succeed any more: stop what is still reading
}

// addTable holds a table back until a batch of them is placed: together, so that the next save reads them with few requests. What is held is in the table
// cache, too, so a batch as large as that costs no memory.
func (p *packer) addTable(ctx context.Context, ws *workspace, t *pendingTable) error {
	p.mu.Lock()
	p.tables = append(p.tables, t)
	p.held += len(t.content)
	var batch []*pendingTable
	if p.held >= int(p.w.job.store.tables.limit) {
		batch, p.tables, p.held = p.tables, nil, 0
	}
	p.mu.Unlock()
	return p.placeTables(ctx, ws, batch)
}

// placeTables places a batch without a gap as far as packs allow, whoever else adds frames meanwhile. A batch that fits into one pack goes into one.
func (p *packer) placeTables(ctx context.Context, ws *workspace, batch []*pendingTable) error {
	for len(batch) > 0 {
		room := format.MaxFrame(len(batch[0].content))
		if all := roomFor(batch); all <= p.w.job.store.buffers.size-emptyPack {
			room = all
		}
		if err := p.lockWithRoom(ctx, room, batch[0].what.Part.Name); err != nil {
			return err
		}
		for len(batch) > 0 && p.cur.hasRoom(format.MaxFrame(len(batch[0].content)), batch[0].what.Part.Name) {
			p.placeTable(ws, batch[0])
			batch = batch[1:]
		}
		p.mu.Unlock()
	}
	return nil
}

// roomFor is at most what a batch takes in a pack, its entries in the pack's index included.
func roomFor(batch []*pendingTable) (n int) {
	for _, t := range batch {
		n += format.MaxFrame(len(t.content)) + format.MaxEntry(t.what.Part.Name)
	}
	return n
}

// emptyPack is more than a pack without frames takes.
const emptyPack = 4 << 10

// placeTable places a table for which there is room, with mu held.
func (p *packer) placeTable(ws *workspace, t *pendingTable) {
	ws.frame, ws.scratch = format.AppendFrame(ws.frame[:0], t.content, ws.scratch, p.w.job.store.codec)
	offset, space := p.cur.Reserve(len(ws.frame), t.what)
	p.cur.Place(space, ws.frame, offset)
	t.at.Object, t.at.Offset, t.at.Stored, t.at.Raw, t.at.Hash = p.cur.index, offset, uint32(len(space)), uint32(t.what.Raw), t.what.Hash[:]
}

// finish places what is left and begins to send the last pack; wait waits until everything is in the store. If all of it is one small pack, that pack is not
// sent but returned, to travel in the manifest.
func (p *packer) finish(ctx context.Context) (embedded []byte, err error) {
	p.mu.Lock()
	batch := p.tables
	p.tables, p.held = nil, 0
	p.mu.Unlock()
	if err := p.placeTables(ctx, new(workspace), batch); err != nil {
		return nil, err
	}
	p.mu.Lock()
	last, sent := p.cur, p.sent
	p.cur, p.closed = nil, true
	p.mu.Unlock()
	if last == nil {
		return nil, nil
	}
	if !p.w.embeds || sent > 0 || last.Room(0, nil) > embedLimit {
		return nil, p.upload(ctx, last)
	}
	defer p.w.job.store.buffers.put(last.buf)
	body, err := last.seal()
	last.object.Embedded, last.object.Writer = true, ""
	return slices.Clone(body), err
}

// wait is the end of a save's uploads, once finish has returned.
func (p *packer) wait(ctx context.Context) error {
	p.wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.err, context.Cause(ctx))
}

// abort gives the open pack back and waits for the uploads, whose context has ended.
func (p *packer) abort() {
	p.mu.Lock()
	last := p.cur
	p.cur, p.closed = nil, true
	p.mu.Unlock()
	if last != nil {
		last.placing.Wait()
		p.w.job.store.buffers.put(last.buf)
	}
	p.wg.Wait()
}

// object is the manifest's index of a pack that it refers to.
func (p *packer) object(n format.Nonce) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refs[n]
}

// nonce names a pack in tables.
func (p *packer) nonce(index uint32) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.objs[index].Nonce
}
