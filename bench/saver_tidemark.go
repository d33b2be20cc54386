package bench

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// benchJob is the job that everything is saved as.
const benchJob = "bench"

func tidemarkSave() Saver {
	return Saver{
		Name:    subject,
		About:   "tidemark.Open and Store.Save, no options; a new process for each save, which knows nothing of the one before",
		Prepare: createJob,
		Open:    openPlain,
	}
}

// small is the name of the contender that the goals of memory are for.
const small = "tidemark-64"

func tidemarkSmall() Saver {
	return Saver{
		Name:    small,
		About:   "the same with GOMEMLIMIT 22 MiB, as docs/operations.md has it for a container of 64 MiB",
		Env:     []string{"GOMEMLIMIT=22MiB"}, // packs do not lie in the heap that it limits
		Prepare: createJob,
		Open:    openPlain,
	}
}

// trusting is the name of the contender that takes the same as a sign of an unchanged file as rclone and restic do.
const trusting = "tidemark-stat"

func tidemarkTrusting() Saver {
	return Saver{
		Name:    trusting,
		About:   "as tidemark, with every file declared Immutable: one of the same name, size, time and inode is not read again, which is how rclone and restic tell, too",
		Prepare: createJob,
		Open: func(ctx context.Context, p Place) (Session, error) {
			s, err := openTidemark(ctx, p, nil)
			if err == nil {
				s.trust = []checkpoint.PartOption{checkpoint.Immutable("**")}
			}
			return s, err
		},
	}
}

// resident is the name of the contender that the goals of requests are for.
const resident = "tidemark-job"

func tidemarkJob() Saver {
	return Saver{
		Name:     resident,
		About:    "Store.Acquire once, then Begin, AddDir, Commit for each checkpoint in a process that goes on, as a job does; the figures are those of the save alone",
		Resident: true,
		Open: func(ctx context.Context, p Place) (Session, error) {
			// HEAD may be written once a second in life; here saves follow each other sooner than a job's would.
			s, err := openTidemark(ctx, p, &checkpoint.Options{HeadInterval: -1})
			if err != nil {
				return nil, err
			}
			if s.owner, err = s.store.Acquire(ctx, benchJob, nil); err != nil {
				return nil, errors.Join(err, s.Close())
			}
			return s, nil
		},
	}
}

func openPlain(ctx context.Context, p Place) (Session, error) { return openTidemark(ctx, p, nil) }

// createJob is to tidemark what init is to restic: it tries out the store and creates the job, once for all saves.
func createJob(ctx context.Context, p Place) error {
	s, err := openTidemark(ctx, p, nil)
	if err != nil {
		return err
	}
	owner, err := s.store.Acquire(ctx, benchJob, nil)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(owner.Close(), s.Close())
}

func openTidemark(ctx context.Context, p Place, o *checkpoint.Options) (*tidemarkSession, error) {
	u := url.URL{Scheme: "gs", Host: p.Bucket, Path: "/state", RawQuery: url.Values{"endpoint": {p.Storage}}.Encode()}
	opts := new(tidemark.Options)
	if o != nil {
		opts.Options = *o
	}
	store, err := tidemark.Open(ctx, u.String(), opts)
	if err != nil {
		return nil, err
	}
	return &tidemarkSession{store: store, storage: p.Storage}, nil
}

type tidemarkSession struct {
	store   *tidemark.Store
	owner   *checkpoint.Owner // nil: one-shot saves
	trust   []checkpoint.PartOption
	storage string // address of the store

	begun *checkpoint.Writer // between BeginShares and Gather
}

func (s *tidemarkSession) Save(ctx context.Context, dir string) (Outcome, error) {
	// What the names of the states mean. Cases A to D have no such files.
	fill := func(w *checkpoint.Writer) error {
		return w.AddDir("", dir, append([]checkpoint.PartOption{checkpoint.Immutable("**.sst"), checkpoint.Content("**.dump")}, s.trust...)...)
	}
	if s.owner == nil {
		info, err := s.store.Save(ctx, benchJob, fill, nil)
		return outcomeOf(info), err
	}
	w, err := s.owner.Begin(ctx, nil)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = w.Abort() }() // after Commit it does nothing
	if err := fill(w); err != nil {
		return Outcome{}, err
	}
	info, err := w.Commit(ctx)
	return outcomeOf(info), err
}

