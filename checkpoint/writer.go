package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

const (
	maxMetadata = 1 << 20 // it lies in the manifest, which is read whole
	mainWriter  = "main"  // names the packs of a save by one process, and a coordinator's
)

// Writer is one save under way. Its methods may be called from several goroutines; Commit when all of them have returned.
type Writer struct {
	job     *Job
	id      *format.CheckpointID
	fence   []byte          // of the ownership that the save belongs to
	key     *format.DataKey // what it is sealed with; nil: nothing
	name    string          // in the keys of its packs
	embeds  bool            // a small pack may travel in its manifest: it has one
	opts    BeginOptions
	base    *base // nil: a full save
	commit  func(ctx context.Context, r *format.Retained, manifest []byte) (Info, error)
	ended   func()
	ctx     context.Context
	cancel  context.CancelCauseFunc
	meter   objstore.Meter
	started time.Time
	packs   *packer
	pageKey [format.PageKeySize]byte // of the page hashes in new tables

	mu       sync.Mutex
	parts    partSet
	metadata map[string][]byte
	handles  map[string]*taken // by worker
	done     bool
}

var errAborted = errors.New("the save was aborted")

func now() time.Time { return time.Now() }

func newWriter(ctx context.Context, j *Job, id *format.CheckpointID, fence []byte, key *format.DataKey, opts BeginOptions) *Writer {
	w := &Writer{
		job: j, id: id, fence: fence, key: key, name: mainWriter, embeds: true, opts: opts, ended: func() {}, started: now(),
		parts: newPartSet(), metadata: map[string][]byte{}, handles: map[string]*taken{},
	}
	if w.opts.Progress == nil {
		w.opts.Progress = new(Progress)
	}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.ctx = objstore.WithMeter(ctx, &w.meter)
	w.packs = newPacker(w)
	w.pageKey = [format.PageKeySize]byte(newNonce())
	return w
}

// Checkpoint is the number that this save will have.
func (w *Writer) Checkpoint() uint64 { return w.id.Checkpoint }

// SetMetadata keeps a value of the job's own (offsets, positions) with the checkpoint. At most 1 MiB in all, checked by Commit.
func (w *Writer) SetMetadata(key string, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metadata[key] = slices.Clone(value)
}

// reserve claims a part's name before its content is read, so that two parts of one name cannot race.
func (w *Writer) reserve(name string) error {
	if err := format.CheckPartName(name); err != nil {
		return w.fail(ErrInvalid, name, err, "")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return w.fail(ErrInvalid, name, errors.New("the save has ended"), "")
	}
	if !w.parts.begin(name) {
		return w.fail(ErrInvalid, name, errors.New("there is a part of this name already"), "give each part its own name")
	}
	return nil
}

// keep takes a part that was saved to its end, and may not change any more but for the places of its tables.
func (w *Writer) keep(p *format.Part) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.parts.end(p, w.packs.placed); err != nil {
		return w.fail(ErrInvalid, string(p.Name), err, "")
	}
	w.opts.Progress.Parts.Add(1)
	return nil
}

func (w *Writer) fail(kind error, part string, err error, hint string) error {
	return &Error{Kind: kind, Op: "save", Job: w.job.name, Checkpoint: w.id.Checkpoint, Part: part, Err: err, Hint: hint}
}

func (w *Writer) wrap(err error) error { return wrap(err, "save", w.job.name, w.id.Checkpoint) }

// Commit makes the checkpoint visible, atomically. After an error it is not visible and never will be; only an error that matches ErrOutcomeUnknown
// leaves it to Latest to tell.
//
// A crash before the last step leaves objects that nothing refers to, for Collect; a crash after it leaves a committed checkpoint.
func (w *Writer) Commit(ctx context.Context) (Info, error) {
	if err := w.end(); err != nil {
		return Info{}, err
	}
	defer w.ended()
	defer w.cancel(errAborted)
	stop := context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })
	defer stop()

	info, err := w.commitSteps(objstore.WithMeter(ctx, &w.meter))
	if err != nil {
		w.cancel(errAborted)
		w.packs.abort()
		return Info{}, w.wrap(err)
	}
	return info, nil
}

