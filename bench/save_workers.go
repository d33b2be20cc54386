package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// crew is a [Session] that can save a checkpoint together with others: one of them begins and gathers, each of the rest has a share.
type crew interface {
	// BeginShares begins a checkpoint and returns what its workers need to know.
	BeginShares(ctx context.Context) (assignment []byte, err error)
	// Share saves a directory as a worker's share, below a prefix that is its name too, and returns its handle.
	Share(ctx context.Context, assignment []byte, name, dir string) (handle []byte, err error)
	// Gather commits what was begun, with these shares.
	Gather(ctx context.Context, handles [][]byte) (Outcome, error)
}

// The orders to a crew.
const (
	verbBegin  = "begin"
	verbShare  = "share"
	verbGather = "gather"
)

// shares is what an order to a crew says beside its verb.
type shares struct {
	Assignment []byte   `json:"assignment,omitempty"`
	Name       string   `json:"name,omitempty"`
	Handles    [][]byte `json:"handles,omitempty"`
}

func carryOutShares(ctx context.Context, c crew, o order, a *answer) (err error) {
	switch o.Verb {
	case verbBegin:
		a.Handle, err = c.BeginShares(ctx)
	case verbShare:
		a.Handle, err = c.Share(ctx, o.Shares.Assignment, o.Shares.Name, o.Dir)
	default:
		a.Outcome, err = c.Gather(ctx, o.Shares.Handles)
	}
	return err
}

// maxWorkers is where growth-workers ends.
const maxWorkers = 16

// growWorkers divides a state among more and more workers, each a process that has been running for a while, as those of a job have.
func (s *saveStage) growWorkers(ctx context.Context) (Curve, error) {
	pages := int(max(1, s.Size/4/bulkFiles/pageSize))
	c := Curve{Name: "workers", X: "workers", About: fmt.Sprintf("%s in %d files divided among workers in processes of their own. shares: all of them save at once, "+
		"a first time and after 1 %% of the pages changed; commit: the coordinator takes their handles and commits. CPU is that of all processes, the peak that of the largest",
		mebibytes(int64(bulkFiles*pages)*pageSize), bulkFiles)}
	jobs, fresh := s.own(resident), s.own(subject)
	if len(jobs) == 0 || len(fresh) == 0 {
		c.Note = "not drawn: it needs " + resident + " and " + subject
		return c, nil
	}
	for n := 1; n <= maxWorkers; n *= 2 {
		d := dataset{dir: filepath.Join(s.dir, "state"), seed: benchSeed, files: bulkFiles, pages: pages, fan: bulkFiles / n}
		p, err := s.crewPoint(ctx, &d, jobs[0], fresh[0], n)
		if err != nil {
			return c, fmt.Errorf("%d workers: %w", n, err)
		}
		c.Points = append(c.Points, p)
		s.say("growth: %d workers", n)
	}
	return c, ctx.Err()
}

// crewPoint measures two checkpoints by n workers, and sees that the second one restores.
func (s *saveStage) crewPoint(ctx context.Context, d *dataset, job, fresh *Saver, n int) (p CurvePoint, err error) {
	if err := d.create(); err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	coordinator, err := s.sit(ctx, job, 0)
	if err != nil {
		return p, err
	}
	workers := make([]*seat, 0, n)
	defer func() {
		for _, w := range append(workers, coordinator) {
			err = errors.Join(err, w.leave())
		}
	}()
	for range n {
		w, err := coordinator.beside(ctx, fresh)
		if err != nil {
			return p, err
		}
		workers = append(workers, w)
	}
	p = CurvePoint{X: float64(n), Label: fmt.Sprint(n)}
	for _, name := range []string{"first", "again"} {
		share, commit, err := coordinator.together(ctx, workers, d.dir)
		if err != nil {
			return p, err
		}
		p.Series = append(p.Series, CurvedBy{name + ", shares", share}, CurvedBy{name + ", commit", commit})
		if name == "first" {
			if err := d.touchPages(touched, 1); err != nil {
				return p, err
			}
		}
	}
	return p, workers[0].returns(ctx, d)
}

// beside starts a process of another contender that works in the same bucket, without preparing it.
func (t *seat) beside(ctx context.Context, saver *Saver) (_ *seat, err error) {
	w := &seat{stage: t.stage, saver: saver, metadata: t.metadata, place: t.place}
	w.place.Tools = t.stage.toolsOf(saver)
	if w.place.Scratch, err = os.MkdirTemp(t.stage.dir, "home-"); err != nil {
		return nil, err
	}
	if err := w.reside(ctx); err != nil {
		return nil, errors.Join(err, w.leave())
	}
	return w, nil
}

// together has the workers save a directory's subdirectories, one each, and commits. The store's counts are those of each half.
func (t *seat) together(ctx context.Context, workers []*seat, dir string) (share, commit Measure, err error) {
	server := t.stage.server
	if err := server.tell(serverOrder{Do: serverReset}, nil); err != nil {
		return share, commit, err
	}
	began := time.Now()
	opened, share, err := t.ask(order{Verb: verbBegin})
	if err != nil {
		return share, commit, err
	}
	handles, measures := make([][]byte, len(workers)), make([]Measure, len(workers))
	var g errgroup.Group
	for i, w := range workers {
		g.Go(func() error {
			name := fmt.Sprintf("part-%04d", i)
			a, m, err := w.ask(order{Verb: verbShare, Dir: filepath.Join(dir, name), Shares: &shares{Assignment: opened.Handle, Name: name}})
			handles[i], measures[i] = a.Handle, m
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return share, commit, errors.Join(err, ctx.Err())
	}
	share.Wall = time.Since(began).Seconds()
	for i, m := range measures {
		share.add(m)
		share.Handles += int64(len(handles[i]))
	}
	var counted serverAnswer
	if err := server.tell(serverOrder{Do: serverCounts}, &counted); err != nil {
		return share, commit, err
	}
	share.counted(counted)
	if err := server.tell(serverOrder{Do: serverReset}, nil); err != nil {
		return share, commit, err
	}
	if _, commit, err = t.ask(order{Verb: verbGather, Shares: &shares{Handles: handles}}); err != nil {
		return share, commit, err
	}
	counted = serverAnswer{}
	err = server.tell(serverOrder{Do: serverCounts}, &counted)
	commit.counted(counted)
	return share, commit, err
}

// add takes in what another process used meanwhile.
func (m *Measure) add(o Measure) {
	m.CPU = cpu{m.CPU.User + o.CPU.User, m.CPU.System + o.CPU.System}
	m.Peak, m.Anon, m.Mapped = max(m.Peak, o.Peak), max(m.Anon, o.Anon), max(m.Mapped, o.Mapped)
}

// returns restores what was saved last and compares it byte by byte.
func (t *seat) returns(ctx context.Context, d *dataset) (err error) {
	dir := filepath.Join(t.stage.dir, "restored")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := t.do(ctx, VerbRestore, "", dir); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return sameTree(d.dir, dir)
}
