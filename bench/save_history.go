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
	// Latest finds the newest checkpoint and reads what it says of itself.
	Latest(ctx context.Context) error
}

// The orders to a historian.
const (
	verbOwn    = "own"
	verbCommit = "commit"
	verbLatest = "latest"
)

const (
	// historyKept is how many checkpoints a job of growth-history keeps, beside those that are tagged.
	historyKept = 10
	// historyTime is how long growth-history may take to get to its end, 100,000 commits: three times what it takes on two cores.
	historyTime = 6 * time.Minute
	// retainedTime is how long growth-retained goes on: each of its commits writes all of HEAD, so that its limit of 16 MiB is hours away.
	retainedTime = time.Minute
	// headLimit is the largest HEAD of format version 1.
	headLimit = 16 << 20
	// historyStep is how many commits are ordered at once.
	historyStep = 100
)

// growHistory commits more and more checkpoints, of which a job keeps the newest ten and a tagged one for each point of the curve.
func (s *saveStage) growHistory(ctx context.Context) (Curve, error) {
	c := Curve{Name: "history", X: "checkpoints", About: fmt.Sprintf("committed by one owner, the newest %d and a tagged one of each power of ten retained: "+
		"one more commit of a few bytes, and Latest with its metadata in a new process", historyKept)}
	return s.makeHistory(ctx, c, historyKept, historyTime, func(n int) int { return 10 * n })
}

// growRetained keeps every checkpoint, so that HEAD grows.
func (s *saveStage) growRetained(ctx context.Context) (Curve, error) {
	c := Curve{Name: "retained", X: "retained", About: "checkpoints, none of them retired, so that HEAD grows by each: " +
		"one more commit of a few bytes, which writes all of HEAD, and Latest with its metadata in a new process, which reads all of it"}
	// 1, 3, 10, 30: the end is somewhere on the way to the next power.
	c, err := s.makeHistory(ctx, c, 0, retainedTime, func(n int) int {
		if fmt.Sprint(n)[0] == '1' {
			return 3 * n
		}
		return n / 3 * 10
	})
	if n := len(c.Points); err == nil && n > 1 {
		// Latest reads HEAD and nothing else.
		a, b := c.Points[0], c.Points[n-1]
		each := float64(b.Series[1].Measure.Out-a.Series[1].Measure.Out) / (b.X - a.X)
		c.Note = joined(c.Note, fmt.Sprintf("HEAD takes %.0f bytes for each retained checkpoint, so that its limit of 16 MiB is at about %.0f", each, float64(headLimit)/each))
	}
	return c, err
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + ". " + b
}

// makeHistory commits until as many checkpoints as case D has files, ten times, are made, or the time is over.
func (s *saveStage) makeHistory(ctx context.Context, c Curve, keep int, atMost time.Duration, next func(int) int) (_ Curve, err error) {
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
	if _, _, err := t.ask(order{Verb: verbOwn, Count: keep}); err != nil {
		return c, err
	}
	last, began := 10*s.manyFiles(), time.Now()
	for made, n, over := 0, 1, false; n <= last && !over; n = next(n) {
		tag := fmt.Sprintf("before-%d", n)
		for made < n-1 && !over {
			step := min(n-1-made, historyStep)
			if _, _, err := t.ask(order{Verb: verbCommit, Count: step, Tag: tag}); err != nil {
				return c, errors.Join(err, ctx.Err())
			}
			made, tag = made+step, ""
			over = time.Since(began) > atMost
		}
		p, err := historyPoint(ctx, t, &reader)
		if err != nil {
			return c, err
		}
		made++
		p.X, p.Label = float64(made), fmt.Sprint(made)
		c.Points = append(c.Points, p)
		if over && made < n {
			c.Note = fmt.Sprintf("it ends here: so many took %.0f s", time.Since(began).Seconds())
		}
		s.say("growth of the %s: %d checkpoints after %.1f s", c.Name, made, time.Since(began).Seconds())
	}
	return c, ctx.Err()
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
