package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-go/tidemark/internal/format"
)

// HandleInfo says what a worker's handle brought.
type HandleInfo struct {
	Worker      string
	Incarnation string // of the life of the worker whose share the checkpoint has: as of Worker.Incarnation
	// Ignored is the incarnation whose handle was passed over, because the worker's share was there already: it was restarted, and finished twice.
	Ignored     string
	Parts       int64
	Bytes       int64
	NewBytes    int64
	StoredBytes int64
}

// taken is a handle that a save took in.
type taken struct {
	info  HandleInfo
	base  *base // nil: it was compared with nothing
	stats *format.Stats
}

// Assignment is what a worker needs to take part in this checkpoint, for Job.Join: bytes that any channel can carry. They hold no secret and no state.
func (w *Writer) Assignment() ([]byte, error) {
	a := &format.Assignment{Job: w.job.name, Id: w.id, Fence: w.fence, Key: wrappedKey(w.key)}
	if w.base != nil {
		a.Base = w.base.retained
	}
	b, err := format.EncodeAssignment(a)
	return b, w.wrap(err)
}

// AddHandle takes a worker's share into the checkpoint. Handles may come in any order and more than once. Of a worker that was restarted and finished twice the first
// handle is taken, which the info says; any other refusal is an error, and changes nothing: ErrCorrupt for bytes that are no handle, ErrConflict for a handle of another
// checkpoint or of an epoch that is over, ErrFenced for one of a newer epoch, ErrInvalid for one of another job, or with a part or metadata key that is there already.
func (w *Writer) AddHandle(handle []byte) (HandleInfo, error) {
	ring := format.Keyring{}
	if w.key != nil {
		ring[w.key.ID()] = w.key
	}
	h, err := format.DecodeHandle(handle, ring)
	if errors.Is(err, format.ErrSealed) {
		return HandleInfo{}, w.refuse("", ErrConflict, err, "drop it; the worker has to join a checkpoint of this owner, with its key")
	}
	if err != nil {
		return HandleInfo{}, w.refuse("", decodeKind(err), err, "ask the worker for its handle again")
	}
	if err := w.belongs(h); err != nil {
		return HandleInfo{}, err
	}
	if info, decided, err := w.decided(h); decided {
		return info, err
	}
	b, err := w.handleBase(h)
	if err != nil {
		return HandleInfo{}, w.wrap(err)
	}
	return w.take(h, b)
}

// Handles says whose shares were taken so far, in the order of the workers' names.
func (w *Writer) Handles() []HandleInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	infos := make([]HandleInfo, 0, len(w.handles))
	for _, t := range w.handles {
		infos = append(infos, t.info)
	}
	slices.SortFunc(infos, func(a, b HandleInfo) int { return strings.Compare(a.Worker, b.Worker) })
	return infos
}

func (w *Writer) refuse(worker string, kind error, err error, hint string) error {
	if worker != "" {
		err = fmt.Errorf("handle of worker %q: %w", worker, err)
	}
	return &Error{Kind: kind, Op: "add handle", Job: w.job.name, Checkpoint: w.id.Checkpoint, Err: err, Hint: hint}
}

// belongs refuses a handle of another save. The names of its packs are those of the epoch and number in it; what is named like anything but this save may be
// deleted already.
func (w *Writer) belongs(h *format.Handle) error {
	switch {
	case h.Job != w.job.name:
		return w.refuse(h.Writer, ErrInvalid, fmt.Errorf("it is of job %q", h.Job), "")
	case h.Writer == mainWriter:
		return w.refuse(h.Writer, ErrInvalid, errors.New("that is the coordinator's own name"), "")
	case h.Id.Epoch > w.id.Epoch:
		return w.refuse(h.Writer, ErrFenced, fmt.Errorf("it is of epoch %d, this save of epoch %d", h.Id.Epoch, w.id.Epoch), "stop; a newer owner has the job")
	case h.Id.Epoch < w.id.Epoch, !bytes.Equal(h.Fence, w.fence):
		return w.refuse(h.Writer, ErrConflict, fmt.Errorf("it is of an ownership that is over (epoch %d, this save of epoch %d)", h.Id.Epoch, w.id.Epoch), "drop it; the worker has to join a checkpoint of this owner")
	case h.Id.Checkpoint != w.id.Checkpoint:
		return w.refuse(h.Writer, ErrConflict, fmt.Errorf("it is of checkpoint %d", h.Id.Checkpoint), "drop it; the worker has to join the present checkpoint")
	}
	for _, o := range h.Objects {
		if sameID(o.Id, w.id) && !sealedWith(o, w.key) {
			return w.refuse(h.Writer, ErrInvalid, errors.New("its packs are not sealed with the key of this save"), "open the stores of the coordinator and of its workers with the same key")
		}
	}
	return nil
}

