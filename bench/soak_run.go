package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/bench/soak"
)

// soakStage is where a soak is run.
type soakStage struct {
	SoakOptions
	soakTimes
	dir     string
	began   time.Time
	program string
	report  *SoakReport

	asking sync.Mutex // one order of the cloud at a time
	cloud  *process
	place  Place
	host   string // of the metadata server

	mu     sync.Mutex // of the report, and of what is below
	latest SoakWork   // of the process under test
	state  soak.CloudState
	killed SoakWork // of the processes that were killed
}

// tell has the cloud carry out an order.
func (s *soakStage) tell(o cloudOrder) (a cloudAnswer, err error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	if err := s.cloud.ask(o, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, fmt.Errorf("bench: the cloud: %s", a.Error)
	}
	return a, nil
}

// run plays the soak.
func (s *soakStage) run(ctx context.Context) (err error) {
	if s.program, err = os.Executable(); err != nil {
		return err
	}
	s.place = Place{Scratch: s.dir}
	if s.cloud, err = startRole(ctx, s.program, roleSoakCloud, cleanEnv(s.place, ""), s.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.cloud.stop()) }()
	opened, err := s.tell(cloudOrder{Do: soakOpen, Open: s.soakTimes.cloud})
	if err != nil {
		return err
	}
	s.plan.Store, s.host = opened.Store, opened.Metadata

	group := newMemoryGroup(s.Memory)
	defer func() { err = errors.Join(err, group.remove()) }()
	s.settings(group)
	plan := s.plan
	for _, kind := range killedKinds {
		plan.Others = append(plan.Others, kind+killedSuffix)
	}
	jobs, err := s.work(ctx, plan, soak.Plain(), group, slices.Concat(soak.Plain(), plan.Others)...)
	if err != nil {
		return err
	}
	var ready jobsEvent
	if err := jobs.out.Decode(&ready); err != nil {
		return errors.Join(fmt.Errorf("bench: the jobs cannot be created: %w", err), jobs.stop())
	}
	if _, err := s.tell(cloudOrder{Do: soakBreak}); err != nil {
		return errors.Join(err, jobs.stop())
	}
	s.began = time.Now()
	ended := make(chan jobsDone, 1)
	go func() { ended <- s.listen(jobs, group) }()

	period, over := context.WithTimeout(ctx, s.For)
	defer over()
	var beside sync.WaitGroup
	beside.Go(func() { s.watch(period) })
	beside.Go(func() { s.kill(period, ctx) })

	var done jobsDone
	early := false
	select {
	case done = <-ended:
		early = true
		over()
	case <-period.Done():
	}
	if ctx.Err() == nil {
		_, err = s.tell(cloudOrder{Do: soakHeal})
	}
	beside.Wait()
	if early {
		s.object(soak.Hang, "", "the process under test ended early: %s", orElse(done.Error, "it does not say why"))
	} else {
		if ctx.Err() == nil {
			err = errors.Join(err, jobs.orders.Encode(jobsOrder{Do: soakFinish}))
		} else {
			err = errors.Join(err, jobs.in.Close())
		}
		done = <-ended
	}
	_ = jobs.in.Close() // a second time, perhaps
	if waited := jobs.cmd.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("bench: the process under test: %w", waited), jobs.errors.err())
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && !early {
		return err
	}
	return s.conclude(done, group)
}

// work starts a process of jobs.
func (s *soakStage) work(ctx context.Context, plan soak.Plan, kinds []string, group *memoryGroup, create ...string) (*process, error) {
	plan.Kinds, plan.Dir = kinds, s.dir
	command := group.command(s.program)
	p, err := startRole(ctx, command[0], roleSoakJobs, append(cleanEnv(s.place, s.host), soakGoLimit), s.dir, command[1:]...)
	if err != nil {
		return nil, err
	}
	if err := p.orders.Encode(jobsOrder{Do: soakOpen, Plan: plan, New: create, Every: s.every}); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// listen takes what the process under test says until it is done or gone.
func (s *soakStage) listen(p *process, group *memoryGroup) jobsDone {
	for {
		var e jobsEvent
		if err := p.out.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("it is gone")
			}
			return jobsDone{Error: err.Error()}
		}
		switch {
		case e.Done != nil:
			return *e.Done
		case e.Violation != nil:
			s.violated(*e.Violation)
		case e.Sample != nil:
			e.Sample.At, e.Sample.Group = time.Since(s.began).Seconds(), group.usage()
			s.mu.Lock()
			s.latest, e.Sample.Work = *e.Sample.Work, nil
			s.report.Samples = append(s.report.Samples, *e.Sample)
			s.mu.Unlock()
		}
	}
}