func (w *Writer) commitSteps(ctx context.Context) (Info, error) {
	// While the last packs are on their way, the manifest is made, which says what the checkpoint consists of.
	embedded, err := w.packs.finish(w.ctx)
	if err != nil {
		return Info{}, err
	}
	m, err := w.manifest()
	if err != nil {
		return Info{}, err
	}
	if m.Parts.Held() > lendFrom { // it needs the memory that those packs are in
		if err := w.packs.wait(w.ctx); err != nil {
			return Info{}, err
		}
	}
	nonce := newNonce()
	loan := w.job.store.buffers.loan()
	defer loan.end()
	body, err := format.EncodeManifest(m, embedded, w.job.store.keyring.sealing(w.key, nonce, m.Objects), loan.take)
	if err != nil {
		return Info{}, err
	}
	// 1. Every byte of state is in the store, or in the one small pack that the manifest carries.
	if err := w.packs.wait(w.ctx); err != nil {
		return Info{}, err
	}
	// 2. So is the manifest. Nothing refers to it yet.
	w.packs.stored.Add(int64(len(body)))
	sum := format.CRC32C(body)
	if err := w.job.store.objects.CreateSummed(w.ctx, format.ManifestKey(w.job.name, w.id, nonce), body, sum); err != nil {
		return Info{}, err
	}
	// 3. The one write that counts.
	hash := format.Sum(body)
	info, err := w.commit(ctx, &format.Retained{
		Id: w.id, ManifestNonce: nonce, ManifestSize: uint64(len(body)), ManifestCrc32C: sum, ManifestHash: hash[:],
		CommittedAtNs: now().UnixNano(), Stats: w.stats(),
	}, body)
	if err != nil {
		return Info{}, err
	}
	info.Requests = w.requests() // now with the commit's own
	if w.base != nil {           // the next save is compared with this one
		w.job.store.manifests.Remove(format.Hash(w.base.retained.ManifestHash))
	}
	w.job.store.manifests.add(hash, m)
	w.job.store.opts.Logger.InfoContext(ctx, "checkpoint committed", "job", info.Job, "checkpoint", info.Checkpoint, "bytes", info.Bytes,
		"new_bytes", info.NewBytes, "stored_bytes", info.StoredBytes, "duration", info.Duration)
	return info, nil
}

func (w *Writer) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return w.fail(ErrInvalid, "", errors.New("the save has ended"), "")
	}
	w.done = true
	return nil
}

// Abort ends the save without a trace in HEAD. After Commit it does nothing, so it can be deferred.
func (w *Writer) Abort() error {
	if err := w.end(); err != nil {
		return nil // ended before: by Commit, or by an earlier Abort
	}
	w.cancel(errAborted)
	w.packs.abort()
	w.ended()
	return nil
}

// manifest collects what was saved.
func (w *Writer) manifest() (format.Contents, error) {
	m := &format.Manifest{Job: w.job.name, Id: w.id, CreatedAtNs: w.started.UnixNano(), Objects: w.packs.objects()}
	for _, b := range w.bases() {
		if m.Base == nil || m.Base.Checkpoint < b.retained.Id.Checkpoint {
			m.Base = b.retained.Id
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if name, ok := w.parts.unfinished(); ok {
		return format.Contents{}, w.fail(ErrInvalid, name, errors.New("the part was not saved to its end"), "commit only when every Add succeeded")
	}
	parts, err := w.parts.finish()
	if err != nil {
		return format.Contents{}, w.fail(ErrInvalid, "", err, "")
	}
	size := 0
	for k, v := range w.metadata {
		size += len(k) + len(v)
		m.Metadata = append(m.Metadata, &format.Entry{Key: k, Value: v})
	}
	if size > maxMetadata {
		return format.Contents{}, w.fail(ErrInvalid, "", fmt.Errorf("%d bytes of metadata, at most %d are allowed", size, maxMetadata), "save large values as parts")
	}
	slices.SortFunc(m.Metadata, func(a, b *format.Entry) int { return strings.Compare(a.Key, b.Key) })
	return format.Contents{Manifest: m, Parts: parts}, nil
}

func (w *Writer) stats() *format.Stats {
	r := w.requests()
	s := &format.Stats{
		StoredBytes: uint64(w.packs.stored.Load()), DurationNs: int64(now().Sub(w.started)),
		Puts: uint64(r.Put), Gets: uint64(r.Get), Lists: uint64(r.List), Deletes: uint64(r.Delete), Heads: uint64(r.Head),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Parts, s.Bytes, s.NewBytes, s.MovedBytes = uint64(w.parts.len()), w.parts.size, w.parts.new, w.parts.moved
	for _, t := range w.handles {
		s.StoredBytes += t.stats.StoredBytes
	}
	return s
}

// requests are those of the save so far, its workers' included.
func (w *Writer) requests() Requests {
	r := requestsOf(&w.meter)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.handles {
		r.Put += int64(t.stats.Puts)
		r.Get += int64(t.stats.Gets)
		r.List += int64(t.stats.Lists)
		r.Delete += int64(t.stats.Deletes)
		r.Head += int64(t.stats.Heads)
	}
	return r
}

// admissible is rule 3 on the HEAD version that the commit is conditioned on: whatever the manifest refers to beside its own
// objects belongs to a base, its own or a worker's, and each base is still retained; and no newer checkpoint was committed.
func (w *Writer) admissible(h *format.Head) error {
	if last := h.GetLast().GetCheckpoint(); last >= w.id.Checkpoint {
		return w.fail(ErrConflict, "", fmt.Errorf("checkpoint %d was committed first", last), "begin a new save")
	}
	for _, b := range w.bases() {
		if !b.used.Load() {
			continue
		}
		r := b.retained
		if i := findRetained(h, r.Id.Checkpoint); i < 0 || !slices.Equal(h.Retained[i].ManifestHash, r.ManifestHash) {
			return w.fail(ErrConflict, "", fmt.Errorf("checkpoint %d, which this save refers to, was retired meanwhile", r.Id.Checkpoint), "save again")
		}
	}
	return nil
}
