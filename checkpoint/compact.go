package checkpoint

import (
	"cmp"
	"iter"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

// A pack stays in the store while one byte of it is needed. So a save moves what little is needed of old packs into its own, and the next collection takes
// them: victims chooses them from the base's manifest alone, and the bytes come from the local state that the save reads anyway.
const (
	// payment is what moving has to free for each byte that it writes. Whatever is dead was overwritten once, so moving adds at most a third to what
	// saves write, over time; and as packs with the smallest rest go first, a fifth in practice. What is stored stays near twice what is
	// needed: an evenly overwritten pack is down to a quarter of its content after ln 4 times the writes that the state is long; ln 4 / (1 - 1/4) = 1.85.
	payment = 3
	// burst and burstShare bound what one save moves, beside a third of what the one before it wrote: a small pack's worth, or a hundredth of the state.
	burst      = 8 << 20
	burstShare = 100
	// Many packs of which less than meanLive is needed on average cost restores their time. Only jobs that save less than about 1.6 MiB in a checkpoint
	// come to have more of them than fewPacks and meanLive allow. The smaller half is put together then: as many bytes again as those saves wrote, and not a
	// request more.
	meanLive = 1 << 20
	fewPacks = 64
	// mostVictims bounds the work of choosing.
	mostVictims = 1 << 10
)

// packUse is what a pack costs, and what of it a checkpoint needs.
type packUse struct {
	object uint32 // index in the manifest
	held   uint64 // bytes that are in the store because of it
	live   uint64 // bytes of those that are needed: chunks and tables
	chunks uint64 // the chunks alone
}

func (p packUse) dead() uint64 { return p.held - p.live }

// survey finds out how the packs of a manifest are used, whose object has size bytes.
func survey(m format.Contents, size uint64) []packUse {
	uses := make([]packUse, len(m.Objects))
	for o, n := range m.Parts.Used() {
		uses[o].chunks = n
	}
	for _, t := range m.Parts.Tables() {
		uses[t.Pack].live += uint64(t.Stored)
	}
	for i, o := range m.Objects {
		uses[i].object = uint32(i)
		uses[i].weigh(o, size)
	}
	return uses
}

// weigh turns bytes of content into bytes of the store.
func (p *packUse) weigh(o *format.Object, manifestSize uint64) {
	p.chunks = min(p.chunks, o.Raw) // content that repeats itself is stored once
	if o.Raw > o.Size {
		p.chunks = uint64(float64(p.chunks) * float64(o.Size) / float64(o.Raw))
	}
	p.live = min(p.live+p.chunks, o.Size)
	p.held = o.Size
	if o.Embedded { // the whole manifest stays for it
		p.held = max(cmp.Or(o.ManifestSize, manifestSize), o.Size)
	}
}

// storedSegments yields every segment of a manifest whose table is not inline.
func storedSegments(m format.Contents) iter.Seq[*format.Segment] {
	return func(yield func(*format.Segment) bool) {
		for p := range m.Parts.Stored() {
			for _, s := range p.Segments {
				if s.GetStored() != nil && !yield(s) {
					return
				}
			}
		}
	}
}

// tablesOf are the places of a segment's table; none if it is in the manifest.
func tablesOf(s *format.Segment) []*format.Location {
	switch {
	case s.GetStored() == nil:
		return nil
	case s.GetDelta() == nil:
		return []*format.Location{s.GetStored()}
	}
	return []*format.Location{s.GetStored(), s.GetDelta()}
}

// victims returns, by the index of the object, which packs of the base no new manifest should refer to; nil if all may stay.
func victims(m format.Contents, size uint64) []bool {
	uses := survey(m, size)
	wrote, live := size, uint64(0)
	for i, o := range m.Objects {
		live += uses[i].live
		if !o.Embedded && o.Id.Epoch == m.Id.Epoch && o.Id.Checkpoint == m.Id.Checkpoint {
			wrote += o.Size
		}
	}
	limit := max(wrote/payment, burst, live/burstShare)
	chosen := mostlyDead(m, uses, limit)
	if len(uses)-len(chosen) > fewPacks+int(live/meanLive) {
		chosen = tooSmall(m, uses, limit)
	}
	if len(chosen) == 0 {
		return nil
	}
	out := make([]bool, len(uses))
	for _, p := range chosen {
		out[p.object] = true
	}
	return out
}

// mostlyDead chooses packs whose dead bytes pay for moving the rest of them: as many as limit allows, those with the smallest rest first.
func mostlyDead(m format.Contents, uses []packUse, limit uint64) []packUse {
	var order []packUse
	for _, p := range uses {
		if p.live*payment <= p.dead() {
			order = append(order, p)
		}
	}
	slices.SortFunc(order, func(a, b packUse) int {
		return cmp.Or(cmp.Compare(float64(a.live)/float64(a.held), float64(b.live)/float64(b.held)), cmp.Compare(a.object, b.object))
	})
	order = order[:min(len(order), mostVictims)]
	cost, n, freed := costOfMoving(m, order), 0, uint64(0)
	for i, p := range order {
		freed += p.dead()
		if cost[i] > limit {
			break
		}
		// One pack alone may not pay for the tables that name it, while several do, because they share them.
		if cost[i]*payment <= freed {
			n = i + 1
		}
	}
	return order[:n]
}

// tooSmall chooses the packs of which least is needed: half of them, or what limit allows; several, or none.
func tooSmall(m format.Contents, uses []packUse, limit uint64) []packUse {
	order := slices.SortedFunc(slices.Values(uses), func(a, b packUse) int {
		return cmp.Or(cmp.Compare(a.live, b.live), cmp.Compare(a.object, b.object))
	})
	order = order[:min(len(order)/2, mostVictims)]
	n := 0
	for _, c := range costOfMoving(m, order) {
		if c <= limit {
			n++
		}
	}
	if n < 2 {
		return nil
	}
	return order[:n]
}

// costOfMoving returns what a save writes to move the first, the first two, the first three … of packs: their chunks, and the table of every
// segment that names one of them, once. (An inline table is written with the manifest anyway.)
func costOfMoving(m format.Contents, packs []packUse) []uint64 {
	turn := make(map[uint32]int, len(packs))
	cost := make([]uint64, len(packs))
	for i, p := range packs {
		turn[p.object], cost[i] = i, p.chunks
	}
	if len(packs) == 0 {
		return nil
	}
	for s := range storedSegments(m) {
		first, size := len(packs), uint64(0)
		for o := range packsOf(s) {
			if i, ok := turn[o]; ok {
				first = min(first, i)
			}
		}
		for _, l := range tablesOf(s) {
			size += uint64(l.Stored)
		}
		if first < len(packs) {
			cost[first] += size
		}
	}
	for i := 1; i < len(cost); i++ {
		cost[i] += cost[i-1]
	}
	return cost
}

// victim reports whether the new manifest should not refer to a pack of the base, by its index there: what is needed of it has to be written again.
func (b *base) victim(object uint32) bool { return b.victims != nil && b.victims[object] }

// mustMove reports whether a segment of the base has to be written again, at least in part, because it lies in a victim or names one.
func (b *base) mustMove(s *format.Segment) bool {
	if b.victims == nil {
		return false
	}
	for o := range packsOf(s) {
		if b.victims[o] {
			return true
		}
	}
	return false
}

// packsOf yields every pack that keeping a segment as it is would keep, some more than once.
func packsOf(s *format.Segment) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, o := range s.GetInline().GetChunkPack() {
			if !yield(o) {
				return
			}
		}
		for _, o := range s.Objects {
			if !yield(o) {
				return
			}
		}
		for _, l := range tablesOf(s) {
			if !yield(l.Object) {
				return
			}
		}
	}
}
