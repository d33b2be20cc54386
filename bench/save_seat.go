package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// seat is a contender with an empty store of its own.
type seat struct {
	stage    *saveStage
	saver    *Saver
	place    Place
	metadata string
	job      *process // of a contender that is resident
}

// sit gives a contender a new store with so much added to each request.
func (s *saveStage) sit(ctx context.Context, saver *Saver, delay time.Duration) (*seat, error) {
	if err := s.server.tell(serverOrder{Do: serverFresh, Memory: s.memory}, &s.cloud); err != nil {
		return nil, err
	}
	t, err := s.seatIn(ctx, saver, benchBucket)
	if err != nil {
		return nil, err
	}
	if err := s.server.tell(serverOrder{Do: serverDelay, Delay: delay}, nil); err != nil {
		return nil, errors.Join(err, t.leave())
	}
	return t, nil
}

// seatIn gives a contender a new bucket beside those of others, and prepares it.
func (s *saveStage) seatIn(ctx context.Context, saver *Saver, bucket string) (_ *seat, err error) {
	if err := s.server.tell(serverOrder{Do: serverBucket, Bucket: bucket}, nil); err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp(s.dir, "home-")
	if err != nil {
		return nil, err
	}
	t := &seat{stage: s, saver: saver, metadata: s.cloud.Metadata,
		place: Place{Storage: s.cloud.Storage, Bucket: bucket, Scratch: scratch, Tools: s.toolsOf(saver)}}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.leave())
		}
	}()
	if saver.Command != nil {
		if c := saver.Command(t.place, VerbPrepare, ""); len(c.Args) > 0 {
			cmd := t.program(ctx, c)
			if _, err := measured(cmd); err != nil {
				return nil, errors.Join(fmt.Errorf("%s %s: %w", filepath.Base(cmd.Path), VerbPrepare, err), cmd.Stderr.(*tail).err())
			}
		}
	}
	if saver.Prepare != nil {
		if _, err := t.doLibrary(ctx, order{Saver: saver.Name, Place: t.place, Verb: VerbPrepare}); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	if saver.Resident {
		return t, t.reside(ctx)
	}
	return t, nil
}

// reside starts a process that goes on until the contender leaves.
func (t *seat) reside(ctx context.Context) error {
	program, err := t.role()
	if err != nil {
		return err
	}
	if t.job, err = startRole(ctx, program, roleSaver, t.env(t.saver.Env), t.place.Scratch); err != nil {
		return err
	}
	_, _, err = t.ask(order{Verb: verbOpen})
	return err
}

// role is the program that plays the part of a library's process.
func (t *seat) role() (string, error) {
	if t.saver.Program != nil {
		return t.saver.Program(t.place.Tools), nil
	}
	return os.Executable()
}

func (t *seat) env(own []string) []string { return append(cleanEnv(t.place, t.metadata), own...) }

func (t *seat) program(ctx context.Context, c Command) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir = t.env(c.Env), cmp.Or(c.Dir, t.place.Scratch)
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	return cmd
}

// enough is how long one save or restore may take: some programs try for a quarter of an hour what cannot succeed.
const enough = 5 * time.Minute

// do measures one save or restore of dir.
func (t *seat) do(ctx context.Context, verb, name, dir string) (m Measure, err error) {
	if err := t.stage.server.tell(serverOrder{Do: serverReset}, nil); err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, enough, errors.New("it took more than "+enough.String()))
	defer cancel()
	o := order{Saver: t.saver.Name, Place: t.place, Verb: verb, Dir: dir, Profile: t.stage.profileOf(t.saver, verb, name)}
	switch {
	case t.job != nil:
		_, m, err = t.ask(o)
	case t.saver.Open != nil:
		m, err = t.doLibrary(ctx, o)
	default:
		cmd := t.program(ctx, t.saver.Command(t.place, verb, dir))
		var u usage
		if u, err = measured(cmd); err != nil {
			err = errors.Join(fmt.Errorf("%s %s: %w", filepath.Base(cmd.Path), verb, err), cmd.Stderr.(*tail).err())
		}
		m = Measure{Wall: u.wall, CPU: u.cpu, Peak: u.peak}
	}
	if err != nil {
		return m, err
	}
	var a serverAnswer
	if err := t.stage.server.tell(serverOrder{Do: serverCounts}, &a); err != nil {
		return m, err
	}
	m.counted(a)
	return m, nil
}

// doLibrary starts a process for one order.
func (t *seat) doLibrary(ctx context.Context, o order) (m Measure, err error) {
	program, err := t.role()
	if err != nil {
		return m, err
	}
	cmd := t.program(ctx, Command{Args: []string{program}, Env: append([]string{roleVariable + "=" + roleSaver}, t.saver.Env...)})
	line, err := json.Marshal(o)
	if err != nil {
		return m, err
	}
	var out bytes.Buffer
	said := new(tail)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(line), &out, said
	u, err := measured(cmd)
	if err != nil {
		return m, errors.Join(err, said.err())
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return m, errors.Join(fmt.Errorf("its answer: %w", err), said.err())
	}
	if a.Error != "" {
		return m, errors.New(a.Error)
	}
	m = Measure{Wall: u.wall, CPU: u.cpu, Peak: u.peak, Anon: a.Memory.Anon, Mapped: a.Memory.File, Outcome: a.Outcome}
	if a.Memory.Peak > 0 {
		m.Peak = a.Memory.Peak // it knows better than samples do
	}
	return m, nil
}

// ask has the contender's process carry out an order.
func (t *seat) ask(o order) (a answer, m Measure, err error) {
	o.Saver, o.Place = t.saver.Name, t.place
	began := time.Now()
	if err := t.job.ask(o, &a); err != nil {
		return a, m, err
	}
	m = Measure{Wall: time.Since(began).Seconds(), CPU: a.CPU, Peak: a.Memory.Peak, Anon: a.Memory.Anon, Mapped: a.Memory.File, Outcome: a.Outcome}
	if a.Error != "" {
		return a, m, errors.New(a.Error)
	}
	return a, m, nil
}

// leave ends what the contender has running, and removes what it kept.
func (t *seat) leave() error {
	var err error
	if t.job != nil {
		err = t.job.stop()
		t.job = nil
	}
	return errors.Join(err, os.RemoveAll(t.place.Scratch))
}
