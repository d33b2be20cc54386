package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/checkpoint"
)

func watched() (*Referee, *[]string) {
	var seen []string
	return &Referee{Object: func(v Violation) { seen = append(seen, v.Kind+": "+v.Detail) }}, &seen
}

// commit is a commit of one owner that ends as told.
func commit(r *Referee, epoch, checkpoint, step uint64, acked, unknown bool) {
	r.Try("j", epoch, checkpoint, step)(acked, unknown)
}

func TestRefereeObjects(t *testing.T) {
	for _, c := range []struct {
		name, want string
		play       func(r *Referee)
	}{
		{"all is well", "", func(r *Referee) {
			ended, _ := r.Claim("j")
			ended(1)
			commit(r, 1, 1, 1, true, false)
			commit(r, 1, 2, 2, false, false)
			commit(r, 1, 3, 3, false, true)
			commit(r, 1, 4, 4, true, false)
			r.Found("j", 1, 1, 1)
			r.Found("j", 3, 1, 3) // it was not known, and happened
			r.Latest("j", r.Floor("j"), 4)
		}},
		{"the latest goes back", Lost, func(r *Referee) {
			commit(r, 1, 1, 1, true, false)
			commit(r, 1, 2, 2, true, false)
			r.Latest("j", r.Floor("j"), 1)
		}},
		{"the latest goes back behind what somebody saw", Lost, func(r *Referee) {
			commit(r, 1, 1, 1, true, false)
			commit(r, 1, 2, 2, false, true)
			r.Latest("j", r.Floor("j"), 2)
			r.Latest("j", r.Floor("j"), 1)
		}},
		{"whoever began to look before may find less", "", func(r *Referee) {
			commit(r, 1, 1, 1, true, false)
			floor := r.Floor("j")
			commit(r, 1, 2, 2, true, false)
			r.Latest("j", floor, 1)
		}},
		{"another step than was acknowledged", Lost, func(r *Referee) {
			commit(r, 1, 1, 1, true, false)
			r.Try("j", 2, 1, 2)
			r.Found("j", 1, 2, 2)
		}},
		{"a step that nobody saved", Wrong, func(r *Referee) { r.Found("j", 1, 1, 9) }},
		{"a commit that failed for good is seen", Lost, func(r *Referee) {
			commit(r, 1, 1, 1, false, false)
			r.Found("j", 1, 1, 1)
		}},
		{"a commit that was seen fails for good", Lost, func(r *Referee) {
			ended := r.Try("j", 1, 1, 1)
			r.Found("j", 1, 1, 1)
			ended(false, false)
		}},
		{"two are acknowledged under one number", Lost, func(r *Referee) {
			commit(r, 1, 1, 1, true, false)
			commit(r, 2, 1, 2, true, false)
		}},
		{"a fenced owner commits", Fence, func(r *Referee) {
			first, _ := r.Claim("j")
			first(1)
			second, _ := r.Claim("j")
			second(2)
			commit(r, 1, 1, 1, true, false)
		}},
		{"a commit that began before the take-over may succeed", "", func(r *Referee) {
			first, _ := r.Claim("j")
			first(1)
			ended := r.Try("j", 1, 1, 1)
			second, _ := r.Claim("j")
			second(2)
			ended(true, false)
		}},
		{"an epoch comes twice", Fence, func(r *Referee) {
			first, _ := r.Claim("j")
			first(3)
			second, _ := r.Claim("j")
			second(3)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, seen := watched()
			c.play(r)
			if got := strings.Join(*seen, "\n"); c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || r.Violations() != len(*seen) {
				t.Errorf("objected %q, want %q", got, c.want)
			}
		})
	}
}

// What one referee was told another one knows, after its process was killed.
func TestHistoryCarriesOn(t *testing.T) {
	var notes []Note
	here := &Referee{Tell: func(n Note) { notes = append(notes, n) }}
	for n := range uint64(200) {
		commit(here, 1, n+1, here.Step("j"), n%3 != 0, n%3 == 1)
		here.Latest("j", here.Floor("j"), here.Floor("j"))
	}
	parent := new(Referee)
	parent.Replay(notes...)
	there, seen := watched()
	there.Replay(parent.History("j")...)
	if there.Floor("j") != here.Floor("j") || there.Step("j") != here.Step("j") {
		t.Errorf("floor %d and %d", there.Floor("j"), here.Floor("j"))
	}
	there.Found("j", 199, 1, 199) // 198 % 3 == 0: refused
	if len(*seen) != 1 {
		t.Errorf("objected %q", *seen)
	}
	if n := len(parent.History("j")); n > 3*(remembered+2) {
		t.Errorf("%d notes are remembered: they grow with time", n)
	}
}

func TestFencedIsRightOnlyIfSomebodyElseWasThere(t *testing.T) {
	r := new(Referee)
	former, _ := r.Claim("j")
	former(1)
	mine, others := r.Claim("j")
	mine(2)
	if others() {
		t.Error("an owner of before counts")
	}
	if _, _ = r.Claim("j"); !others() {
		t.Error("somebody who is about to acquire the job does not count")
	}
}

func TestKindsOfErrors(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	typed := func(kind error) error { return fmt.Errorf("more: %w", &checkpoint.Error{Kind: kind}) }
	for _, c := range []struct {
		ctx   context.Context
		op    string
		err   error
		kind  string
		wrong bool
	}{
		{t.Context(), opSave, nil, endOK, false},
		{t.Context(), opSave, typed(checkpoint.ErrFenced), "fenced", false},
		{t.Context(), opRestore, typed(checkpoint.ErrFenced), "fenced", true},
		{t.Context(), opRestore, typed(checkpoint.ErrUnavailable), "unavailable", false},
		{over, opRestore, typed(checkpoint.ErrUnavailable), endGaveUp, false},
		{over, opRestore, context.Canceled, endGaveUp, false},
		{t.Context(), opRestore, context.Canceled, endUntyped, true},
		{over, opRestore, typed(checkpoint.ErrCorrupt), "corrupt", true},
		{t.Context(), opRestore, typed(checkpoint.ErrNotFound), "not_found", true},
		{t.Context(), opRestore, typed(checkpoint.ErrCredentials), "credentials", true},
		{t.Context(), opRestore, wrongf("differs"), endWrong, true},
		{t.Context(), opRestore, errors.New("something"), endUntyped, true},
	} {
		r, seen := watched()
		w := &World{referee: r}
		if got := w.ended(c.ctx, c.op, "j", c.err); got != c.kind || (len(*seen) > 0) != c.wrong {
			t.Errorf("%s with %v: %s, objected %q", c.op, c.err, got, *seen)
		}
		if n := w.Counts()[c.op][c.kind]; n != 1 {
			t.Errorf("%s with %v is counted %d times", c.op, c.err, n)
		}
	}
}
