package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
)

// simParts is a small state: for each part the mark of each of its pages. 0 is a page of zeros; each save marks the pages that it changes with a number of its own.
type simParts map[string][]uint32

// bytes is the content of a part, whose last page is not a whole one.
func (s simParts) bytes(part string) []byte {
	var b []byte
	for _, mark := range s[part] {
		b = append(b, bytes.Repeat(binary.LittleEndian.AppendUint32(nil, mark), pageSize/4)...)
	}
	return b[:len(b)-1000]
}

func (s simParts) clone() simParts {
	c := simParts{}
	for name, marks := range s {
		c[name] = slices.Clone(marks)
	}
	return c
}

// simSave is one attempt to make a checkpoint.
type simSave struct {
	name   string // kept in the checkpoint's metadata
	op     *simOp
	epoch  uint64
	number uint64
	fence  []byte
	parts  simParts
	taken  map[string]*simShare // by worker
	write  *simWrite            // that committed it
}

// simShares is what the channels between coordinators and workers carry. They keep everything, so that it can come late, twice and to the wrong one.
type simShares struct {
	assignments []simAssignment
	handles     []*simShare
}

type simAssignment struct {
	save  *simSave
	bytes []byte
}

// simShare is what one life of a worker saved for one checkpoint.
type simShare struct {
	save   *simSave
	worker string
	marks  []uint32
	handle []byte
}

var simLarge = noise(99, 70<<10)

const (
	simSaveKey  = "save"
	simSharePre = "share-"
)

// newSave registers an attempt; its state is the newest one with some pages changed.
func (w *simWorld) newSave(op *simOp, wr *Writer, rng *rand.Rand) *simSave {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &simSave{
		name: fmt.Sprintf("s%d", len(w.truth.saves)+1), op: op, epoch: wr.id.Epoch, number: wr.id.Checkpoint, fence: wr.fence,
		parts: simParts{}, taken: map[string]*simShare{},
	}
	w.truth.saves[s.name] = s
	op.save, op.epoch = s, wr.id.Epoch
	for name, marks := range w.truth.newest {
		if !strings.HasPrefix(name, simSharePre) {
			s.parts[name] = slices.Clone(marks)
		}
	}
	if len(s.parts) == 0 {
		s.parts = simParts{"db": make([]uint32, 4), "log": make([]uint32, 1)}
	}
	w.truth.tags++
	for range 1 + rng.IntN(2) {
		s.parts["db"][rng.IntN(4)] = w.truth.tags
	}
	if rng.IntN(2) == 0 {
		s.parts["log"][0] = w.truth.tags
	}
	return s
}

// fill adds the coordinator's own parts, and takes handles of workers in between.
func (p *simProcess) fill(wr *Writer, s *simSave, rng *rand.Rand, workers bool) error {
	wr.embeds = rng.IntN(3) == 0 // else a pack of this size would never be an object of its own
	wr.SetMetadata(simSaveKey, []byte(s.name))
	if rng.IntN(10) == 0 {
		wr.SetMetadata("large", simLarge) // too large a manifest to travel in HEAD
	}
	if workers {
		a, err := wr.Assignment()
		if err != nil {
			return err
		}
		p.w.mu.Lock()
		p.w.shares.assignments = append(p.w.shares.assignments, simAssignment{s, a})
		p.w.mu.Unlock()
	}
	for _, name := range slices.Sorted(maps.Keys(s.parts)) {
		if !p.step("add " + name) {
			return errSimAborted
		}
		if err := wr.Add(name, bytes.NewReader(s.parts.bytes(name))); err != nil {
			return err
		}
	}
	if workers {
		return p.takeShares(wr, s, rng)
	}
	return nil
}

