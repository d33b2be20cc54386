package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Checkpoint is a committed, immutable set of parts. Safe for concurrent use.
type Checkpoint struct {
	job       *Job
	retained  *format.Retained
	info      Info
	body      []byte // the manifest object, if HEAD carried it along
	pastCache bool   // packs are read of the store itself
}

// Info is what HEAD says of it.
func (c *Checkpoint) Info() Info { return c.info }

// PartInfo describes one part.
type PartInfo struct {
	Name       string
	Kind       PartKind
	Bytes      int64
	NewBytes   int64 // that this checkpoint had to upload for it
	MovedBytes int64 // that the base had, and were written again so that a pack could go
	Chunks     int64
	Mode       fs.FileMode
	Modified   time.Time // zero for a stream
	Method     string    // how it was saved: "full", "pages", "content", "append", "identity"
	Reason     string    // why that method
}

// PartKind tells what a part was.
type PartKind string

// The kinds of part.
const (
	KindStream    PartKind = "stream"
	KindFile      PartKind = "file"
	KindDirectory PartKind = "directory"
	KindSymlink   PartKind = "symlink"
)

var (
	kinds   = map[format.Part_Kind]PartKind{format.Part_STREAM: KindStream, format.Part_FILE: KindFile, format.Part_DIRECTORY: KindDirectory, format.Part_SYMLINK: KindSymlink}
	methods = map[format.Part_Method]string{
		format.Part_FULL: "full", format.Part_PAGES: "pages", format.Part_IDENTITY: "identity", format.Part_APPEND: "append", format.Part_CONTENT: "content",
	}
)

// Parts lists the parts in the order of their names. The first call reads the manifest.
func (c *Checkpoint) Parts(ctx context.Context) ([]PartInfo, error) {
	m, err := c.manifest(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]PartInfo, m.Parts.Len())
	for i, p := range m.Parts.All() {
		infos[i] = PartInfo{
			Name: string(p.Name), Kind: kinds[p.Kind], Bytes: int64(p.Size), NewBytes: int64(p.NewBytes), MovedBytes: int64(p.MovedBytes), Chunks: int64(p.Chunks),
			Mode: fs.FileMode(p.Mode).Perm(), Method: methods[p.Method], Reason: reasonOf(m.Manifest, p),
		}
		if p.ModifiedNs != 0 {
			infos[i].Modified = time.Unix(0, p.ModifiedNs).UTC()
		}
	}
	return infos, nil
}

// Metadata returns the job's own values.
func (c *Checkpoint) Metadata(ctx context.Context) (map[string][]byte, error) {
	m, err := c.manifest(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(m.Metadata))
	for _, e := range m.Metadata {
		out[e.Key] = slices.Clone(e.Value)
	}
	return out, nil
}

func (c *Checkpoint) manifestKey() string {
	return format.ManifestKey(c.job.name, c.retained.Id, c.retained.ManifestNonce)
}

// manifest reads the manifest and holds it against what HEAD says of it.
func (c *Checkpoint) manifest(ctx context.Context) (format.Contents, error) {
	hash := format.Hash(c.retained.ManifestHash)
	if m, ok := c.job.store.manifests.Get(hash); ok && m.Job == c.job.name { // another job's is read again, and refused
		return m, nil
	}
	loan := c.job.store.buffers.loan()
	defer loan.end()
	b, err := c.manifestBytes(ctx, loan)
	if err != nil {
		return format.Contents{}, err
	}
	m, err := c.decodeManifest(ctx, b)
	var e *Error
	if errors.As(err, &e) { // of the key, not of the manifest
		return format.Contents{}, &Error{Kind: e.Kind, Op: "read", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Err: e.Err, Hint: e.Hint}
	}
	if err != nil {
		return format.Contents{}, c.corrupt("", c.manifestKey(), err)
	}
	c.job.store.manifests.add(hash, m)
	return m, nil
}

// manifestBytes is the manifest object, held against what HEAD says of it.
func (c *Checkpoint) manifestBytes(ctx context.Context, l *loan) ([]byte, error) {
	if c.body != nil {
		return c.body, nil
	}
	b, err := c.readManifest(ctx, l)
	var oe *objstore.Error
	switch {
	case errors.As(err, &oe):
		return nil, c.explain(ctx, err, "", c.manifestKey())
	case err != nil:
		return nil, c.corrupt("", c.manifestKey(), err)
	}
	return b, nil
}

// readManifest reads the manifest object from the store, and once more if it is not the one that HEAD names: the first time its bytes may have been damaged on the
// way, or be another object's. The error is the store's, or that of checkManifest.
func (c *Checkpoint) readManifest(ctx context.Context, l *loan) ([]byte, error) {
	for again := true; ; again = false {
		b, err := c.fetchManifest(ctx, l)
		if err == nil {
			if err = c.checkManifest(b); err == nil {
				return b, nil
			}
		} else if objstore.KindOf(err) != objstore.KindTooLarge {
			return nil, err
		}
		if !again {
			return nil, err
		}
	}
}

