package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The cases that grow.
const (
	growthPrefix   = "growth-"
	growthSize     = growthPrefix + "size"
	growthFiles    = growthPrefix + "files"
	growthHistory  = growthPrefix + "history"
	growthRetained = growthPrefix + "retained"
	growthWorkers  = growthPrefix + "workers"
)

var growthCases = []saveCaseName{{VerbSave, growthSize}, {VerbSave, growthFiles}, {VerbSave, growthHistory}, {VerbSave, growthRetained}, {VerbSave, growthWorkers}}

// growth draws the curves that were asked for.
func (s *saveStage) growth(ctx context.Context, cases []saveCaseName, r *SaveReport) error {
	for _, g := range []struct {
		name string
		draw func(context.Context) (Curve, error)
	}{{growthSize, s.growSize}, {growthFiles, s.growFiles}, {growthHistory, s.growHistory}, {growthRetained, s.growRetained}, {growthWorkers, s.growWorkers}} {
		if !slices.Contains(cases, saveCaseName{VerbSave, g.name}) {
			continue
		}
		err := s.kept(r, g.name, func(part *SaveReport) error {
			c, err := g.draw(ctx)
			part.Curves = append(part.Curves, c)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
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
