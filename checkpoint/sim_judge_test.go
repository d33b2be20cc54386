package checkpoint

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func simEmptyWorld(seed uint64, rng *rand.Rand, memory *simMemory) *simWorld {
	return &simWorld{
		seed: seed, rng: rng, mem: memstore.New(), memory: memory, names: map[format.Nonce]int{},
		truth: simTruth{live: map[string]uint64{}, manifests: map[format.Nonce]format.Contents{}, saves: map[string]*simSave{}},
	}
}

// judge looks at what is left when everybody has come to an end: half of what is still on its way arrives, the job is looked at, goes on, the rest arrives, and
// collection leaves exactly what is needed.
func (w *simWorld) judge() {
	w.log("judgement")
	for range len(w.late) / 2 {
		w.arrive(w.rng.IntN(len(w.late)))
	}
	for _, op := range w.ops {
		if err := op.kept(); err != "" {
			w.foul("%v, but %s", op, err)
		}
	}
	p := w.newProcess(&simActor{w: w, name: "judge"}, 1)
	p.free = true
	w.look(p)
	w.goOn(p)
	w.look(p)
	if w.memory.leaks() {
		w.foul("somebody kept memory of the store")
	}
	for _, v := range w.mem.Violations() {
		w.foul("the store saw: %s", v)
	}
}

// kept tells how an operation's word was broken.
func (op *simOp) kept() string {
	applied := len(op.writes) > 0
	promises := op.kind == "acquire" || op.kind == "save" || op.kind == "one-shot" || op.kind == "remove"
	switch {
	case op.kind == "untag" && op.result == simDone:
		for _, x := range op.writes {
			for _, pin := range x.before.Pins {
				if findTag(x.after, pin.Name) == nil && pin.Kind == format.Pin_TAG && pin.Checkpoint != op.checkpoint {
					return "it took the tag from another checkpoint"
				}
			}
		}
	case !promises:
	case op.kind == "acquire" && op.result == simFailed && op.twice: // it may have been superseded at once, which fences nobody who matters
	case op.result == simFailed && applied:
		return "it took effect"
	case op.result == simDone && !applied && op.kind != "remove": // another removal serves as well
		return "it never took effect"
	case op.result == simDone && op.kind == "acquire" && op.writes[len(op.writes)-1].after.Epoch != op.epoch:
		return "it has another epoch"
	}
	return ""
}

// look reads and verifies everything that is retained.
func (w *simWorld) look(p *simProcess) {
	ctx := context.Background()
	head := w.truth.head
	c, err := p.job.Latest(ctx)
	if head == nil || len(head.Retained) == 0 {
		if !errors.Is(err, ErrNotFound) {
			w.foul("nothing is retained, and the latest is %v", err)
		}
		return
	}
	if err != nil {
		w.foul("the latest: %v", err)
		return
	}
	if got, want := c.Info().Checkpoint, head.Last.Checkpoint; got != want {
		w.foul("the latest is %d, not %d", got, want)
	}
	for _, r := range head.Retained {
		c := &Checkpoint{job: p.job, retained: r, info: p.job.info(head, r)}
		if err := w.read(ctx, c, func(string) bool { return true }); err != nil {
			w.foul("at the end, checkpoint %d: %v", r.Id.Checkpoint, err)
		}
	}
	report, err := p.job.Verify(ctx, &VerifyOptions{Data: true})
	if err != nil || !report.OK() {
		w.foul("at the end, verify: %v %+v", err, report.Problems)
	}
}

// goOn is the job's next life: a new owner saves on top of what there is.
func (w *simWorld) goOn(p *simProcess) {
	acquire := p.beginNow("acquire")
	retention := Retention{KeepLast: 1}
	o, err := p.store.Acquire(acquire.ctx, simJob, &AcquireOptions{Owner: p.name, Retention: retention})
	if err == nil {
		acquire.epoch = o.Epoch()
	}
	p.end(acquire, err)
	if err != nil {
		w.foul("the next owner: %v", err)
		return
	}
	op := p.beginNow("save")
	op.policy = retention
	wr, err := o.Begin(op.ctx, nil)
	if err == nil {
		rng := rand.New(rand.NewPCG(w.seed, 0))
		if err = p.fill(wr, w.newSave(op, wr, rng), rng, false); err == nil {
			_, err = wr.Commit(op.ctx)
		}
	}
	p.end(op, err)
	if err != nil {
		w.foul("the next owner's save: %v", err)
		return
	}
	for len(w.late) > 0 {
		w.arrive(0)
	}
	if w.truth.head.Epoch != o.Epoch() || w.truth.head.Last.Checkpoint != op.save.number {
		w.foul("a late request overtook the next owner")
	}
	collect := p.beginNow("collect")
	_, err = p.job.Collect(collect.ctx, nil)
	p.end(collect, err)
	if err != nil {
		w.foul("the last collection: %v", err)
	}
	keys := slices.DeleteFunc(w.mem.Keys(), func(key string) bool { return w.truth.live[key] != 0 || key == format.HeadKey(simJob) })
	if len(keys) > 0 {
		w.foul("collection left %q", keys)
	}
}
