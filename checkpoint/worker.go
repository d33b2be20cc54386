package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Worker saves a share of a checkpoint that a coordinator, in this process or another, commits. It uploads packs of its own; what it saved exists only once
// the coordinator has taken its handle and committed. Its methods may be called from several goroutines; Finish when all of them have returned.
// One of Finish and Abort must be called.
type Worker struct {
	job         *Job
	name        string
	id          *format.CheckpointID
	incarnation []byte
	ctx         context.Context
	cancel      context.CancelCauseFunc

	turn chan struct{} // one token
	w    *Writer       // nil: HEAD is still to be read
}

// Worker begins a worker's share of a checkpoint by the numbers that its coordinator gave out (Owner.Epoch and Writer.Checkpoint), under a
// name that no other worker of the checkpoint has ("enrich/3"). It sends no request: the first Add reads HEAD, and compares with the newest checkpoint that is retained
// then. With the coordinator's assignment there is no such request, see Join. What it uploads is not bound to a context: Abort ends it at any time.
func (j *Job) Worker(epoch, checkpoint uint64, name string) *Worker {
	return newWorker(context.Background(), j, &format.CheckpointID{Epoch: epoch, Checkpoint: checkpoint}, name)
}

// Join begins a worker's share of the checkpoint whose coordinator made the assignment (Writer.Assignment), under a name that no other worker of the checkpoint has. It
// sends no request to the store; of an encrypted job it asks the keeper for the key, once in a process. ctx bounds the share up to Finish or Abort.
func (j *Job) Join(ctx context.Context, assignment []byte, name string) (*Worker, error) {
	a, err := format.DecodeAssignment(assignment)
	if err != nil {
		return nil, &Error{Kind: decodeKind(err), Op: "join", Job: j.name, Err: err, Hint: "ask the coordinator for its assignment again"}
	}
	if a.Job != j.name {
		return nil, &Error{Kind: ErrInvalid, Op: "join", Job: j.name, Checkpoint: a.Id.Checkpoint, Err: fmt.Errorf("the assignment is of job %q", a.Job)}
	}
	w := newWorker(ctx, j, a.Id, name)
	if err := w.checkName(); err != nil {
		return nil, err
	}
	var base *Checkpoint
	if a.Base != nil {
		base = &Checkpoint{job: j, retained: a.Base}
	}
	key, err := j.givenKey(ctx, a.Key)
	if err != nil {
		return nil, wrap(err, "join", j.name, a.Id.Checkpoint)
	}
	w.begin(a.Fence, key, base)
	return w, nil
}

