package tidemark_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/emulator"
)

const (
	lease = time.Minute
	// mostRequests is more than any operation sends undisturbed.
	mostRequests = 40
	// cellsAtOnce is high because most of them wait.
	cellsAtOnce = 96
)

// TestFaultsTimesOperations runs every operation under every fault: at each single request, and at all of them. The outcome is the one that the table names. Whatever
// it is: nothing that was acknowledged is lost, no byte is wrong, nothing partial has its final name, and what failed for certain has not happened.
func TestFaultsTimesOperations(t *testing.T) {
	if testing.Short() {
		t.Skip("five thousand operations on clouds of their own; without -short")
	}
	root := t.TempDir()
	var g errgroup.Group
	g.SetLimit(cellsAtOnce)
	for _, row := range faultRows {
		for _, op := range faultOperations {
			g.Go(func() error {
				if err := row.try(t, op, root); err != nil {
					t.Errorf("%s × %s: %v", row.name, op.name, err)
				}
				return nil
			})
		}
	}
	_ = g.Wait() // they report for themselves
}

// try runs one operation under the row's fault.
func (row faultRow) try(t *testing.T, op operation, root string) (err error) {
	cloud, err := emulator.Listen(t.Context(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	dir, err := os.MkdirTemp(root, "")
	if err != nil {
		return err
	}
	b := &bench{t: t, cloud: cloud, dir: dir}
	if err := b.prepare(); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if _, err := b.cell(row, op, 0); err != nil {
		return err
	}
	step := 1
	switch {
	case row.simple:
		step = 3
	case row.endless: // each of them takes seconds
		step = 2
	}
	for k := 1; ; k += step {
		fired, err := b.cell(row, op, k)
		if err != nil || !fired {
			return err
		}
		if k > mostRequests {
			return errors.New("the operation does not end")
		}
	}
}

// bench is a cloud of its own with a store in it.
type bench struct {
	t     *testing.T
	cloud *emulator.Cloud
	dir   string
	n     int
	last  parts // what the latest checkpoint holds
}

// otherJob is a second job of the store; a fault may take its objects for those of faultsJob.
const faultsJob, otherJob = "orders", "other"

func (b *bench) open(prefix string, o checkpoint.Options) (*tidemark.Store, error) {
	o.HeadInterval = -1
	return tidemark.Open(b.t.Context(), b.cloud.StoreURL("state", prefix), &tidemark.Options{
		Options: o, PrivateCredentials: true, Credentials: credentials.Metadata(&credentials.MetadataOptions{Host: b.cloud.MetadataHost()}),
	})
}

// prepare makes the job as operations expect it.
func (b *bench) prepare() (err error) {
	ctx := b.t.Context()
	s, err := b.open("shared", checkpoint.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b.last = faultsState(0)
	for _, p := range []parts{{"other": pseudo(9, 300<<10)}, b.last, b.last} {
		if err := p.save(ctx, s, faultsJob); err != nil {
			return err
		}
	}
	if err := (parts{"small": []byte("of another job")}).save(ctx, s, otherJob); err != nil {
		return err
	}
	j, err := s.Job(faultsJob)
	if err != nil {
		return err
	}
	if _, err = j.Tag(ctx, "2", "t"); err != nil {
		return err
	}
	_, err = j.Retain(ctx, checkpoint.Retention{KeepLast: 2}, false)
	return err
}

// cell runs an operation with the row's fault at its k-th request, or at all of them if k is zero; fired is false if it had fewer requests.
func (b *bench) cell(row faultRow, op operation, k int) (fired bool, err error) {
	b.n++
	prefix := "shared"
	if op.fresh {
		prefix = fmt.Sprint("fresh-", b.n)
	}
	s, err := b.open(prefix, checkpoint.Options{RetryFor: row.patience(k)})
	if err != nil {
		return false, err
	}
	j, err := s.Job(faultsJob)
	if err != nil {
		return false, err
	}
	at := place{store: s, job: j, dir: filepath.Join(b.dir, fmt.Sprint("restored-", b.n)), last: b.last, next: faultsState(b.n)}
	then := row.then
	if then.Effect == emulator.EffectSwap {
		then.Object = prefix + "/" + then.Object
	}
	fault := emulator.Fault{Name: "it", Match: row.match, Then: then}
	fault.Match.Nth = k
	if err := b.cloud.SetFaults(fault); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), row.deadline(k))
	opErr := op.run(ctx, at)
	cancel()
	fired = b.cloud.Faults().Fired()["it"] > 0
	if err := errors.Join(s.Close(), b.cloud.SetFaults()); err != nil {
		return fired, err
	}
	got, want := outcomeOf(opErr), row.want(op.name, k)
	if !fired && !row.endless {
		want = "ok"
	}
	where := "all requests"
	if k > 0 {
		where = fmt.Sprint("request ", k)
	}
	if !matches(got, want) {
		b.t.Errorf("%s × %s, %s: %s, want %s (%v)", row.name, op.name, where, got, want, opErr)
	}
	clean, err := b.open(prefix, checkpoint.Options{}) // with a token of its own
	if err != nil {
		return fired, err
	}
	defer func() { err = errors.Join(err, clean.Close()) }()
	at.store = clean
	if at.job, err = clean.Job(faultsJob); err != nil {
		return fired, err
	}
	if err := b.judge(op, at, opErr); err != nil {
		b.t.Errorf("%s × %s, %s, which ended with %v: %v", row.name, op.name, where, opErr, err)
	}
	if op.again != nil && opErr == nil {
		err = op.again(b.t.Context(), at)
	}
	return fired, err
}

func matches(got, want string) bool {
	for w := range strings.SplitSeq(want, "|") {
		if got == w {
			return true
		}
	}
	return false
}

// outcomeOf names an error's kind. An error that is of several kinds, or of none, is named as it is.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	if errors.Is(err, errProblems) {
		return "problems"
	}
	var e *checkpoint.Error
	if !errors.As(err, &e) || errors.Is(err, errWrongBytes) {
		return err.Error()
	}
	var kinds []string
	for _, kind := range []error{checkpoint.ErrNotFound, checkpoint.ErrRetired, checkpoint.ErrCorrupt, checkpoint.ErrFenced, checkpoint.ErrConflict, checkpoint.ErrChanged,
		checkpoint.ErrPermission, checkpoint.ErrCredentials, checkpoint.ErrUnavailable, checkpoint.ErrThrottled, checkpoint.ErrBudget, checkpoint.ErrUnsupported,
		checkpoint.ErrInvalid, checkpoint.ErrNoSpace} {
		if errors.Is(err, kind) {
			kinds = append(kinds, kind.Error())
		}
	}
	return strings.Join(kinds, " and ")
}

// judge looks at the job without faults: nothing that was acknowledged is lost, everything is whole, and what the operation said is true.
func (b *bench) judge(op operation, at place, opErr error) error {
	ctx := b.t.Context()
	r, err := at.job.Verify(ctx, &checkpoint.VerifyOptions{Data: true})
	if errors.Is(err, checkpoint.ErrNotFound) && op.fresh && opErr != nil {
		return nil
	}
	if err != nil || !r.OK() {
		return fmt.Errorf("verify: %+v, %w", r.Problems, err)
	}
	got, err := content(ctx, at.job)
	if err != nil {
		return err
	}
	isNew := op.saves && got.equal(at.next)
	switch {
	case !isNew && (op.fresh || !got.equal(at.last)):
		return errors.New("the latest checkpoint is neither the old one nor the new one")
	case op.saves && opErr == nil && !isNew:
		return errors.New("the save was acknowledged, and is not there")
	case isNew && opErr != nil && !errors.Is(opErr, checkpoint.ErrOutcomeUnknown):
		return errors.New("the save failed for certain, and is there")
	case opErr == nil && op.done != nil:
		return op.done(ctx, at.job)
	}
	if !op.fresh {
		b.last = got
	}
	return nil
}
