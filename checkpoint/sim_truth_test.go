package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// simTruth is what the store really holds, as the scheduler sees it happen.
type simTruth struct {
	head      *format.Head // nil: none yet
	live      map[string]uint64
	manifests map[format.Nonce]format.Contents
	saves     map[string]*simSave
	tags      uint32 // that mark pages, given out so far
	newest    simParts
}

// simWrite is one accepted write of HEAD.
type simWrite struct {
	turn    int
	op      *simOp
	before  *format.Head
	after   *format.Head
	added   *simSave
	retired []uint64
}

// referee judges an accepted write or deletion. It knows the rules of docs/protocol.md and nothing of the code.
func (w *simWorld) referee(t *simTicket) {
	switch {
	case t.method == "delete" && t.key == format.HeadKey(simJob):
		w.foul("%s deleted HEAD", t.p.name)
	case t.method == "delete":
		if c, ok := w.truth.live[t.key]; ok {
			w.foul("%s deleted %s, which checkpoint %d needs", t.p.name, w.label(t), c)
		}
	case t.key == format.HeadKey(simJob):
		if err := w.headWritten(t); err != nil {
			w.foul("%s wrote HEAD: %v", t.p.name, err)
		}
	}
}

func (w *simWorld) headWritten(t *simTicket) error {
	after, err := format.DecodeHead(t.body)
	if err != nil {
		return err
	}
	before := w.truth.head
	if before == nil {
		before = new(format.Head)
	}
	write := &simWrite{turn: w.turn, op: t.op, before: before, after: after}
	for _, r := range before.Retained {
		if findRetained(after, r.Id.Checkpoint) < 0 {
			write.retired = append(write.retired, r.Id.Checkpoint)
		}
	}
	w.mu.Lock()
	w.removed = w.removed || after.Removed
	w.truth.head = after
	w.mu.Unlock()
	if t.op == nil {
		return errors.New("nobody called for it")
	}
	t.op.writes = append(t.op.writes, write)
	w.log("HEAD: %s", describeHead(after))
	if err := write.numbers(); err != nil {
		return err
	}
	if err := w.retainedOf(write); err != nil {
		return err
	}
	if err := write.pins(); err != nil {
		return err
	}
	return w.needs(write)
}

// numbers judges epoch, fence and last.
func (x *simWrite) numbers() error {
	b, a, kind := x.before, x.after, x.op.kind
	takes := kind == "acquire" || kind == "one-shot" || kind == "remove"
	saves := kind == "save" || kind == "one-shot"
	switch {
	case takes && a.Epoch != b.Epoch+1, !takes && a.Epoch != b.Epoch:
		return fmt.Errorf("the epoch went from %d to %d", b.Epoch, a.Epoch)
	case takes == bytes.Equal(a.Fence, b.Fence):
		return fmt.Errorf("whether the fence changes is wrong")
	case bytes.Equal(a.Nonce, b.Nonce):
		return fmt.Errorf("HEAD's own nonce is the old one")
	case kind == "save" && (b.Epoch != x.op.save.epoch || !bytes.Equal(b.Fence, x.op.save.fence)):
		return fmt.Errorf("somebody who does not own the job committed")
	case kind == "one-shot" && a.Epoch != x.op.save.epoch:
		return fmt.Errorf("a one-shot save of epoch %d committed in epoch %d", x.op.save.epoch, a.Epoch)
	case saves && a.Last.Checkpoint <= b.GetLast().GetCheckpoint():
		return fmt.Errorf("the last commit went from %d to %d", b.GetLast().GetCheckpoint(), a.Last.Checkpoint)
	case !saves && (a.Last.GetCheckpoint() != b.GetLast().GetCheckpoint() || !bytes.Equal(a.LastManifest, b.LastManifest)):
		return fmt.Errorf("the last commit changed")
	case a.Removed != (kind == "remove" || b.Removed && !takes):
		return fmt.Errorf("removed: %t", a.Removed)
	case takes && len(x.op.writes) > 1 && (kind != "acquire" || !x.op.twice): // an acquisition believes a refusal of its only try
		return fmt.Errorf("one call took effect twice")
	}
	return nil
}

// retainedOf judges what was added to and taken from what is retained.
func (w *simWorld) retainedOf(x *simWrite) error {
	var added []*format.Retained
	for _, r := range x.after.Retained {
		if i := findRetained(x.before, r.Id.Checkpoint); i < 0 {
			added = append(added, r)
		} else if !bytes.Equal(r.ManifestNonce, x.before.Retained[i].ManifestNonce) {
			return fmt.Errorf("checkpoint %d became another one", r.Id.Checkpoint)
		}
	}
	kind := x.op.kind
	saves := kind == "save" || kind == "one-shot"
	switch {
	case saves && (len(added) != 1 || added[0].Id.Checkpoint != x.op.save.number || added[0].Id.Epoch != x.op.save.epoch):
		return fmt.Errorf("it should add checkpoint %d of epoch %d", x.op.save.number, x.op.save.epoch)
	case !saves && len(added) > 0:
		return fmt.Errorf("checkpoint %d came back", added[0].Id.Checkpoint)
	case kind == "remove" && len(x.after.Retained) > 0:
		return fmt.Errorf("a removed job retains checkpoints")
	case kind != "remove" && !saves && kind != "retain" && len(x.retired) > 0:
		return fmt.Errorf("it retired %v", x.retired)
	}
	if kind != "remove" {
		if err := x.retirement(); err != nil {
			return err
		}
	}
	if saves {
		m, err := w.manifestOf(added[0])
		if err != nil {
			return err
		}
		return w.committed(x, m)
	}
	return nil
}

