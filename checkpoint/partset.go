package checkpoint

import (
	"hash/maphash"
	"runtime"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// newPartList makes a list that keeps what is large of it outside of the Go heap.
func newPartList() *format.PartList {
	s := new(slabs)
	l := format.NewPartList(s.allocate)
	runtime.AddCleanup(l, (*slabs).release, s)
	return l
}

// partSet is what a save has of its parts. Each is encoded as soon as it is whole, because a message takes thirty times as much. Not safe for concurrent use.
type partSet struct {
	list   *format.PartList
	saving map[string]struct{} // names of those that have been begun
	names  map[uint64]struct{} // hashes of the others' names
	seed   maphash.Seed

	waiting []*format.Part // whole but for the places of their tables, which are held back
	sweepAt int            // how many may wait until it is looked which are placed

	size, new, moved uint64 // bytes
}

// leastSweep is how many parts may wait for their tables' places at any time.
const leastSweep = 256

func newPartSet() partSet {
	return partSet{list: newPartList(), saving: map[string]struct{}{}, names: map[uint64]struct{}{}, seed: maphash.MakeSeed(), sweepAt: leastSweep}
}

// has reports whether there is a part of this name.
func (s *partSet) has(name string) bool {
	if _, ok := s.saving[name]; ok {
		return true
	}
	if _, ok := s.names[maphash.String(s.seed, name)]; !ok {
		return false
	}
	// Two names may have one hash, if hardly ever.
	return slices.ContainsFunc(s.waiting, func(p *format.Part) bool { return string(p.Name) == name }) || s.list.Has([]byte(name))
}

// begin claims a name; false if there is a part of it.
func (s *partSet) begin(name string) bool {
	if s.has(name) {
		return false
	}
	s.saving[name] = struct{}{}
	return true
}

// unfinished is the first part that was begun and did not end.
func (s *partSet) unfinished() (name string, found bool) {
	for n := range s.saving {
		if !found || n < name {
			name, found = n, true
		}
	}
	return name, found
}

func (s *partSet) len() int { return s.list.Len() + len(s.waiting) }

// end takes a part that is whole. placed reports whether the tables of a part have their places.
func (s *partSet) end(p *format.Part, placed func([]*format.Part) []bool) error {
	delete(s.saving, string(p.Name))
	s.names[maphash.Bytes(s.seed, p.Name)] = struct{}{}
	s.size, s.new, s.moved = s.size+p.Size, s.new+p.NewBytes, s.moved+p.MovedBytes
	if !slices.ContainsFunc(p.Segments, func(g *format.Segment) bool { return g.GetStored() != nil }) {
		return s.list.Append(p)
	}
	if s.waiting = append(s.waiting, p); len(s.waiting) < s.sweepAt {
		return nil
	}
	still := s.waiting[:0]
	for i, ok := range placed(s.waiting) {
		if !ok {
			still = append(still, s.waiting[i])
		} else if err := s.list.Append(s.waiting[i]); err != nil {
			return err
		}
	}
	clear(s.waiting[len(still):])
	s.waiting, s.sweepAt = still, max(leastSweep, 2*len(still))
	return nil
}

// finish returns the list of all parts, once every table has its place.
func (s *partSet) finish() (*format.PartList, error) {
	for _, p := range s.waiting {
		if err := s.list.Append(p); err != nil {
			return nil, err
		}
	}
	s.waiting = nil
	s.list.Sort()
	return s.list, nil
}

// placed tells which of the parts have a place for each of their tables.
func (p *packer) placed(parts []*format.Part) []bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]bool, len(parts))
	for i, part := range parts {
		out[i] = !slices.ContainsFunc(part.Segments, func(s *format.Segment) bool {
			return slices.ContainsFunc(tablesOf(s), func(l *format.Location) bool { return l.Stored == 0 })
		})
	}
	return out
}