// handleBase finds the checkpoint that a worker compared with, and holds what the handle refers to against it: rule 3 rests on a handle referring to nothing else.
// That the base is still retained is for the commit to check.
func (w *Writer) handleBase(h *format.Handle) (*base, error) {
	if h.Base == nil {
		return nil, nil
	}
	b, err := w.findBase(h)
	if err != nil {
		return nil, err
	}
	carried := carriedBy(h)
	if len(carried) == 0 {
		return b, nil
	}
	m, err := b.Checkpoint.manifest(w.ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[format.Nonce]*format.Object, len(m.Objects))
	for _, o := range m.Objects {
		known[format.Nonce(o.Nonce)] = carriedObject(o, b.retained)
	}
	for _, o := range carried {
		if w.key != nil && len(o.DataKey) == 0 {
			return nil, w.refuse(h.Writer, ErrInvalid, errInTheClear, "")
		}
		if !proto.Equal(o, known[format.Nonce(o.Nonce)]) {
			return nil, w.refuse(h.Writer, ErrInvalid, fmt.Errorf("it refers to a pack of checkpoint %d that its base, checkpoint %d, does not have", o.Id.Checkpoint, h.Base.Checkpoint), "")
		}
	}
	return b, nil
}

// carriedBy are the packs of older checkpoints that a handle refers to. It has none without a base, which DecodeHandle checks.
func carriedBy(h *format.Handle) []*format.Object {
	return slices.DeleteFunc(slices.Clone(h.Objects), func(o *format.Object) bool { return sameID(o.Id, h.Id) })
}

// findBase is the coordinator's own base, or one that HEAD retains.
func (w *Writer) findBase(h *format.Handle) (*base, error) {
	is := func(r *format.Retained) bool {
		return sameID(r.Id, h.Base) && bytes.Equal(r.ManifestNonce, h.BaseManifest)
	}
	if w.base != nil && is(w.base.retained) {
		return w.base, nil
	}
	w.mu.Lock()
	for _, t := range w.handles {
		if t.base != nil && is(t.base.retained) {
			w.mu.Unlock()
			return t.base, nil
		}
	}
	w.mu.Unlock()
	at, err := w.job.readHead(w.ctx)
	if err != nil {
		return nil, err
	}
	if at.head != nil {
		if i := findRetained(at.head, h.Base.Checkpoint); i >= 0 && is(at.head.Retained[i]) {
			return newBase(w.job.checkpoint(at.head, at.head.Retained[i]), w.key), nil
		}
	}
	return nil, w.refuse(h.Writer, ErrConflict, fmt.Errorf("checkpoint %d, which it was compared with, is not retained", h.Base.Checkpoint), "the worker has to join again")
}

// decided reports what is to be said of a handle without a look at what it holds: that the worker's share is there, or that the save has ended.
func (w *Writer) decided(h *format.Handle) (info HandleInfo, decided bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.decidedLocked(h)
}

func (w *Writer) decidedLocked(h *format.Handle) (info HandleInfo, decided bool, err error) {
	if t, ok := w.handles[h.Writer]; ok {
		info := t.info
		if incarnation := fmt.Sprintf("%x", h.Incarnation); info.Incarnation != incarnation {
			info.Ignored = incarnation
			w.job.store.opts.Logger.WarnContext(w.ctx, "worker finished twice, its first handle stays", "job", w.job.name, "checkpoint", w.id.Checkpoint,
				"worker", h.Writer, "incarnation", info.Incarnation, "ignored", incarnation)
		}
		return info, true, nil
	}
	if w.done {
		return info, true, w.refuse(h.Writer, ErrConflict, errors.New("it came after the save had ended"), "drop it; the worker has to join the next checkpoint")
	}
	return info, false, nil
}

