package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The cases that grow.
const (
	growthSize    = "growth-size"
	growthFiles   = "growth-files"
	growthHistory = "growth-history"
)

var growthCases = []saveCaseName{{VerbSave, growthSize}, {VerbSave, growthFiles}, {VerbSave, growthHistory}}

// historyTime is how long checkpoints are committed for the history to grow. Where it ends, the curve ends, and says so.
const historyTime = 60 * time.Second

// growth draws the curves that were asked for.
func (s *saveStage) growth(ctx context.Context, cases []saveCaseName, r *SaveReport) error {
	for _, g := range []struct {
		name string
		draw func(context.Context) (Curve, error)
	}{{growthSize, s.growSize}, {growthFiles, s.growFiles}, {growthHistory, s.growHistory}} {
		if !slices.Contains(cases, saveCaseName{VerbSave, g.name}) {
			continue
		}
		c, err := g.draw(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		r.Curves = append(r.Curves, c)
	}
	return nil
}

// own are this project's contenders of these names, as far as they are measured.
func (s *saveStage) own(names ...string) []*Saver {
	var own []*Saver
	for _, c := range s.present {
		if slices.Contains(names, c.Name) {
			own = append(own, c)
		}
	}
	return own
}

// growSize saves more and more state, up to four times that of case A.
func (s *saveStage) growSize(ctx context.Context) (Curve, error) {
	c := Curve{Name: "size", X: "state", Bytes: true,
		About: fmt.Sprintf("a first save of state in %d files, and one after 1 %% of its pages changed", bulkFiles)}
	for size := max(s.Size/1024, bulkFiles*pageSize); size <= 4*s.Size; size *= 4 {
		d := dataset{seed: benchSeed, files: bulkFiles, pages: int(size / bulkFiles / pageSize)}
		p, err := s.grown(ctx, d, s.own(subject, small), []step{
			{verb: VerbSave, name: "first"},
			{verb: VerbSave, name: "again", change: func(d *dataset) error { return d.touchPages(touched, 1) }},
		})
		if err != nil {
			return c, err
		}
		p.X, p.Label = float64(size), mebibytes(size)
		c.Points = append(c.Points, p)
	}
	return c, nil
}

// growFiles saves more and more small files, up to ten times those of case D.
func (s *saveStage) growFiles(ctx context.Context) (Curve, error) {
	c := Curve{Name: "files", X: "files", About: "files of 4 KiB, 100 to a directory: a first save, one in which nothing has changed, and a restore"}
	for n := 1; n <= 10*s.manyFiles(); n *= 10 {
		d := dataset{seed: benchSeed, files: n, pages: 1, fan: 100}
		p, err := s.grown(ctx, d, s.own(subject), []step{
			{verb: VerbSave, name: "first"}, {verb: VerbSave, name: "again"}, {verb: VerbRestore, name: "again"},
		})
		if err != nil {
			return c, err
		}
		p.X, p.Label = float64(n), fmt.Sprint(n)
		c.Points = append(c.Points, p)
	}
	return c, nil
}

// grown makes a state and measures the steps with it.
func (s *saveStage) grown(ctx context.Context, d dataset, savers []*Saver, steps []step) (p CurvePoint, err error) {
	d.dir = filepath.Join(s.dir, "state")
	if err := d.create(); err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	c := chain{d, steps}
	for _, saver := range savers {
		measures, err := s.playChain(ctx, &c, saver, 0)
		if err != nil {
			return p, fmt.Errorf("%s: %w", saver.Name, err)
		}
		for i, m := range measures {
			p.Series = append(p.Series, CurvedBy{fmt.Sprintf("%s, %s %s", saver.Name, steps[i].verb, steps[i].name), *m})
		}
	}
	s.say("growth: %s in %d files", mebibytes(d.bytes()), d.files)
	return p, nil
}

// historian is a [Session] that can make history.
type historian interface {
	// Commit commits n checkpoints of a few bytes.
	Commit(ctx context.Context, n int) error
	// Latest finds the newest checkpoint and reads what it says of itself.
	Latest(ctx context.Context) error
}

// The orders to a historian.
const (
	verbCommit = "commit"
	verbLatest = "latest"
)

// growHistory commits more and more checkpoints, all of them retained, and measures one more commit and the reading of the latest by a new process.
func (s *saveStage) growHistory(ctx context.Context) (c Curve, err error) {
	c = Curve{Name: "history", X: "checkpoints", About: "all checkpoints retained: one more commit of a few bytes by the job's owner, and Latest with its metadata in a new process"}
	jobs, fresh := s.own(resident), s.own(subject)
	if len(jobs) == 0 || len(fresh) == 0 {
		c.Note = "not drawn: it needs " + resident + " and " + subject
		return c, nil
	}
	t, err := s.sit(ctx, jobs[0], 0)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, t.leave()) }()
	reader := *t
	reader.saver, reader.job = fresh[0], nil
	reader.place.Tools = s.toolsOf(fresh[0])
	last := 10 * s.manyFiles()
	began := time.Now()
	for made, n := 0, 1; n <= last; n *= 10 {
		for made < n-1 && ctx.Err() == nil {
			if time.Since(began) > historyTime {
				c.Note = fmt.Sprintf("it ends here: %d checkpoints took %.0f s", made, time.Since(began).Seconds())
				return c, nil
			}
			step := min(n-1-made, 100)
			if _, err := t.doResident(order{Saver: jobs[0].Name, Verb: verbCommit, Count: step}); err != nil {
				return c, err
			}
			made += step
		}
		p := CurvePoint{X: float64(n), Label: fmt.Sprint(n)}
		m, err := t.do(ctx, verbCommit, growthHistory, "")
		if err != nil {
			return c, err
		}
		made++
		p.Series = append(p.Series, CurvedBy{"commit", m})
		if m, err = reader.do(ctx, verbLatest, growthHistory, ""); err != nil {
			return c, err
		}
		p.Series = append(p.Series, CurvedBy{"latest", m})
		c.Points = append(c.Points, p)
		s.say("growth: %d checkpoints", n)
	}
	return c, ctx.Err()
}