// fetchManifest reads the manifest object: a large one into memory that is lent.
func (c *Checkpoint) fetchManifest(ctx context.Context, l *loan) ([]byte, error) {
	size := c.retained.ManifestSize
	if size < lendFrom {
		b, _, err := c.job.store.objects.Get(ctx, c.manifestKey(), int64(size))
		return b, err
	}
	b := l.take(int(size))
	return b, c.job.store.objects.ReadRange(ctx, c.manifestKey(), 0, b)
}

func (c *Checkpoint) checkManifest(b []byte) error {
	if uint64(len(b)) == c.retained.ManifestSize && format.Sum(b) == format.Hash(c.retained.ManifestHash) {
		return nil
	}
	// A foreign object says so itself. One that calls itself newer is damaged: HEAD, which this build can read, does not know it.
	if _, err := format.ManifestRefers(b); errors.Is(err, format.ErrForeign) {
		return err
	}
	return fmt.Errorf("%w: the manifest is not the one that HEAD names", format.ErrCorrupt)
}

// decodeManifest reads a manifest that checkManifest has passed.
func (c *Checkpoint) decodeManifest(ctx context.Context, b []byte) (format.Contents, error) {
	m, err := c.job.openManifest(ctx, b)
	if err != nil {
		return format.Contents{}, err
	}
	if m.Job != c.job.name || m.Id.Epoch != c.retained.Id.Epoch || m.Id.Checkpoint != c.retained.Id.Checkpoint {
		return format.Contents{}, fmt.Errorf("%w: the manifest is of job %q, checkpoint %d", format.ErrCorrupt, m.Job, m.Id.Checkpoint)
	}
	return m, nil
}

// openManifest decodes a manifest, whatever HEAD says of it.
func (j *Job) openManifest(ctx context.Context, b []byte) (format.Contents, error) {
	keys, err := j.store.keyring.openAll(ctx, b)
	if err != nil {
		return format.Contents{}, err
	}
	if len(keys) == 0 && j.store.opts.EncryptedOnly {
		return format.Contents{}, &Error{Kind: ErrCorrupt, Err: fmt.Errorf("%w: the manifest is not encrypted, and only what is encrypted is believed", format.ErrCorrupt),
			Hint: "restore another checkpoint: whoever can write to the store may have put it there. If the job was not encrypted then, read it without the option"}
	}
	return format.DecodeManifest(b, keys, newPartList())
}

// explain makes a store's "not found" or "corrupt" what it means here: an object that HEAD still needs is damage, one that it
// does not need any more was retired under this reader.
func (c *Checkpoint) explain(ctx context.Context, err error, part, object string) error {
	kind, hint := kindOf(err)
	switch {
	case errors.Is(kind, ErrNotFound):
		at, headErr := c.job.readHead(ctx)
		if headErr != nil {
			return wrap(headErr, "read", c.job.name, c.retained.Id.Checkpoint)
		}
		if at.head == nil || findRetained(at.head, c.retained.Id.Checkpoint) < 0 {
			return c.retiredError("read")
		}
		kind, hint = ErrCorrupt, corruptHint
	case errors.Is(kind, ErrCorrupt):
		hint = corruptHint
	case kind == nil:
		return wrap(err, "read", c.job.name, c.retained.Id.Checkpoint)
	}
	return &Error{Kind: kind, Op: "read", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Part: part, Object: object, Hint: hint, Err: err}
}

func (c *Checkpoint) retiredError(op string) error {
	return &Error{Kind: ErrRetired, Op: op, Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Err: errors.New("the checkpoint was retired meanwhile"),
		Hint: "look up the latest one"}
}

func (c *Checkpoint) corrupt(part, object string, err error) error {
	return &Error{Kind: decodeKind(err), Op: "read", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Part: part, Object: object, Err: err,
		Hint: corruptHint}
}

const corruptHint = "restore another checkpoint; `tidemark verify --data` lists what is damaged"

// locate tells where a pack of the manifest is: the object's key and the pack's offset in it.
func (c *Checkpoint) locate(o *format.Object) (key string, offset int64) {
	return format.ObjectKey(c.job.name, o, c.retained.Id, c.retained.ManifestNonce, c.retained.ManifestSize)
}

// readPack fills b from offset off of a pack.
func (c *Checkpoint) readPack(ctx context.Context, o *format.Object, off uint64, b []byte, part string) error {
	if pack := c.packInBody(o); uint64(len(pack)) >= off+uint64(len(b)) {
		copy(b, pack[off:])
		return nil
	}
	key, at := c.locate(o)
	if s := c.cached(ctx, o, off, uint64(len(b))); s != nil {
		defer func() { _ = s.Close() }() // only gives back what it has
		if _, err := io.ReadFull(s, b); err != nil {
			return c.explain(ctx, err, part, key)
		}
		return nil
	}
	if err := c.job.store.objects.ReadRange(ctx, key, at+int64(off), b); err != nil {
		return c.explain(ctx, err, part, key)
	}
	return nil
}