// takeShares offers handles to a save, whosever they are.
func (p *simProcess) takeShares(wr *Writer, s *simSave, rng *rand.Rand) error {
	for range rng.IntN(7) {
		if !p.step("take a handle") {
			return errSimAborted
		}
		share := p.w.anyShare(s, rng)
		if share == nil {
			continue
		}
		info, err := wr.AddHandle(share.handle)
		if err != nil {
			if p.isDead() {
				return errSimAborted
			}
			if op := (&simOp{p: p, kind: "add handle", err: err}); op.wrongError() != "" {
				p.w.foul("%s: add handle: %s: %v", p.name, op.wrongError(), err)
			}
			if wr.ctx.Err() != nil {
				return context.Cause(wr.ctx)
			}
			continue
		}
		if err := s.take(share, info); err != nil {
			p.w.foul("%s: %v", p.name, err)
		}
	}
	return nil
}

func (w *simWorld) anyShare(s *simSave, rng *rand.Rand) *simShare {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.shares.handles
	if len(all) == 0 {
		return nil
	}
	mine := slices.DeleteFunc(slices.Clone(all), func(h *simShare) bool { return h.save != s })
	if len(mine) > 0 && rng.IntN(4) > 0 {
		all = mine
	}
	return all[rng.IntN(len(all))]
}

// take notes a share that the package took in: it has to be of this save, and the only one of its worker.
func (s *simSave) take(share *simShare, info HandleInfo) error {
	if share.save != s {
		return fmt.Errorf("a handle for %s was taken into %s", share.save.name, s.name)
	}
	if old := s.taken[share.worker]; old != nil {
		if old != share && info.Ignored == "" {
			return fmt.Errorf("two shares of %s were taken into %s", share.worker, s.name)
		}
		return nil
	}
	if info.Ignored != "" {
		return fmt.Errorf("the first share of %s was not taken into %s", share.worker, s.name)
	}
	s.taken[share.worker] = share
	return nil
}

// content is what the checkpoint has to hold.
func (s *simSave) content() simParts {
	all := s.parts.clone()
	for worker, share := range s.taken {
		all[simSharePre+worker] = share.marks
	}
	return all
}

// committed is called when HEAD names a new checkpoint.
func (w *simWorld) committed(x *simWrite, m format.Contents) error {
	name := ""
	for _, e := range m.Metadata {
		if e.Key == simSaveKey {
			name = string(e.Value)
		}
	}
	s := w.truth.saves[name]
	if s == nil || s != x.op.save {
		return fmt.Errorf("it committed %q, and not the save that it was called for", name)
	}
	if s.write != nil {
		return fmt.Errorf("it committed %s for the second time", name)
	}
	w.mu.Lock()
	s.write, x.added = x, s
	w.truth.newest = s.content()
	w.mu.Unlock()
	want := slices.Sorted(maps.Keys(w.truth.newest))
	var got []string
	for _, p := range m.Parts.All() {
		got = append(got, string(p.Name))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s has the parts %q, not %q", name, got, want)
	}
	return nil
}

// read reads a checkpoint whole and holds it against what its save was given.
func (w *simWorld) read(ctx context.Context, c *Checkpoint, pause func(string) bool) error {
	meta, err := c.Metadata(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	s := w.truth.saves[string(meta[simSaveKey])]
	w.mu.Unlock()
	if s == nil || s.write == nil || s.number != c.Info().Checkpoint || s.epoch != c.Info().Epoch {
		return fmt.Errorf("checkpoint %d is of save %q, which was not committed as that", c.Info().Checkpoint, meta[simSaveKey])
	}
	content := s.content()
	parts, err := c.Parts(ctx)
	if err != nil {
		return err
	}
	if len(parts) != len(content) {
		return fmt.Errorf("checkpoint %d has %d parts, not %d", s.number, len(parts), len(content))
	}
	for _, part := range parts {
		if !pause("read " + part.Name) {
			return errSimAborted
		}
		if content[part.Name] == nil {
			return fmt.Errorf("checkpoint %d has a part %q that nobody saved", s.number, part.Name)
		}
		b, err := readPart(ctx, c, part.Name)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, content.bytes(part.Name)) {
			return fmt.Errorf("checkpoint %d, part %q: wrong bytes", s.number, part.Name)
		}
	}
	return nil
}

func readPart(ctx context.Context, c *Checkpoint, name string) (b []byte, err error) {
	r, err := c.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}
