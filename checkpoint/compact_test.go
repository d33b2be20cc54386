package checkpoint

import (
	"math/rand/v2"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
)

// life is one file in pages over many checkpoints, as far as packs are concerned: which pack each page lies in, and what each segment's table names.
type life struct {
	pages    []int // number of the pack
	packs    map[int]*format.Object
	segments []lifeSegment
	numbers  int
	round    uint64
	manifest format.Contents

	fresh, moved, tables uint64 // bytes written so far
}

type lifeSegment struct {
	named   map[int]bool // packs that the stored table names; they stay as long as it does
	deltas  int          // pages that the delta overrides
	at      int          // pack of the stored table
	deltaAt int          // -1: there is none
}

const (
	lifePage     = 31 // bytes of a table for a changed page: its hash and an extent
	segmentPages = segmentSize / pageSize
	lifePack     = 8 << 20
)

func newLife(size int) *life {
	l := &life{pages: make([]int, size/pageSize), packs: map[int]*format.Object{}, segments: make([]lifeSegment, size/segmentSize)}
	for i := range l.pages {
		l.pages[i] = -1
	}
	all := make(map[int]bool, len(l.pages))
	for i := range l.pages {
		all[i] = true
	}
	l.save(all, true)
	return l
}

// save is one checkpoint in which the given pages changed.
func (l *life) save(changed map[int]bool, compact bool) {
	l.round++
	evicted := map[int]bool{}
	if compact && l.manifest.Manifest != nil {
		for i, v := range victims(l.manifest, 4<<10) {
			if v {
				evicted[int(l.manifest.Objects[i].Number)] = true
			}
		}
	}
	var open *format.Object
	put := func(n int, content uint64) int {
		if open == nil || open.Size+uint64(n) > lifePack {
			open = &format.Object{Id: &format.CheckpointID{Epoch: 1, Checkpoint: l.round}, Number: uint32(l.numbers), Size: 32}
			l.packs[l.numbers] = open
			l.numbers++
		}
		open.Size += uint64(n)
		open.Raw += content
		return int(open.Number)
	}
	touched := map[int]int{}
	for i, pack := range l.pages {
		switch {
		case changed[i]:
			l.fresh += pageSize
		case evicted[pack]:
			l.moved += pageSize
		default:
			continue
		}
		l.pages[i] = put(pageSize, pageSize)
		touched[i/segmentPages]++
	}
	for i := range l.segments {
		s := &l.segments[i]
		again := s.named == nil || evicted[s.at]
		for p := range s.named {
			again = again || evicted[p]
		}
		s.deltas += touched[i]
		switch {
		case again || s.deltas > segmentPages/4:
			*s = lifeSegment{named: map[int]bool{}, at: put(segmentPages*18, 0), deltaAt: -1}
			for _, p := range l.pages[i*segmentPages : (i+1)*segmentPages] {
				s.named[p] = true
			}
			l.tables += segmentPages * 18
		case touched[i] > 0 || (s.deltas > 0 && evicted[s.deltaAt]):
			s.deltaAt = put(s.deltas*lifePage, 0)
			l.tables += uint64(s.deltas) * lifePage
		}
	}
	l.manifest = l.toManifest()
}

func (l *life) toManifest() format.Contents {
	m := &format.Manifest{Id: &format.CheckpointID{Epoch: 1, Checkpoint: l.round}}
	index := map[int]uint32{}
	object := func(pack int) uint32 {
		i, ok := index[pack]
		if !ok {
			i = uint32(len(m.Objects))
			index[pack], m.Objects = i, append(m.Objects, l.packs[pack])
		}
		return i
	}
	size := uint64(len(l.pages)) * pageSize
	part := &format.Part{Name: []byte("state"), Kind: format.Part_FILE, Method: format.Part_FULL, Size: size, SegmentSize: segmentSize}
	location := func(object uint32, stored int) *format.Location {
		return &format.Location{Object: object, Offset: 16, Stored: uint32(stored), Raw: uint32(stored), Hash: make([]byte, format.HashSize)}
	}
	for i, s := range l.segments {
		used := map[int]uint64{}
		for p := range s.named {
			used[p] = 0
		}
		for _, p := range l.pages[i*segmentPages : (i+1)*segmentPages] {
			used[p] += pageSize
		}
		out := &format.Segment{Where: &format.Segment_Stored{Stored: location(object(s.at), segmentPages*18)}}
		if s.deltaAt >= 0 {
			out.Delta = location(object(s.deltaAt), s.deltas*lifePage)
		}
		for p, n := range used {
			out.Objects, out.Used = append(out.Objects, object(p)), append(out.Used, n)
		}
		part.Segments = append(part.Segments, out)
	}
	parts := format.NewPartList(nil)
	if err := parts.Append(part); err != nil {
		panic(err)
	}
	parts.Sort()
	return format.Contents{Manifest: m, Parts: parts}
}

func (l *life) stored() (n uint64) {
	for _, o := range l.manifest.Objects {
		n += o.Size
	}
	return n
}

// Pages change at random over hundreds of checkpoints: what one checkpoint keeps in the store stays near twice its size, and moving costs its share.
func TestCompactionBoundsWhatIsStored(t *testing.T) {
	measuresAmounts(t)
	for name, tt := range map[string]struct {
		size, rounds int
		perRound     int     // pages changed
		hot          int     // percent of the pages that nine of ten changes go to
		share        float64 // of what was written, that moving may add
		grows        float64 // what is stored without compaction, at least
	}{
		"evenly":    {128 << 20, 200, 650, 100, 0.25, 4},
		"a lot":     {128 << 20, 200, 3250, 100, 0.25, 6},
		"hot pages": {128 << 20, 200, 650, 10, 0.25, 4},
		"hardly":    {128 << 20, 200, 50, 100, 0.25, 1},
		// Small packs that are needed for long are put together, which costs as many bytes again.
		"a little": {16 << 20, 600, 20, 100, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			with, without := newLife(tt.size), newLife(tt.size)
			rnd := rand.New(rand.NewPCG(1, 2))
			stored, objects, total := 0.0, 0, float64(tt.size)
			for range tt.rounds {
				changed := map[int]bool{}
				for len(changed) < tt.perRound {
					page := rnd.IntN(len(with.pages))
					if tt.hot < 100 && rnd.IntN(10) > 0 {
						page = rnd.IntN(len(with.pages) * tt.hot / 100)
					}
					changed[page] = true
				}
				with.save(changed, true)
				without.save(changed, false)
				stored, objects = max(stored, float64(with.stored())/total), max(objects, len(with.manifest.Objects))
			}
			wrote := without.fresh - uint64(tt.size) + without.tables
			share := (float64(with.moved) + float64(with.tables) - float64(without.tables)) / float64(wrote)
			grown := float64(without.stored()) / total
			t.Logf("%-9s stored at most %.2f times the state (without: %.2f), in %d packs (without: %d); moving adds %.1f %%", name, stored, grown,
				objects, len(without.manifest.Objects), 100*share)
			if stored > 2.6 || grown < tt.grows {
				t.Errorf("%.2f times the state is stored, %.2f times without compaction; want at most 2.6, and at least %.1f", stored, grown, tt.grows)
			}
			if limit := fewPacks + 2*tt.size/meanLive; objects > limit {
				t.Errorf("%d packs in a manifest, want at most %d", objects, limit)
			}
			if share > tt.share {
				t.Errorf("moving adds %.1f %% to what is written, want at most %.1f %%", 100*share, 100*tt.share)
			}
		})
	}
}
