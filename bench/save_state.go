package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// State is a kind of state that a job may have, kept by a program. bench/peers brings them.
type State struct {
	Name  string // short; its case is state-NAME
	About string

	// Find says whether it can be had here, as that of [Saver] does.
	Find func(ctx context.Context, dir string) (version string, err error)
	// Command makes the state below dir (round 0) of about so many bytes, or changes 1 % of its rows: clustered or uniform. Each time it leaves a new copy of
	// the state in dir/snapshot.
	Command func(tools, dir string, round int, updates string, size int64) Command
}

const (
	statePrefix = "state-"
	// stateRounds is how often a state changes by clustered updates, and how often by uniform ones after that.
	stateRounds = 3
)

// stateSize is that of a state of a kind: 192 MiB by default.
func (o *SaveOptions) stateSize() int64 { return o.Size * 3 / 16 }

// states measures the kinds of state that were asked for: how much of one is sent again when 1 % of its rows have changed.
func (s *saveStage) states(ctx context.Context, cases []saveCaseName, r *SaveReport) error {
	for i := range s.States {
		st := &s.States[i]
		if !slices.Contains(cases, saveCaseName{VerbSave, statePrefix + st.Name}) {
			continue
		}
		err := s.kept(r, statePrefix+st.Name, func(part *SaveReport) error {
			version, done, err := s.findState(ctx, st)
			switch {
			case ctx.Err() != nil:
				return errors.Join(ctx.Err(), err)
			case err != nil:
				part.Absent = append(part.Absent, SaverAbout{Name: statePrefix + st.Name, About: st.About, Version: version, Absent: err.Error()})
			default:
				part.Cases = done
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findState measures a kind of state if it can be had.
func (s *saveStage) findState(ctx context.Context, st *State) (version string, cases []SaveCase, err error) {
	tools := filepath.Join(s.dir, "tools", "states")
	if err := os.MkdirAll(tools, 0o755); err != nil {
		return "", nil, err
	}
	if st.Find != nil {
		if version, err = st.Find(ctx, tools); err != nil {
			return version, nil, err
		}
	}
	cases, err = s.state(ctx, st, tools)
	return version, cases, err
}

// state lets every contender save each snapshot of one state, into a bucket of its own.
func (s *saveStage) state(ctx context.Context, st *State, tools string) (cases []SaveCase, err error) {
	if err := s.server.tell(serverOrder{Do: serverFresh, Memory: s.memory}, &s.cloud); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, "state")
	var seats []*seat
	defer func() {
		for _, t := range seats {
			err = errors.Join(err, t.leave())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for _, saver := range s.present {
		if !saver.can(VerbSave, statePrefix+st.Name) {
			continue
		}
		t, err := s.seatIn(ctx, saver, fmt.Sprintf("%s-%d", benchBucket, len(seats)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", saver.Name, err)
		}
		seats = append(seats, t)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	round := 0
	for _, updates := range []string{"first", "clustered", "uniform"} {
		rounds := stateRounds
		if updates == "first" || s.Quick {
			rounds = 1
		}
		c := SaveCase{Verb: VerbSave, Name: statePrefix + st.Name + "-" + updates, About: st.About + "; saved again after 1 % of its rows changed, " + updates}
		if updates == "first" {
			c.Name, c.About = statePrefix+st.Name, st.About+"; first save"
		}
		results := make([]SaveResult, len(seats))
		for range rounds {
			if err := s.keepState(ctx, st, tools, dir, round, updates); err != nil {
				return nil, err
			}
			snapshot := filepath.Join(dir, "snapshot")
			if c.Bytes, err = treeSize(snapshot); err != nil {
				return nil, err
			}
			for _, i := range turn(indices(len(seats)), round) {
				results[i].Saver = seats[i].saver.Name
				m, err := seats[i].do(ctx, VerbSave, statePrefix+st.Name, snapshot)
				if err != nil {
					results[i].Error = err.Error()
					continue
				}
				results[i].Rounds = append(results[i].Rounds, m)
			}
			s.say("%s, round %d (%s), %s", st.Name, round, updates, mebibytes(c.Bytes))
			round++
		}
		c.Results = results
		cases = append(cases, c)
	}
	for i, t := range seats {
		if err := s.stateReturns(ctx, t, st, filepath.Join(dir, "snapshot")); err != nil {
			disqualify(cases, i, err)
		}
	}
	for i := range cases {
		cases[i].compare()
	}
	return cases, ctx.Err()
}

// stateReturns restores what a contender saved last, and compares it byte by byte. Nothing of it is measured.
func (s *saveStage) stateReturns(ctx context.Context, t *seat, st *State, snapshot string) (err error) {
	if !t.saver.can(VerbRestore, statePrefix+st.Name) {
		return nil
	}
	dir := filepath.Join(s.dir, "restored")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := t.do(ctx, VerbRestore, statePrefix+st.Name, dir); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return sameTree(snapshot, dir)
}

// disqualify takes the figures from a contender whose saves cannot be restored.
func disqualify(cases []SaveCase, i int, why error) {
	for k := range cases {
		r := &cases[k].Results[i]
		r.Rounds, r.Error = []Measure{}, cmp.Or(r.Error, why.Error())
	}
}

// keepState runs the state's program.
func (s *saveStage) keepState(ctx context.Context, st *State, tools, dir string, round int, updates string) error {
	c := st.Command(tools, dir, round, updates, s.stateSize())
	t := &seat{stage: s, place: Place{Scratch: dir}}
	cmd := t.program(ctx, c)
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("keep state %s: %w", st.Name, err), cmd.Stderr.(*tail).err())
	}
	return nil
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func treeSize(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
