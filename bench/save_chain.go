package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// step is one save or restore of a chain.
type step struct {
	verb, name string
	about      string
	change     func(*dataset) error // before it
}

// chain is a state that is saved, restored and changed in turn by one contender after the other.
type chain struct {
	data  dataset
	steps []step
}

// touched is the share of pages that case B changes.
const touched = 0.01

func (o *SaveOptions) bulk() chain {
	pages := int(o.Size / bulkFiles / pageSize)
	size := fmt.Sprintf("%s in %d files of %s", mebibytes(int64(pages)*pageSize*bulkFiles), bulkFiles, mebibytes(int64(pages)*pageSize))
	return chain{dataset{seed: benchSeed, files: bulkFiles, pages: pages}, []step{
		{verb: VerbSave, name: "A", about: "first save of " + size},
		{verb: VerbRestore, name: "A", about: "restore of A into an empty directory"},
		{verb: VerbSave, name: "B", about: "saved again after 1 % of its pages of 4 KiB, chosen at random, changed in place",
			change: func(d *dataset) error { return d.touchPages(touched, 1) }},
		{verb: VerbRestore, name: "B", about: "restore of B into an empty directory"},
		{verb: VerbSave, name: "C", about: fmt.Sprintf("saved again after 3 of the %d files were replaced", bulkFiles),
			change: func(d *dataset) error { return d.replaceFiles(3, 2) }},
	}}
}

func (o *SaveOptions) many() chain {
	return chain{dataset{seed: benchSeed, files: o.manyFiles(), pages: 1, fan: 100}, []step{
		{verb: VerbSave, name: "D", about: fmt.Sprintf("first save of %d files of 4 KiB, 100 to a directory", o.manyFiles())},
		{verb: VerbRestore, name: "D", about: "restore of D into an empty directory"},
	}}
}

// saveCaseName is a case that can be asked for.
type saveCaseName struct{ verb, name string }

// allCases are those of the verbs that were asked for.
func (o *SaveOptions) allCases() []saveCaseName {
	var all []saveCaseName
	for _, c := range []chain{o.bulk(), o.many()} {
		for _, s := range c.steps {
			all = append(all, saveCaseName{s.verb, s.name})
		}
	}
	for _, st := range o.States {
		all = append(all, saveCaseName{VerbSave, statePrefix + st.Name})
	}
	all = append(all, growthCases...)
	return slices.DeleteFunc(all, func(c saveCaseName) bool { return !slices.Contains(o.Verbs, c.verb) })
}

// group is a part of the benchmark: it adds to the report what was asked for of its cases.
type group func(ctx context.Context, s *saveStage, cases []saveCaseName, r *SaveReport) error

func (s *saveStage) groups() []group {
	return []group{
		func(ctx context.Context, s *saveStage, cases []saveCaseName, r *SaveReport) error {
			return s.chain(ctx, s.bulk(), cases, r)
		},
		func(ctx context.Context, s *saveStage, cases []saveCaseName, r *SaveReport) error {
			return s.chain(ctx, s.many(), cases, r)
		},
		func(ctx context.Context, s *saveStage, cases []saveCaseName, r *SaveReport) error {
			return s.states(ctx, cases, r)
		},
		func(ctx context.Context, s *saveStage, cases []saveCaseName, r *SaveReport) error {
			return s.growth(ctx, cases, r)
		},
	}
}