func (c *Checkpoint) findPart(m format.Contents, name string) (*format.Part, error) {
	p := m.Parts.Find([]byte(name))
	if p == nil {
		return nil, &Error{Kind: ErrNotFound, Op: "open", Job: c.job.name, Checkpoint: c.retained.Id.Checkpoint, Part: name,
			Err: errors.New("no such part"), Hint: "`tidemark show` lists the parts"}
	}
	return p, nil
}

// tableWindow is how many bytes of neighbouring tables are fetched at once: they were packed together.
const tableWindow = 1 << 20

// tableWindows are buffers of about that size: as garbage they would let the heap of a long restore or verification grow by some of them.
var tableWindows = sync.Pool{New: func() any { return new([]byte) }}

// packs translates a table's pack numbers into indices of the manifest's objects; nil for an inline table, whose numbers are such.
type packs []uint32

func (p packs) object(i uint32) uint32 {
	if p == nil {
		return i
	}
	return p[i]
}

// table returns the decoded table of a segment.
func (c *Checkpoint) table(ctx context.Context, m format.Contents, s *format.Segment, length uint64) (*format.Table, packs, error) {
	if t := s.GetInline(); t != nil {
		return t, nil, nil
	}
	content, err := c.tableContent(ctx, m, s.GetStored())
	if err != nil {
		return nil, nil, err
	}
	var delta []byte
	if s.Delta != nil {
		if delta, err = c.tableContent(ctx, m, s.Delta); err != nil {
			return nil, nil, err
		}
	}
	t, err := format.SegmentTable(s, m.Objects, length, content, delta)
	if err != nil {
		key, _ := c.locate(m.Objects[s.GetStored().Object])
		return nil, nil, c.corrupt("", key, err)
	}
	return t, s.Objects, nil
}

// tableContent fetches a table together with its neighbours in the pack, and remembers them all.
func (c *Checkpoint) tableContent(ctx context.Context, m format.Contents, l *format.Location) ([]byte, error) {
	if b, ok := c.job.store.tables.get(format.Hash(l.Hash)); ok {
		return b, nil
	}
	run := neighbours(m.Parts.Tables(), l.Chunk())
	start, last := run[0].Offset, run[len(run)-1]
	window := tableWindows.Get().(*[]byte)
	defer tableWindows.Put(window)
	n := int(last.Offset + uint64(last.Stored) - start)
	*window = slices.Grow((*window)[:0], n)
	buf := (*window)[:n]
	if err := c.readPack(ctx, m.Objects[l.Object], start, buf, ""); err != nil {
		return nil, err
	}
	for _, n := range run {
		if n != l.Chunk() {
			c.rememberTable(m, buf, start, n)
		}
	}
	content, err := c.frame(ctx, m.Objects[l.Object], l.Chunk(), buf[l.Offset-start:][:l.Stored], nil, "")
	if err != nil {
		return nil, err
	}
	wanted := slices.Clone(content) // it may be a piece of buf
	c.job.store.tables.add(format.Hash(l.Hash), wanted)
	return wanted, nil
}

// rememberTable decodes and caches the table at t from buf, which begins at offset start of the pack. Whoever needs one that is damaged will meet the damage.
func (c *Checkpoint) rememberTable(m format.Contents, buf []byte, start uint64, t format.Chunk) {
	content, err := c.decodeFrame(nil, buf[t.Offset-start:][:t.Stored], m.Objects[t.Pack], t)
	if err == nil {
		c.job.store.tables.add(t.Hash, slices.Clone(content)) // it may be a piece of buf
	}
}

// neighbours are the tables and deltas around t in its pack without a gap, in order, up to tableWindow. Those of a hostile manifest may lie upon each other: then t is alone.
func neighbours(tables []format.Chunk, t format.Chunk) []format.Chunk {
	i, _ := slices.BinarySearchFunc(tables, t, func(other, t format.Chunk) int { return -comparePlaces(t.Pack, t.Offset, other) })
	if i == len(tables) || tables[i] != t {
		return []format.Chunk{t}
	}
	adjoin := func(a, b format.Chunk) bool { return a.Pack == b.Pack && a.Offset+uint64(a.Stored) == b.Offset }
	first, end, size := i, i+1, uint64(t.Stored)
	for end < len(tables) && adjoin(tables[end-1], tables[end]) && size+uint64(tables[end].Stored) <= tableWindow {
		size += uint64(tables[end].Stored)
		end++
	}
	for first > 0 && adjoin(tables[first-1], tables[first]) && size+uint64(tables[first-1].Stored) <= tableWindow {
		first--
		size += uint64(tables[first].Stored)
	}
	return tables[first:end]
}

// metered counts the requests of one operation.
func metered(ctx context.Context) (context.Context, *objstore.Meter) {
	m := new(objstore.Meter)
	return objstore.WithMeter(ctx, m), m
}

func requestsOf(m *objstore.Meter) Requests {
	n := m.Snapshot()
	return Requests{Put: n.Put, Get: n.Get, List: n.List, Delete: n.Delete, Head: n.Head}
}