// take makes the worker's parts parts of this save.
func (w *Writer) take(h *format.Handle, b *base) (HandleInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if info, decided, err := w.decidedLocked(h); decided {
		return info, err
	}
	for _, p := range h.Parts {
		if w.parts.has(string(p.Name)) {
			return HandleInfo{}, w.refuse(h.Writer, ErrInvalid, fmt.Errorf("there is a part %q already", p.Name), "give the parts of each worker names of their own")
		}
	}
	for _, e := range h.Metadata {
		if _, ok := w.metadata[e.Key]; ok {
			return HandleInfo{}, w.refuse(h.Writer, ErrInvalid, fmt.Errorf("there is metadata of the key %q already", e.Key), "give the metadata of each worker keys of their own")
		}
	}
	index, ok := w.packs.adopt(h.Objects, w.id)
	if !ok {
		return HandleInfo{}, w.refuse(h.Writer, ErrInvalid, errors.New("it names packs that are another's"), "")
	}
	if len(carriedBy(h)) > 0 {
		b.used.Store(true)
	}
	info := HandleInfo{Worker: h.Writer, Incarnation: fmt.Sprintf("%x", h.Incarnation), Parts: int64(len(h.Parts)), StoredBytes: int64(h.Stats.StoredBytes)}
	for _, p := range h.Parts {
		for i, s := range p.Segments {
			p.Segments[i] = renumber(s, func(o uint32) uint32 { return index[o] })
		}
		if err := w.parts.end(p, w.packs.placed); err != nil {
			return HandleInfo{}, w.refuse(h.Writer, ErrInvalid, err, "")
		}
		info.Bytes += int64(p.Size)
		info.NewBytes += int64(p.NewBytes)
	}
	for _, e := range h.Metadata {
		w.metadata[e.Key] = e.Value
	}
	w.handles[h.Writer] = &taken{info, b, h.Stats}
	w.opts.Progress.Parts.Add(info.Parts)
	return info, nil
}

// bases are the checkpoints that the save refers to.
func (w *Writer) bases() []*base {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*base
	if w.base != nil {
		all = append(all, w.base)
	}
	for _, t := range w.handles {
		if t.base != nil && !slices.Contains(all, t.base) {
			all = append(all, t.base)
		}
	}
	return all
}

// adopt adds the objects of a handle and returns their indices in the manifest; false if one of them is not what is known by its nonce, or a
// pack of this very save that is there already.
func (p *packer) adopt(objects []*format.Object, own *format.CheckpointID) (index []uint32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range objects {
		if i, known := p.refs[format.Nonce(o.Nonce)]; known && (sameID(o.Id, own) || !proto.Equal(p.objs[i], o)) {
			return nil, false
		}
	}
	for _, o := range objects {
		index = append(index, p.refLocked(o))
	}
	return index, true
}

// carriedObject is what an object of the checkpoint r is in the manifest of another.
func carriedObject(o *format.Object, r *format.Retained) *format.Object {
	if !o.Embedded || len(o.ManifestNonce) > 0 {
		return o
	}
	o = proto.CloneOf(o)
	o.ManifestNonce, o.ManifestSize, o.ManifestCrc32C = r.ManifestNonce, r.ManifestSize, r.ManifestCrc32C
	return o
}

// renumber is the segment with other indices of the manifest's objects.
func renumber(s *format.Segment, to func(uint32) uint32) *format.Segment {
	out := proto.CloneOf(s)
	if t := out.GetInline(); t != nil {
		for i, o := range t.ChunkPack {
			t.ChunkPack[i] = to(o)
		}
		return out
	}
	out.GetStored().Object = to(out.GetStored().Object)
	if out.Delta != nil {
		out.Delta.Object = to(out.Delta.Object)
	}
	for i, o := range out.Objects {
		out.Objects[i] = to(o)
	}
	return out
}

func sameID(a, b *format.CheckpointID) bool {
	return a.GetEpoch() == b.GetEpoch() && a.GetCheckpoint() == b.GetCheckpoint()
}