// chain measures those of a chain's steps that were asked for, with every delay and every contender.
func (s *saveStage) chain(ctx context.Context, c chain, cases []saveCaseName, report *SaveReport) (err error) {
	wanted := func(t step) bool { return slices.Contains(cases, saveCaseName{t.verb, t.name}) }
	last := -1
	for i, t := range c.steps {
		if wanted(t) {
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	// A restore that nobody asked for is left out; a save is what the later ones start from.
	c.steps = slices.DeleteFunc(c.steps[:last+1], func(t step) bool { return t.verb == VerbRestore && !wanted(t) })
	c.data.dir = filepath.Join(s.dir, "state")
	create := sync.OnceValue(func() error {
		s.say("making the state: %d files, %s", c.data.files, mebibytes(c.data.bytes()))
		return c.data.create()
	})
	defer func() { err = errors.Join(err, os.RemoveAll(c.data.dir)) }()
	for _, delay := range s.Delays {
		name := ""
		for _, t := range c.steps {
			if wanted(t) {
				name += t.verb + "-" + t.name + "-"
			}
		}
		err := s.kept(report, name+delay.String(), func(part *SaveReport) error {
			if err := create(); err != nil {
				return err
			}
			results, err := s.rounds(ctx, &c, delay)
			if err != nil {
				return err
			}
			for i, t := range c.steps {
				if !wanted(t) {
					continue
				}
				sc := SaveCase{Verb: t.verb, Name: t.name, About: t.about, Delay: delay.Seconds(), Results: results[i]}
				sc.compare()
				part.Cases = append(part.Cases, sc)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rounds lets the contenders take turns at a chain. The results are by step, then in the order of the contenders.
func (s *saveStage) rounds(ctx context.Context, c *chain, delay time.Duration) ([][]SaveResult, error) {
	all := make([]map[string]*SaveResult, len(c.steps))
	for i := range all {
		all[i] = map[string]*SaveResult{}
	}
	spent := map[string]time.Duration{}
	for round := range s.Repeat {
		for _, saver := range turn(s.present, round) {
			first := c.steps[0]
			if spent[saver.Name] > patience || !saver.can(first.verb, first.name) && !saver.can(VerbRestore, first.name) {
				continue
			}
			began := time.Now()
			measures, err := s.playChain(ctx, c, saver, delay)
			spent[saver.Name] += time.Since(began)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			told := make([]string, 0, len(measures))
			for i, m := range measures {
				r := all[i][saver.Name]
				if r == nil {
					r = &SaveResult{Saver: saver.Name, Rounds: []Measure{}}
					all[i][saver.Name] = r
				}
				switch {
				case m != nil:
					r.Rounds = append(r.Rounds, *m)
					told = append(told, fmt.Sprintf("%s %s %.2f s", c.steps[i].verb, c.steps[i].name, m.Wall))
				case err != nil:
					r.Error = cmp.Or(r.Error, err.Error())
				}
			}
			if err != nil {
				told = append(told, "failed: "+shorten(err.Error()))
				spent[saver.Name] = patience + 1 // once is enough
			}
			s.say("%v, round %d, %s: %s", delay, round+1, saver.Name, strings.Join(told, ", "))
		}
	}
	results := make([][]SaveResult, len(c.steps))
	for i := range c.steps {
		results[i] = []SaveResult{}
		for _, saver := range s.present {
			if r := all[i][saver.Name]; r != nil && (len(r.Rounds) > 0 || r.Error != "") {
				results[i] = append(results[i], *r)
			}
		}
	}
	return results, nil
}

// playChain is one contender's turn. A step that it cannot do, or that was not reached, is nil.
func (s *saveStage) playChain(ctx context.Context, c *chain, saver *Saver, delay time.Duration) (measures []*Measure, err error) {
	measures = make([]*Measure, len(c.steps))
	t, err := s.sit(ctx, saver, delay)
	if err != nil {
		return measures, err
	}
	defer func() { err = errors.Join(err, t.leave(), c.data.revert()) }()
	for i, p := range c.steps {
		if p.change != nil {
			if err := p.change(&c.data); err != nil {
				return measures, err
			}
		}
		if !saver.can(p.verb, p.name) && p.verb == VerbRestore {
			continue
		}
		dir, check := c.data.dir, func() error { return nil }
		if p.verb == VerbRestore {
			dir = filepath.Join(s.dir, "restored")
			check = func() error { return errors.Join(sameTree(c.data.dir, dir), os.RemoveAll(dir)) }
			if err := os.Mkdir(dir, 0o755); err != nil {
				return measures, err
			}
		}
		m, err := t.do(ctx, p.verb, p.name, dir)
		if err := errors.Join(err, check()); err != nil {
			return measures, fmt.Errorf("%s %s: %w", p.verb, p.name, err)
		}
		if saver.can(p.verb, p.name) { // else it was saved for the sake of what follows
			measures[i] = &m
		}
	}
	return measures, nil
}

func mebibytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.3g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.3g MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.3g KiB", float64(n)/(1<<10))
}