func (s *soakStage) object(kind, job, format string, args ...any) {
	s.violated(soak.Violation{Kind: kind, Job: job, Detail: fmt.Sprintf(format, args...)})
}

func (s *soakStage) violated(v soak.Violation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Violations = append(s.report.Violations, v)
	_, _ = fmt.Fprintf(s.Progress, "BROKEN after %s: %s, job %s: %s\n", time.Since(s.began).Round(time.Second), v.Kind, v.Job, shorten(v.Detail)) // the report has it too
}

// watch samples the cloud and tells how it goes.
func (s *soakStage) watch(ctx context.Context) {
	samples, lines := time.NewTicker(s.every), time.NewTicker(progressEvery)
	defer samples.Stop()
	defer lines.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-samples.C:
			a, err := s.tell(cloudOrder{Do: soakState})
			if err != nil {
				continue // the next order says so, too
			}
			a.Sample.At = time.Since(s.began).Seconds()
			s.mu.Lock()
			s.state = a.State
			s.report.CloudSamples = append(s.report.CloudSamples, a.Sample)
			s.mu.Unlock()
		case <-lines.C:
			s.mu.Lock()
			s.progress()
			s.mu.Unlock()
		}
	}
}

// progress is called with mu held.
func (s *soakStage) progress() {
	var rss int64
	if n := len(s.report.Samples); n > 0 {
		rss = s.report.Samples[n-1].RSS
	}
	fired := int64(0)
	for _, n := range s.state.Fired {
		fired += n
	}
	line := fmt.Sprintf("%s of %s: %d checkpoints, %d restores compared, %d faults, %d owners, %d kills, %s resident, %d broken",
		time.Since(s.began).Round(time.Second), s.For, s.latest.Commits+s.killed.Commits, s.latest.Compared+s.killed.Compared, fired,
		s.latest.Owners+s.killed.Owners, s.report.Kills, mebibytes(rss), len(s.report.Violations))
	if s.state.Episode != "" {
		line += "; now: " + s.state.Episode
	}
	_, _ = fmt.Fprintln(s.Progress, line) // progress is not worth failing for
}

func (s *soakStage) settings(group *memoryGroup) {
	s.report.Settings = SoakSettings{
		Seconds: s.For.Seconds(), Seed: s.Seed, PaceSeconds: s.Pace.Seconds(), Memory: s.Memory, Group: group.String(), GoLimit: soakGoLimit,
		TokenSeconds: s.soakTimes.cloud.TokenLifetime.Seconds(), ReuseSeconds: s.soakTimes.cloud.ReuseUntil.Seconds(), Closing: s.soakTimes.cloud.Closing,
		Patience: s.plan.Patience.Seconds(), RetrySeconds: s.plan.RetryFor.Seconds(),
	}
}

// conclude gathers what came out.
func (s *soakStage) conclude(done jobsDone, group *memoryGroup) error {
	last, err := s.tell(cloudOrder{Do: soakState})
	if err != nil {
		return err
	}
	stored, err := s.tell(cloudOrder{Do: soakStored})
	if err != nil {
		return err
	}
	if done.Error != "" {
		s.object(soak.Kind, "", "the end of the jobs: %s", done.Error)
	}
	r := s.report
	r.Environment.LoadAfter = loadAverage()
	r.Cloud, r.Work, r.Killed = last.State, done.Work, s.killed
	if done.Work.Operations == nil {
		r.Work = s.latest
	}
	r.CPU, r.Peak, r.Left, r.GroupPeak = done.CPU, done.Peak, done.Left, group.peak()
	r.Audits = append(done.Audits, r.Audits...)
	left := maps.Clone(stored.Stored)
	for _, a := range r.Audits {
		if got := left[a.Job]; got.Live != a.Live || got.LiveBytes != a.LiveBytes {
			s.object(soak.Garbage, a.Job, "HEAD needs %d objects of %d bytes, and there are %d of %d bytes", a.Live, a.LiveBytes, got.Live, got.LiveBytes)
		}
		delete(left, a.Job)
	}
	for job, a := range left {
		s.object(soak.Garbage, job, "%d objects of %d bytes belong to no job that was looked at", a.Live, a.LiveBytes)
	}
	return nil
}

func writeSoakJSON(name string, r *SoakReport) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("bench: write the report: %w", err)
	}
	return errors.Join(json.NewEncoder(f).Encode(r), f.Close())
}
