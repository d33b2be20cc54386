package checkpoint

import (
	"errors"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// simFate is what the adversary does to one request.
type simFate int

const (
	fateDelivered simFate = iota
	fateAnswerLost
	fateLost
	fateDelayed     // given up by its sender, and on its way still
	fateDuplicated  // answered, and a copy on its way still
	fateTwice       // a layer in between sent it twice, and hands the second answer on
	fateDenied      // refused for good, by an answer that a store gives before it writes
	fateAppliedLate // answered as lost after it was applied, with a copy on its way still
)

var fateNames = [...]string{"delivered", "answer lost", "lost", "delayed", "duplicated", "sent twice", "denied", "answer lost, duplicated"}

// disturbances are the fates of disturbed requests, by their weight.
var disturbances = []struct {
	fate   simFate
	weight float64
}{
	{fateAnswerLost, 6}, {fateLost, 4}, {fateDelayed, 6}, {fateDuplicated, 2}, {fateTwice, 3}, {fateDenied, 0.4}, {fateAppliedLate, 2},
}

// next is one decision of the adversary.
func (w *simWorld) next() {
	if len(w.parked) == 0 {
		w.jump()
		return
	}
	switch d := w.rng.Float64(); {
	case d < 0.02:
		w.reweigh()
	case d < 0.035:
		w.jump()
		return
	case d < 0.035+0.02*w.weather/0.1 && w.rng.IntN(4) == 0:
		w.kill(w.pick().p)
		return
	case d < 0.06:
		if w.interrupt(w.pick().p) {
			return
		}
	case d < 0.16 && len(w.late) > 0:
		w.arrive(w.rng.IntN(len(w.late)))
		return
	}
	t := w.pick()
	w.last = t.p.actor
	if t.granted != nil {
		w.grant(t)
		return
	}
	w.decide(t)
}

// reweigh makes some actors slow and others fast for a while.
func (w *simWorld) reweigh() {
	for _, a := range w.actors {
		a.weight = []float64{0.003, 0.1, 1, 1}[w.rng.IntN(4)]
	}
}

// pick chooses who is next: often the same actor again, so that operations also come through whole.
func (w *simWorld) pick() *simTicket {
	byActor := map[*simActor][]*simTicket{}
	total := 0.0
	awake := slices.DeleteFunc(slices.Clone(w.parked), func(t *simTicket) bool { return t.p.actor.stalled > w.turn })
	if len(awake) == 0 {
		awake = w.parked
	}
	for _, t := range awake {
		if byActor[t.p.actor] == nil {
			total += t.p.actor.weight
		}
		byActor[t.p.actor] = append(byActor[t.p.actor], t)
	}
	if ts := byActor[w.last]; ts != nil && w.rng.Float64() < 0.5 {
		return ts[w.rng.IntN(len(ts))]
	}
	at := w.rng.Float64() * total
	for _, a := range w.actors {
		ts := byActor[a]
		if ts == nil {
			continue
		}
		if at -= a.weight; at <= 0 {
			return ts[w.rng.IntN(len(ts))]
		}
	}
	return awake[len(awake)-1]
}

// stall leaves an actor standing at an awkward moment, while others go on.
func (w *simWorld) stall(a *simActor) { a.stalled = w.turn + 5 + w.rng.IntN(60) }

func (w *simWorld) grant(t *simTicket) {
	w.take(t)
	w.log("%s: %s", t.p.name, t.key)
	t.granted <- !w.calm
}

// decide disturbs a request or delivers it. HEAD is where it hurts: its writes are disturbed more, and who has read it or was told nothing of a write often has to
// wait before it may go on.
func (w *simWorld) decide(t *simTicket) {
	head := t.key == format.HeadKey(simJob)
	severity := w.weather
	if head && t.method == "put" {
		severity *= 3
	}
	disturbed := w.rng.Float64() < severity
	if head && (disturbed && w.rng.IntN(2) == 0 || t.method == "get" && w.rng.IntN(6) == 0) {
		w.stall(t.p.actor)
	}
	if !disturbed {
		w.deliver(t)
		return
	}
	total := 0.0
	for _, d := range disturbances {
		total += d.weight
	}
	at := w.rng.Float64() * total
	for _, d := range disturbances {
		if at -= d.weight; at <= 0 {
			w.disturb(t, d.fate)
			return
		}
	}
}

func (w *simWorld) deliver(t *simTicket) {
	w.take(t)
	a := w.apply(t)
	w.log("%s: %s: %s", t.p.name, w.label(t), simVerdict(a))
	t.answer <- a
}

func (w *simWorld) disturb(t *simTicket, f simFate) {
	w.take(t)
	t.p.touched = true
	if t.method == "put" {
		w.mem.Excuse(t.key)
	}
	kind := objstore.KindUnavailable
	if t.p.throttled < 3 && w.rng.IntN(5) == 0 {
		t.p.throttled++
		kind = objstore.KindThrottled
	}
	a := simAnswer{err: simError(t, kind, errSimLost)}
	applied := "not applied"
	switch f {
	case fateAnswerLost:
		applied = simVerdict(w.apply(t))
	case fateDelayed:
		w.late = append(w.late, t)
	case fateDuplicated:
		a = w.apply(t)
		applied = simVerdict(a)
		w.late = append(w.late, t)
	case fateTwice:
		if t.op != nil {
			t.op.twice = true
		}
		w.apply(t)
		a = w.apply(t)
		applied = simVerdict(a)
	case fateAppliedLate:
		applied = simVerdict(w.apply(t))
		w.late = append(w.late, t)
	case fateDenied:
		a.err = simError(t, objstore.KindPermission, errSimDenied)
	}
	w.log("%s: %s: %s (%s)", t.p.name, w.label(t), fateNames[f], applied)
	t.answer <- a
}

// arrive lets a request that nobody waits for reach the store, perhaps not for the last time.
func (w *simWorld) arrive(i int) {
	t := w.late[i]
	if w.rng.IntN(3) > 0 {
		w.late = slices.Delete(w.late, i, i+1)
	}
	w.log("late, of %s: %s: %s", t.p.name, w.label(t), simVerdict(w.apply(t)))
}

// apply carries a request out. The referee sees every one that changes something.
func (w *simWorld) apply(t *simTicket) simAnswer {
	a := t.send()
	if a.err == nil && (t.method == "put" || t.method == "delete") {
		w.referee(t)
	}
	return a
}

func simVerdict(a simAnswer) string {
	if a.err == nil {
		return "ok"
	}
	return objstore.KindOf(a.err).String()
}

// kill ends a process. What it has on its way may have arrived, may arrive later, or never does.
func (w *simWorld) kill(p *simProcess) {
	w.log("%s dies", p.name)
	w.mu.Lock()
	p.dead = true
	w.mu.Unlock()
	for _, t := range slices.Clone(w.parked) {
		if t.p != p {
			continue
		}
		w.take(t)
		if t.granted != nil {
			t.granted <- false
			continue
		}
		if t.method == "put" {
			w.mem.Excuse(t.key)
		}
		if w.rng.IntN(2) == 0 {
			w.log("its %s: %s", w.label(t), simVerdict(w.apply(t)))
		}
		if w.rng.IntN(2) == 0 {
			w.late = append(w.late, t)
		}
		t.answer <- simAnswer{err: simError(t, objstore.KindUnknown, errSimDead)}
	}
}

var errSimInterrupted = errors.New("interrupted by the simulation")

// interrupt ends the context of what a process is doing.
func (w *simWorld) interrupt(p *simProcess) bool {
	for _, op := range w.ops {
		if op.p != p || op.returned != 0 || op.interrupted {
			continue
		}
		w.log("%s: %s is interrupted", p.name, op.kind)
		op.interrupted, p.touched = true, true
		op.cancel(errSimInterrupted)
		return true
	}
	return false
}