func outcomeOf(i checkpoint.Info) Outcome {
	return Outcome{Bytes: i.Bytes, NewBytes: i.NewBytes, StoredBytes: i.StoredBytes}
}

func (s *tidemarkSession) Restore(ctx context.Context, dir string) (Outcome, error) {
	job, err := s.store.Job(benchJob)
	if err != nil {
		return Outcome{}, err
	}
	last, err := job.Latest(ctx)
	if err != nil {
		return Outcome{}, err
	}
	report, err := last.RestoreDir(ctx, "", dir, nil)
	return Outcome{Bytes: report.Bytes}, err
}

func (s *tidemarkSession) Own(ctx context.Context, keep int) error {
	owner, err := s.store.Acquire(ctx, benchJob, &checkpoint.AcquireOptions{Retention: checkpoint.Retention{KeepLast: keep}})
	if err != nil {
		return err
	}
	if s.owner != nil {
		err = s.owner.Close()
	}
	s.owner = owner
	return err
}

// Commit commits checkpoints that hold a position and nothing else.
func (s *tidemarkSession) Commit(ctx context.Context, n int, tag string) error {
	for i := range n {
		o := checkpoint.BeginOptions{Tag: tag}
		tag = ""
		w, err := s.owner.Begin(ctx, &o)
		if err != nil {
			return err
		}
		w.SetMetadata("offset", strconv.AppendInt(nil, int64(i), 10))
		if err := w.Add("window", strings.NewReader("a few bytes of state")); err != nil {
			return errors.Join(err, w.Abort())
		}
		if _, err := w.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *tidemarkSession) BeginShares(ctx context.Context) (assignment []byte, err error) {
	if s.begun, err = s.owner.Begin(ctx, nil); err != nil {
		return nil, err
	}
	if assignment, err = s.begun.Assignment(); err != nil {
		return nil, errors.Join(err, s.begun.Abort())
	}
	return assignment, nil
}

func (s *tidemarkSession) Share(ctx context.Context, assignment []byte, name, dir string) ([]byte, error) {
	job, err := s.store.Job(benchJob)
	if err != nil {
		return nil, err
	}
	w, err := job.Join(ctx, assignment, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Abort() }() // after Finish it does nothing
	if err := w.AddDir(name, dir); err != nil {
		return nil, err
	}
	return w.Finish(ctx)
}

func (s *tidemarkSession) Gather(ctx context.Context, handles [][]byte) (Outcome, error) {
	defer func() { _ = s.begun.Abort() }() // after Commit it does nothing
	for _, h := range handles {
		if _, err := s.begun.AddHandle(h); err != nil {
			return Outcome{}, err
		}
	}
	info, err := s.begun.Commit(ctx)
	return outcomeOf(info), err
}

func (s *tidemarkSession) Latest(ctx context.Context) error {
	job, err := s.store.Job(benchJob)
	if err != nil {
		return err
	}
	last, err := job.Latest(ctx)
	if err != nil {
		return err
	}
	_, err = last.Metadata(ctx)
	return err
}

func (s *tidemarkSession) Close() error {
	var err error
	if s.owner != nil {
		err = s.owner.Close()
	}
	return errors.Join(err, s.store.Close())
}

// idle does nothing: what starting a process costs.
func idle() Saver {
	return Saver{
		Name:  "idle",
		About: "bound: the process of a Go library's contender that starts, gets its order and ends",
		Open:  func(context.Context, Place) (Session, error) { return idleSession{}, nil },
		Verbs: []string{VerbSave},
		Skip:  func(_, name string) bool { return name != "A" && name != "D" },
	}
}

type idleSession struct{}

func (idleSession) Save(context.Context, string) (Outcome, error)    { return Outcome{}, nil }
func (idleSession) Restore(context.Context, string) (Outcome, error) { return Outcome{}, nil }
func (idleSession) Close() error                                     { return nil }