func newWorker(ctx context.Context, j *Job, id *format.CheckpointID, name string) *Worker {
	w := &Worker{job: j, name: name, id: id, incarnation: newNonce(), turn: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.turn <- struct{}{}
	return w
}

func (w *Worker) begin(fence []byte, key *format.DataKey, base *Checkpoint) {
	w.w = newWriter(w.ctx, w.job, w.id, fence, key, BeginOptions{})
	w.w.name, w.w.embeds = w.name, false
	if base != nil {
		w.w.base = newBase(base, key)
	}
}

func (w *Worker) checkName() error {
	if w.name == mainWriter {
		return w.fail(ErrInvalid, fmt.Errorf("a worker cannot be named %q, like the coordinator", mainWriter), "")
	}
	if err := format.CheckWriter(w.name); err != nil {
		return w.fail(ErrInvalid, err, "")
	}
	return nil
}

func (w *Worker) fail(kind error, err error, hint string) error {
	return &Error{Kind: kind, Op: "join", Job: w.job.name, Checkpoint: w.id.Checkpoint, Err: err, Hint: hint}
}

// Name is the worker's name.
func (w *Worker) Name() string { return w.name }

// Checkpoint is the number of the checkpoint that the share is of.
func (w *Worker) Checkpoint() uint64 { return w.id.Checkpoint }

// Incarnation tells this life of the worker from others of its name; HandleInfo has it too.
func (w *Worker) Incarnation() string { return fmt.Sprintf("%x", w.incarnation) }

// Add saves a stream as the part name, like Writer.Add.
func (w *Worker) Add(name string, r io.Reader, opts ...PartOption) error {
	writer, err := w.writer()
	if err != nil {
		return err
	}
	return writer.Add(name, r, opts...)
}

// AddFile saves one file as the part name, like Writer.AddFile.
func (w *Worker) AddFile(name, file string, opts ...PartOption) error {
	writer, err := w.writer()
	if err != nil {
		return err
	}
	return writer.AddFile(name, file, opts...)
}

// AddDir saves a directory, like Writer.AddDir.
func (w *Worker) AddDir(prefix, dir string, opts ...PartOption) error {
	writer, err := w.writer()
	if err != nil {
		return err
	}
	return writer.AddDir(prefix, dir, opts...)
}

// SetMetadata keeps a value of the worker's own (its positions) with the checkpoint, under a key that neither the coordinator nor another worker uses.
func (w *Worker) SetMetadata(key string, value []byte) error {
	writer, err := w.writer()
	if err != nil {
		return err
	}
	writer.SetMetadata(key, value)
	return nil
}

// writer reads HEAD if the worker was not given an assignment, and checks that the checkpoint can still be committed.
func (w *Worker) writer() (*Writer, error) {
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-w.ctx.Done():
		return nil, wrap(context.Cause(w.ctx), "join", w.job.name, w.id.Checkpoint)
	}
	if w.w != nil {
		return w.w, nil
	}
	if err := w.checkName(); err != nil {
		return nil, err
	}
	at, err := w.job.existing(w.ctx, "join")
	if err != nil {
		return nil, err
	}
	h := at.head
	switch last := h.Last.Checkpoint; {
	case h.Epoch > w.id.Epoch:
		return nil, w.fail(ErrFenced, fmt.Errorf("epoch %d is over: epoch %d has begun (%s)", w.id.Epoch, h.Epoch, h.Owner), "stop, and wait for the new owner's next checkpoint")
	case h.Epoch < w.id.Epoch:
		return nil, w.fail(ErrInvalid, fmt.Errorf("epoch %d has not begun, the job is at epoch %d", w.id.Epoch, h.Epoch), "workers of a one-shot save need its assignment")
	case last >= w.id.Checkpoint:
		return nil, w.fail(ErrConflict, fmt.Errorf("checkpoint %d was committed already", last), "wait for the next checkpoint")
	}
	var base *Checkpoint
	if r := newestBase(h); r != nil {
		base = w.job.checkpoint(h, r)
	}
	key, err := w.job.givenKey(w.ctx, h.Key)
	if err != nil {
		return nil, wrap(err, "join", w.job.name, w.id.Checkpoint)
	}
	w.begin(h.Fence, key, base)
	return w.w, nil
}

// Finish waits until everything that was added is in the store and returns the handle: bytes that any channel can carry to the coordinator, for its
// Writer.AddHandle. After an error the share does not exist; a new Worker has to be made.
//
// A crash before it returns leaves objects that nothing refers to, for Collect, and so does a handle that never arrives.
func (w *Worker) Finish(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })
	defer stop()
	writer, err := w.writer()
	if err != nil {
		return nil, err
	}
	if err := writer.end(); err != nil {
		return nil, err
	}
	defer w.cancel(errAborted)
	handle, err := w.handle(writer)
	if err != nil {
		writer.packs.abort()
		return nil, writer.wrap(err)
	}
	return handle, nil
}

func (w *Worker) handle(writer *Writer) ([]byte, error) {
	if embedded, err := writer.packs.finish(writer.ctx); err != nil {
		return nil, err
	} else if embedded != nil {
		return nil, errors.New("a worker's pack is embedded, and there is no manifest to hold it") // a mistake of this package's
	}
	if err := writer.packs.wait(writer.ctx); err != nil {
		return nil, err
	}
	m, err := writer.manifest()
	if err != nil {
		return nil, err
	}
	h := &format.Handle{
		Job: m.Job, Id: m.Id, Fence: writer.fence, Writer: w.name, Incarnation: w.incarnation,
		Objects: m.Objects, Metadata: m.Metadata, Stats: writer.stats(),
	}
	for i := range m.Parts.Len() {
		h.Parts = append(h.Parts, m.Parts.At(i))
	}
	if b := writer.base; b != nil {
		h.Base, h.BaseManifest = b.retained.Id, b.retained.ManifestNonce
	}
	return format.EncodeHandle(h, w.job.store.keyring.sealing(writer.key, newNonce(), m.Objects))
}

// Abort ends the share without a handle, at any time and from any goroutine. After Finish it does nothing, so it can be deferred.
func (w *Worker) Abort() error {
	w.cancel(errAborted)
	<-w.turn
	defer func() { w.turn <- struct{}{} }()
	if w.w == nil {
		return nil
	}
	return w.w.Abort()
}
