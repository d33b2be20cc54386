package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/tidemark-go/tidemark/bench/soak"
)

// killedKinds are the jobs that live in processes which are killed, and killedSuffix ends their names.
// The one that is encrypted is here: it needs a store of its own, and the process under test has one, as it should.
var killedKinds = []string{soak.KindFiles, soak.KindStreams, soak.KindWorkers, soak.KindSealed}

const killedSuffix = "-killed"

// kill runs jobs in a process that is killed again and again, until period ends; then a last one looks at everything. What was acknowledged is remembered
// here, since the processes do not live to do it.
func (s *soakStage) kill(period, ctx context.Context) {
	referee := new(soak.Referee)
	for {
		after := s.plan.Life/4 + rand.N(s.plan.Life)
		life, cancel := context.WithTimeout(period, after)
		killed, err := s.killedLife(life, ctx, period, referee)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.object(soak.Hang, killedSuffix, "a process of jobs that are killed: %v", err)
		}
		if !killed || ctx.Err() != nil {
			return
		}
	}
}

// killedLife is one such process. At the end of life it is killed, unless the whole period is over: then it has its last look.
func (s *soakStage) killedLife(life, ctx, period context.Context, referee *soak.Referee) (killed bool, err error) {
	plan := s.plan
	plan.Suffix, plan.Alone = killedSuffix, true
	plan.Known = nil
	for _, kind := range killedKinds {
		plan.Known = append(plan.Known, referee.History(kind+killedSuffix)...)
	}
	p, err := s.work(ctx, plan, killedKinds, nil)
	if err != nil {
		return false, err
	}
	type end struct {
		done *jobsDone
		work SoakWork
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		var e end
		e.done, e.work, e.err = s.remember(p, referee)
		ended <- e
	}()
	var e end
	select {
	case e = <-ended:
		e.err = errors.Join(fmt.Errorf("it ended early: %w", e.err), p.errors.err())
	case <-life.Done():
		if killed = period.Err() == nil; killed {
			_ = p.cmd.Process.Kill() // it is there: nobody has waited for it
		} else if err := p.orders.Encode(jobsOrder{Do: soakFinish}); err != nil {
			_ = p.cmd.Process.Kill()
		}
		e = <-ended
	}
	_ = p.in.Close()
	waited := p.cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if killed {
		s.report.Kills++
		s.killed.add(e.work)
		return true, nil
	}
	if e.done == nil {
		return false, errors.Join(e.err, waited)
	}
	s.killed.add(e.done.Work)
	s.report.Audits = append(s.report.Audits, e.done.Audits...)
	if e.done.Error != "" {
		return false, errors.New(e.done.Error)
	}
	return false, waited
}

// remember takes what such a process says until it is done or gone.
func (s *soakStage) remember(p *process, referee *soak.Referee) (*jobsDone, SoakWork, error) {
	var work SoakWork
	began := time.Now()
	for {
		var e jobsEvent
		if err := p.out.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("gone after %s", time.Since(began).Round(time.Millisecond))
			}
			return nil, work, err
		}
		switch {
		case e.Done != nil:
			return e.Done, work, nil
		case e.Note != nil:
			referee.Replay(*e.Note)
		case e.Violation != nil:
			s.violated(*e.Violation)
		case e.Sample != nil && e.Sample.Work != nil:
			work = *e.Sample.Work
		}
	}
}
