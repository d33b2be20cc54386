package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// step is how often the worker looks what is due: small enough that a kill falls into the middle of things.
	step = 20 * time.Millisecond
	// maxBatch bounds one step where the worker has to catch up, so that checkpoints stay on time.
	maxBatch = 4096
)

var errOrphan = errors.New("the parent is gone")

// Worker is the stateful job, in a process of its own: what the parent kills. It takes its assignment from stdin, reports on
// stdout, and ends when stdin does.
func Worker(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	// A terminal sends Ctrl-C to the whole group, but when a worker ends is the parent's business.
	signal.Ignore(os.Interrupt)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the assignment: %w", err)
	}
	var a assignment
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("read the assignment: %w", err)
	}
	// Reading standard input cannot be interrupted; this goroutine ends with the process.
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errOrphan)
	}()

	report := newReporter(stdout)
	w := &worker{assignment: a, report: report, clients: &clients{url: a.Store}}
	if err := w.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what ended first, not what it made fail
		}
		return errors.Join(err, report.send(event{Kind: eventFailed, Failure: newWorkerError(err)}))
	}
	return nil
}

type worker struct {
	assignment
	report  *reporter
	clients *clients
	source  *source
	state   *state
	saver   *saver
}

func (w *worker) run(ctx context.Context) (err error) {
	if w.source, err = openSource(ctx, w.Broker); err != nil {
		return err
	}
	defer w.source.close()
	defer func() { err = errors.Join(err, w.clients.closeAll()) }()

	from, err := w.restore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.state.close()) }()
	if err := w.source.seek(ctx, from); err != nil {
		return err
	}

	// Saving goes on behind: records are processed while a checkpoint uploads.
	w.saver.snapshots, w.saver.idle = make(chan snapshot), make(chan struct{}, 1)
	w.saver.idle <- struct{}{}
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return w.saver.run(both) })
	group.Go(func() error {
		defer close(w.saver.snapshots)
		return w.process(both)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return w.finish(ctx)
}

// process applies the records at the rate that was set, and hands a snapshot to the saver whenever one is due and the last
// one is saved: a slow store makes checkpoints rarer, never the job slower.
func (w *worker) process(ctx context.Context) error {
	tick := time.NewTicker(step)
	defer tick.Stop()
	started, first := time.Now(), w.state.sequence
	saved := started
	for w.state.sequence < w.Records {
		due := min(w.Records, first+uint64(w.Rate*time.Since(started).Seconds()), w.state.sequence+maxBatch)
		if err := w.advance(ctx, due); err != nil {
			return err
		}
		// As often as there is something to tell: the parent says by it how many records a kill cost.
		if err := w.report.send(event{Kind: eventProgress, Sequence: w.state.sequence, Clients: w.clients.count()}); err != nil {
			return err
		}
		if time.Since(saved) >= w.Interval {
			select {
			case <-w.saver.idle:
				saved = time.Now()
				if err := w.hand(ctx); err != nil {
					return err
				}
			default:
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	// The last checkpoint holds the final state.
	select {
	case <-w.saver.idle:
		return w.hand(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// advance applies the records up to the one with that number.
func (w *worker) advance(ctx context.Context, to uint64) error {
	if to <= w.state.sequence {
		return nil
	}
	records := make([]record, 0, to-w.state.sequence)
	for range cap(records) {
		sequence, data, err := w.source.next(ctx)
		if err != nil {
			return err
		}
		r, err := w.Schema.decode(sequence, data)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	return w.state.apply(records)
}

// hand gives the saver the state of this moment: a copy of the database, and the map.
func (w *worker) hand(ctx context.Context) error {
	s := snapshot{position: w.source.at(w.state.sequence), database: filepath.Join(w.Dir, "snapshot.db"), pairs: w.state.encodePairs()}
	if err := w.state.copyTo(s.database); err != nil {
		return err
	}
	select {
	case w.saver.snapshots <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish writes the final state down twice: as it is in this process, and as the store gives it back.
func (w *worker) finish(ctx context.Context) error {
	sum, err := dumpTo(w.Live, w.state)
	if err != nil {
		return err
	}
	last, err := w.find(ctx, "latest")
	if err != nil {
		return err
	}
	back, p, err := w.load(ctx, last, filepath.Join(w.Dir, "restored"))
	if err != nil {
		return err
	}
	_, err = dumpTo(w.Restored, back)
	if err = errors.Join(err, back.close()); err != nil {
		return err
	}
	return w.report.send(event{Kind: eventDone, Sequence: p.Sequence, Clients: w.clients.count(), Fetches: w.clients.fetches(), Summary: sum})
}

func dumpTo(path string, s *state) (sum summary, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return sum, fmt.Errorf("write the final state down: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriter(f)
	if sum, err = s.dump(out); err != nil {
		return sum, fmt.Errorf("write the final state down: %w", err)
	}
	return sum, out.Flush()
}
