package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// remains are what a job's names and manifests say without its HEAD.
type remains struct {
	objects map[string]objstore.Info
	named   map[saveID]int // manifests, readable or not
	found   []*found
	// The largest numbers in any name.
	epoch, checkpoint uint64
}

// saveID is what the names of one save have in common.
type saveID struct{ epoch, checkpoint uint64 }

func idOf(id *format.CheckpointID) saveID { return saveID{id.Epoch, id.Checkpoint} }

// found is a manifest that was read.
type found struct {
	key      string
	retained *format.Retained // as HEAD would have it
	base     *format.CheckpointID
	sealing  *format.WrappedKey
	own      map[format.Nonce]bool // what of this checkpoint others can refer to: its packs, and the manifest itself
	refers   []format.Nonce        // to what of others
	missing  int                   // packs that are not there as they should be
	proven   bool                  // a later checkpoint was compared with it: it was in HEAD
	kept     bool
	why      string
}

func (f *found) id() *format.CheckpointID { return f.retained.Id }

// survey lists everything, then reads each manifest.
func (r *repairer) survey(ctx context.Context) (*remains, error) {
	s := &remains{objects: map[string]objstore.Info{}, named: map[saveID]int{}}
	var manifests []string
	err := r.job.eachObject(ctx, func(i objstore.Info) {
		n, ok := format.ParseKey(r.job.name, i.Key)
		if !ok {
			return
		}
		s.epoch, s.checkpoint = max(s.epoch, n.Epoch), max(s.checkpoint, n.Checkpoint)
		s.objects[i.Key] = i
		if n.Manifest {
			s.named[saveID{n.Epoch, n.Checkpoint}]++
			manifests = append(manifests, i.Key)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, key := range manifests {
		if err := r.read(ctx, s, key); err != nil {
			return nil, err
		}
	}
	s.prove()
	r.orphans(s)
	return s, nil
}

// read adds the manifest of a key to the survey, or to what is lost.
func (r *repairer) read(ctx context.Context, s *remains, key string) error {
	n, _ := format.ParseKey(r.job.name, key)
	b, _, err := r.job.store.objects.Get(ctx, key, format.MaxManifest)
	var m format.Contents
	if err == nil {
		m, err = r.job.openManifest(ctx, b)
	}
	switch {
	case err == nil:
	case objstore.KindOf(err) == objstore.KindNotFound, objstore.KindOf(err) == objstore.KindCorrupt, objstore.KindOf(err) == objstore.KindTooLarge,
		errors.Is(err, format.ErrCorrupt), errors.Is(err, format.ErrForeign):
		r.lost("manifest", n.Checkpoint, key, "%v", err)
		return nil
	default:
		return err
	}
	if m.Job != r.job.name || m.Id.Epoch != n.Epoch || m.Id.Checkpoint != n.Checkpoint {
		r.lost("manifest", n.Checkpoint, key, "it is of checkpoint %d, epoch %d, of job %q", m.Id.Checkpoint, m.Id.Epoch, m.Job)
		return nil
	}
	f := &found{key: key, retained: retainedOf(m, n.Nonce, b), base: m.Base, own: map[format.Nonce]bool{n.Nonce: true}}
	c := &Checkpoint{job: r.job, retained: f.retained}
	for _, o := range m.Objects {
		nonce := format.Nonce(o.Nonce)
		if o.Embedded && len(o.ManifestNonce) > 0 {
			nonce = format.Nonce(o.ManifestNonce)
		}
		if o.Id.Checkpoint == m.Id.Checkpoint {
			f.own[nonce] = true
		} else {
			f.refers = append(f.refers, nonce)
		}
		r.need(s, f, c, o)
	}
	if f.sealing, err = sealingOf(m.Manifest, b); err != nil {
		return err
	}
	s.found = append(s.found, f)
	return nil
}

// need checks that a pack is there as the manifest says.
func (r *repairer) need(s *remains, f *found, c *Checkpoint, o *format.Object) {
	if o.Embedded && len(o.ManifestNonce) == 0 {
		return // it was read with the manifest
	}
	size, sum := o.Size, o.Crc32C
	if o.Embedded {
		size, sum = o.ManifestSize, o.ManifestCrc32C
	}
	key := c.keyOf(o)
	var problem string
	switch i, ok := s.objects[key]; {
	case !ok:
		problem = "the object does not exist"
	case uint64(i.Size) != size:
		problem = fmt.Sprintf("%d bytes, expected %d", i.Size, size)
	case i.HasCRC32C && i.CRC32C != sum:
		problem = fmt.Sprintf("CRC32C %08x, expected %08x", i.CRC32C, sum)
	default:
		return
	}
	f.missing++
	r.lost("missing", f.id().Checkpoint, key, "%s", problem)
}

// retainedOf is the entry that HEAD would have for a manifest. When it was committed nobody knows any more; when the save began, the manifest does.
func retainedOf(m format.Contents, nonce format.Nonce, b []byte) *format.Retained {
	hash := format.Sum(b)
	st := &format.Stats{Parts: uint64(m.Parts.Len()), StoredBytes: uint64(len(b))}
	for _, p := range m.Parts.All() {
		st.Bytes += p.Size
		st.NewBytes += p.NewBytes
		st.MovedBytes += p.MovedBytes
	}
	for _, o := range m.Objects {
		if !o.Embedded && o.Id.Checkpoint == m.Id.Checkpoint {
			st.StoredBytes += o.Size
		}
	}
	return &format.Retained{
		Id: m.Id, ManifestNonce: nonce[:], ManifestSize: uint64(len(b)), ManifestCrc32C: format.CRC32C(b), ManifestHash: hash[:],
		CommittedAtNs: m.CreatedAtNs, Stats: st,
	}
}

// sealingOf is the key that the checkpoint was sealed with, nil if it was not: of those that its manifest lists the one of its own packs, if it has any.
func sealingOf(m *format.Manifest, b []byte) (*format.WrappedKey, error) {
	keys, err := format.WrappedKeys(b)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	for _, o := range m.Objects {
		i := slices.IndexFunc(keys, func(k *format.WrappedKey) bool { return bytes.Equal(k.Id, o.DataKey) })
		if o.Id.Checkpoint == m.Id.Checkpoint && i >= 0 {
			return keys[i], nil
		}
	}
	return keys[len(keys)-1], nil
}

// prove marks what was committed for certain: a base is taken from HEAD. Of two manifests of one number a base is the one that is referred to.
func (s *remains) prove() {
	byID := map[saveID][]*found{}
	for _, f := range s.found {
		byID[idOf(f.id())] = append(byID[idOf(f.id())], f)
	}
	for _, f := range s.found {
		if f.base == nil {
			continue
		}
		base := idOf(f.base)
		for _, b := range byID[base] {
			named := func(n format.Nonce) bool { return b.own[n] }
			if s.named[base] == 1 || slices.ContainsFunc(f.refers, named) {
				b.proven = true
			}
		}
	}
}

// choose marks those that the new HEAD keeps and returns them, ascending. Commits have ascending numbers and epochs that do not descend, so of two manifests that
// break that at most one was ever committed: an owner's and that of a one-shot save that lost against it, or a fenced owner's and that of the next one; their names do not
// say which. What is proven decides; where nothing is, only the caller can, by leaving one out.
func (s *remains) choose(without []string) (kept []*found, err error) {
	for _, f := range s.found {
		switch i := slices.IndexFunc(s.found, func(p *found) bool { return p.proven && contradict(p, f) }); {
		case slices.Contains(without, f.key):
			f.why = "left out on request"
		case f.missing > 0:
			f.why = fmt.Sprintf("%d of its objects are missing or damaged", f.missing)
		case !f.proven && i >= 0:
			f.why = "never committed, because this was: " + s.found[i].key
		default:
			kept = append(kept, f)
		}
	}
	var open []string
	for _, f := range kept {
		if i := slices.IndexFunc(kept, func(o *found) bool { return o != f && contradict(o, f) }); i >= 0 {
			f.why = "at most one was committed, this or " + kept[i].key
			open = append(open, f.key)
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("%w: at most one of each two of these was ever committed, and nothing tells which: %s", errUndecided, strings.Join(open, ", "))
	}
	for _, f := range kept {
		f.kept = true
	}
	slices.SortFunc(kept, func(a, b *found) int { return compare(a.id().Checkpoint, b.id().Checkpoint) })
	return kept, nil
}

var errUndecided = errors.New("it takes somebody who knows")

// contradict reports whether a and b cannot both have been committed.
func contradict(a, b *found) bool { return a != b && !follows(a, b) && !follows(b, a) }

// follows reports whether a can have been committed after b.
func follows(a, b *found) bool {
	return a.id().Checkpoint > b.id().Checkpoint && a.id().Epoch >= b.id().Epoch
}

// orphans reports saves that have packs and no manifest.
func (r *repairer) orphans(s *remains) {
	known, packs := map[saveID]bool{}, map[saveID]int{}
	used := map[format.Nonce]bool{}
	for _, f := range s.found {
		for _, n := range f.refers {
			used[n] = true
		}
	}
	for key := range s.objects {
		n, _ := format.ParseKey(r.job.name, key)
		id := saveID{n.Epoch, n.Checkpoint}
		if !n.Manifest {
			packs[id]++
		}
		// Those of a retired checkpoint may be there because others need them.
		known[id] = known[id] || n.Manifest || used[n.Nonce]
	}
	for id, n := range packs {
		if !known[id] {
			r.lost("orphan", id.checkpoint, "", "%d packs of epoch %d without a manifest: a save that was never finished, or the manifest is lost", n, id.epoch)
		}
	}
}
