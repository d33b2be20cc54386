package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// historian is a [Session] that can make history.
type historian interface {
	// Own takes the job anew, to keep so many of its newest checkpoints, or all with 0.
	Own(ctx context.Context, keep int) error
	// Commit commits n checkpoints of a few bytes, and tags the first of them if tag says how.
	Commit(ctx context.Context, n int, tag string) error
	// Fill makes the job one that retains n checkpoints, of which only the newest ones were committed.
	Fill(ctx context.Context, n int) error
	// Latest finds the newest checkpoint and reads what it says of itself.
	Latest(ctx context.Context) error
}

// The orders to a historian.
const (
	verbOwn    = "own"
	verbCommit = "commit"
	verbFill   = "fill"
	verbLatest = "latest"
)

const (
	// historyKept is how many checkpoints a job of growth-history keeps, beside those that are tagged.
	historyKept = 10
	// historyTime is how long growth-history may take to get to its end, 100,000 commits: three times what it takes on two cores.
	historyTime = 6 * time.Minute
	// headLimit is the largest HEAD of format version 1.
	headLimit = 16 << 20
	// retainedMost is where growth-retained ends: close to the limit of HEAD.
	retainedMost = 160_000
	// historyStep is how many commits are ordered at once.
	historyStep = 100
)

// historySeats are a job that goes on and a reader that is new each time, in one bucket. ok is false without the contenders for it.
func (s *saveStage) historySeats(ctx context.Context, c *Curve, keep int) (job, reader *seat, ok bool, err error) {
	jobs, fresh := s.own(resident), s.own(subject)
	if len(jobs) == 0 || len(fresh) == 0 {
		c.Note = "not drawn: it needs " + resident + " and " + subject
		return nil, nil, false, nil
	}
	if job, err = s.sit(ctx, jobs[0], 0); err != nil {
		return nil, nil, false, err
	}
	if _, _, err := job.ask(order{Verb: verbOwn, Count: keep}); err != nil {
		return nil, nil, false, errors.Join(err, job.leave())
	}
	r := *job
	r.saver, r.job = fresh[0], nil
	r.place.Tools = s.toolsOf(fresh[0])
	return job, &r, true, nil
}

// growHistory commits more and more checkpoints, of which a job keeps the newest ten and a tagged one for each point of the curve.
func (s *saveStage) growHistory(ctx context.Context) (c Curve, err error) {
	c = Curve{Name: "history", X: "checkpoints", About: fmt.Sprintf("committed by one owner, the newest %d and a tagged one of each power of ten retained: "+
		"one more commit of a few bytes, and Latest with its metadata in a new process", historyKept)}
	job, reader, ok, err := s.historySeats(ctx, &c, historyKept)
	if err != nil || !ok {
		return c, err
	}
	defer func() { err = errors.Join(err, job.leave()) }()
	last, began := 10*s.manyFiles(), time.Now()
	for made, n, over := 0, 1, false; n <= last && !over; n *= 10 {
		tag := fmt.Sprintf("before-%d", n)
		for made < n-1 && !over {
			step := min(n-1-made, historyStep)
			if _, _, err := job.ask(order{Verb: verbCommit, Count: step, Tag: tag}); err != nil {
				return c, errors.Join(err, ctx.Err())
			}
			made, tag = made+step, ""
			over = time.Since(began) > historyTime
		}
		p, err := historyPoint(ctx, job, reader)
		if err != nil {
			return c, err
		}
		made++
		p.X, p.Label = float64(made), fmt.Sprint(made)
		c.Points = append(c.Points, p)
		if over && made < n {
			c.Note = fmt.Sprintf("it ends here: so many took %.0f s", time.Since(began).Seconds())
		}
		s.say("growth of the history: %d checkpoints after %.1f s", made, time.Since(began).Seconds())
	}
	return c, ctx.Err()
}

// growRetained keeps every checkpoint, so that HEAD grows.
func (s *saveStage) growRetained(ctx context.Context) (c Curve, err error) {
	c = Curve{Name: "retained", X: "retained", About: "checkpoints, none of them retired, so that HEAD grows by each (it is filled up with entries between the points, not by commits): " +
		"one more commit of a few bytes, which writes all of HEAD, and Latest with its metadata in a new process, which reads all of it"}
	job, reader, ok, err := s.historySeats(ctx, &c, 0)
	if err != nil || !ok {
		return c, err
	}
	defer func() { err = errors.Join(err, job.leave()) }()
	// 1, 3, 10, 30, as long as they are reached
	next := func(n int) int {
		if fmt.Sprint(n)[0] == '1' {
			return 3 * n
		}
		return n / 3 * 10
	}
	last := min(16*s.manyFiles(), retainedMost)
	for n := 1; ; n = min(next(n), last) {
		if n > 1 {
			if err := fill(ctx, job, reader, n-1); err != nil {
				return c, err
			}
		}
		p, err := historyPoint(ctx, job, reader)
		if err != nil {
			return c, err
		}
		p.X, p.Label = float64(n), fmt.Sprint(n)
		c.Points = append(c.Points, p)
		s.say("growth of the retained: %d checkpoints", n)
		if n == last {
			break
		}
	}
	// Latest reads HEAD and nothing else.
	a, b := c.Points[0], c.Points[len(c.Points)-1]
	each := float64(b.Series[1].Measure.Out-a.Series[1].Measure.Out) / (b.X - a.X)
	c.Note = fmt.Sprintf("HEAD takes %.0f bytes for each retained checkpoint, so that its limit of 16 MiB is at about %.0f", each, float64(headLimit)/each)
	return c, ctx.Err()
}

// fill leaves the job with n retained checkpoints, the last of which was committed. The owner's process does nothing that it does not do in life, so that its memory is that of a job.
func fill(ctx context.Context, job, reader *seat, n int) error {
	if _, err := reader.doLibrary(ctx, order{Saver: reader.saver.Name, Place: reader.place, Verb: verbFill, Count: n - 1}); err != nil {
		return err
	}
	for _, o := range []order{{Verb: verbOwn}, {Verb: verbCommit}} {
		if _, _, err := job.ask(o); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}

// historyPoint measures one more commit by the job, and the look of a new process at it.
func historyPoint(ctx context.Context, job, reader *seat) (p CurvePoint, err error) {
	m, err := job.do(ctx, verbCommit, growthHistory, "")
	if err != nil {
		return p, err
	}
	p.Series = append(p.Series, CurvedBy{"commit", m})
	if m, err = reader.do(ctx, verbLatest, growthHistory, ""); err != nil {
		return p, err
	}
	p.Series = append(p.Series, CurvedBy{"latest", m})
	return p, nil
}