// retirement judges what a retention took.
func (x *simWrite) retirement() error {
	numbers := make([]uint64, 0, len(x.after.Retained)+len(x.retired))
	for _, r := range x.after.Retained {
		numbers = append(numbers, r.Id.Checkpoint)
	}
	numbers = append(numbers, x.retired...)
	slices.Sort(numbers)
	for _, c := range x.retired {
		age := len(numbers) - 1 - slices.Index(numbers, c)
		switch {
		case x.op.policy.keepsAll(), age < max(1, x.op.policy.KeepLast):
			return fmt.Errorf("it retired checkpoint %d, the newest but %d, under %+v", c, age, x.op.policy)
		case slices.Contains(x.op.inUse(), c):
			return fmt.Errorf("it retired checkpoint %d, which another save of the owner is being compared with", c)
		}
		if i := findRetained(x.before, c); i >= 0 && time.Since(time.Unix(0, x.before.Retained[i].CommittedAtNs)) < x.op.policy.KeepWithin {
			return fmt.Errorf("it retired checkpoint %d too early for %+v", c, x.op.policy)
		}
		for _, p := range x.before.Pins {
			if p.Checkpoint == c && (p.Kind == format.Pin_TAG || p.ExpiresAtNs > time.Now().UnixNano()) {
				return fmt.Errorf("it retired checkpoint %d under the pin %q", c, p.Name)
			}
		}
	}
	return nil
}

// pins judges tags and leases.
func (x *simWrite) pins() error {
	name := func(p *format.Pin) string { return fmt.Sprintf("%v %s %d %x", p.Kind, p.Name, p.Checkpoint, p.Nonce) }
	set := func(h *format.Head) map[string]*format.Pin {
		m := map[string]*format.Pin{}
		for _, p := range h.Pins {
			m[name(p)] = p
		}
		return m
	}
	before, after := set(x.before), set(x.after)
	kind := x.op.kind
	for n, p := range after {
		switch {
		case findRetained(x.after, p.Checkpoint) < 0:
			return fmt.Errorf("the pin %s has no checkpoint", n)
		case before[n] != nil:
		case p.Kind == format.Pin_TAG && p.Name == x.op.tag && (kind == "tag" || kind == "save" || kind == "one-shot"):
		case p.Kind == format.Pin_LEASE && kind == "pin":
		default:
			return fmt.Errorf("the pin %s came from nowhere", n)
		}
	}
	for n, p := range before {
		switch {
		case after[n] != nil, kind == "remove":
		case p.Kind == format.Pin_TAG && kind == "untag" && p.Name == x.op.tag:
		case p.Kind == format.Pin_LEASE && (p.ExpiresAtNs <= time.Now().UnixNano() || kind == "release" && p.Name == x.op.p.name):
		default:
			return fmt.Errorf("the pin %s is gone", n)
		}
	}
	return nil
}

// needs finds out what HEAD refers to now: all of it has to be there, and nothing of it may have been deletable before.
func (w *simWorld) needs(x *simWrite) error {
	live := map[string]uint64{}
	for _, r := range x.after.Retained {
		m, err := w.manifestOf(r)
		if err != nil {
			return err
		}
		live[format.ManifestKey(simJob, r.Id, r.ManifestNonce)] = r.Id.Checkpoint
		for _, o := range m.Objects {
			key, _ := format.ObjectKey(simJob, o, r.Id, r.ManifestNonce, r.ManifestSize)
			live[key] = r.Id.Checkpoint
		}
	}
	old := w.truth.live
	w.truth.live = live
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if _, ok := old[key]; ok {
			continue
		}
		n, _ := format.ParseKey(simJob, key)
		if n.Epoch < x.before.Epoch || n.Epoch == x.before.Epoch && n.Checkpoint <= x.before.GetLast().GetCheckpoint() {
			return fmt.Errorf("checkpoint %d refers to %s, which was deletable before", live[key], key)
		}
		if _, err := w.mem.Stat(context.Background(), key); err != nil {
			return fmt.Errorf("checkpoint %d refers to what is not there: %w", live[key], err)
		}
	}
	return nil
}

func (w *simWorld) manifestOf(r *format.Retained) (format.Contents, error) {
	n := format.Nonce(r.ManifestNonce)
	if m, ok := w.truth.manifests[n]; ok {
		return m, nil
	}
	b, _, err := w.mem.Get(context.Background(), format.ManifestKey(simJob, r.Id, r.ManifestNonce), 1<<20)
	if err != nil {
		return format.Contents{}, fmt.Errorf("checkpoint %d: %w", r.Id.Checkpoint, err)
	}
	m, err := format.DecodeManifest(b, nil, format.NewPartList(nil))
	if err != nil {
		return format.Contents{}, fmt.Errorf("checkpoint %d: %w", r.Id.Checkpoint, err)
	}
	w.truth.manifests[n] = m
	return m, nil
}

func describeHead(h *format.Head) string {
	s := fmt.Sprintf("epoch %d, last %d, retained", h.Epoch, h.GetLast().GetCheckpoint())
	for _, r := range h.Retained {
		s += fmt.Sprintf(" %d/%d", r.Id.Epoch, r.Id.Checkpoint)
	}
	for _, p := range h.Pins {
		s += fmt.Sprintf(", %v %s→%d", p.Kind, p.Name, p.Checkpoint)
	}
	if h.Removed {
		s += ", removed"
	}
	return s
}
