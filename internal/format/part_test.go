package format

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestPartRules(t *testing.T) {
	part := func(i int, change func(p *Part)) func(m *Manifest) { return func(m *Manifest) { change(m.Parts[i]) } }
	inlineTable := func(change func(t *Table)) func(m *Manifest) {
		return func(m *Manifest) { change(m.Parts[inOld].Segments[0].GetInline()) }
	}
	delta := func(change func(s *Segment)) func(m *Manifest) {
		return func(m *Manifest) { change(m.Parts[inDB].Segments[0]) }
	}
	stored := func(change func(l *Location)) func(m *Manifest) {
		return func(m *Manifest) { change(m.Parts[inDB].Segments[0].GetStored()) }
	}
	checkManifestRules(t, func() (*Manifest, []byte) { return goldenStored(t), nil }, []manifestRule{
		{"no name", part(inOffsets, func(p *Part) { p.Name = nil }), "needs a name"},
		{"name that leaves", part(inOffsets, func(p *Part) { p.Name = []byte("../x") }), "plain relative path"},
		{"in disorder", func(m *Manifest) { m.Parts[0], m.Parts[1] = m.Parts[1], m.Parts[0] }, "out of order"},
		{"twice", part(inState, func(p *Part) { p.Name = []byte("offsets") }), "out of order"},
		{"no kind", part(inEmpty, func(p *Part) { p.Kind = 0 }), "kind 0"},
		{"no method", part(inEmpty, func(p *Part) { p.Method = 0 }), "no method"},
		{"identity without one", part(inOld, func(p *Part) { p.Identity = nil }), "without an identity"},
		{"identity and new", part(inOld, func(p *Part) { p.NewBytes = 1 }), "new bytes"},
		{"more new than there is", part(inDB, func(p *Part) { p.NewBytes = 201 }), "201 new bytes"},
		{"more chunks than bytes", part(inDB, func(p *Part) { p.Chunks = 201 }), "201 chunks"},
		{"mode with a type", part(inEmpty, func(p *Part) { p.Mode = 0o4755 }), "mode 4755"},
		{"stream with a mode", part(inOffsets, func(p *Part) { p.Mode = 0o644 }), "a stream with"},
		{"stream with a time", part(inOffsets, func(p *Part) { p.ModifiedNs = 1 }), "a stream with"},
		{"file with a target", part(inEmpty, func(p *Part) { p.LinkTarget = []byte("x") }), "not a link"},
		{"directory with a target", part(inState, func(p *Part) { p.LinkTarget = []byte("x") }), "link target"},
		{"directory with a size", part(inState, func(p *Part) { p.Size = 1 }), "with content"},
		{"directory with an identity", part(inState, func(p *Part) { p.Identity = []byte("x") }), "with content"},
		{"link without a target", part(inCurrent, func(p *Part) { p.LinkTarget = nil }), "link target"},
		{"link with a zero byte", part(inCurrent, func(p *Part) { p.LinkTarget = []byte("a\x00b") }), "link target"},
		{"endless link", part(inCurrent, func(p *Part) { p.LinkTarget = make([]byte, maxPartName+1) }), "link target"},
		{"link with segments", func(m *Manifest) { m.Parts[inCurrent].Segments = m.Parts[inOld].Segments }, "with content"},
		{"empty with segments", func(m *Manifest) { m.Parts[inEmpty].Segments = m.Parts[inOld].Segments }, "empty, with 1"},
		{"segments of nothing", part(inDB, func(p *Part) { p.SegmentSize = 0 }), "segments of 0"},
		{"endless segments", part(inDB, func(p *Part) { p.SegmentSize = maxSegment + 1 }), "segments of"},
		{"too few segments", part(inDB, func(p *Part) { p.SegmentSize = 199 }), "200 bytes in 1 segments of 199"},
		{"too many segments", part(inDB, func(p *Part) { p.Segments = append(p.Segments, p.Segments[0]) }), "in 2 segments"},
		{"endless part", part(inDB, func(p *Part) { p.Size, p.NewBytes, p.Chunks = 1<<64-1, 0, 0 }), "18446744073709551615 bytes in 1 segments"},
		{"segment without a table", part(inDB, func(p *Part) { p.Segments[0].Where = nil }), "no table"},
		{"inline with objects", part(inOld, func(p *Part) { p.Segments[0].Objects = []uint32{0} }), "inline, and names packs"},
		{"inline with packs", inlineTable(func(t *Table) { t.Packs = [][]byte{nonce(1)} }), "inline, and names packs"},

		{"inline with a delta", part(inOld, func(p *Part) { p.Segments[0].Delta = new(Location) }), "inline, and names packs"},
		{"inline with figures", part(inOld, func(p *Part) { p.Segments[0].Used = []uint64{1} }), "inline, and names packs"},
		{"more moved than there is", part(inDB, func(p *Part) { p.MovedBytes = 201 }), "201 bytes moved"},
		{"delta of no object", delta(func(s *Segment) { s.Delta.Object = 4 }), "object 4 of 4"},
		{"delta nowhere", delta(func(s *Segment) { s.Delta = new(Location) }), "delta: frame of 0"},
		{"delta in the trailer", delta(func(s *Segment) { s.Delta.Offset += 300 }), "in a pack of 317"},
		{"use of too few packs", delta(func(s *Segment) { s.Used = s.Used[1:] }), "use of 1 packs, of 2"},
		{"use of too much", delta(func(s *Segment) { s.Used[1] = 77 }), "more than its 200 bytes"},
		{"use that wraps", delta(func(s *Segment) { s.Used[0], s.Used[1] = 1<<64-1, 2 }), "more than its 200 bytes"},

		{"table of no object", stored(func(l *Location) { l.Object = 4 }), "object 4 of 4"},
		{"table of an object beyond int32", stored(func(l *Location) { l.Object = 1<<32 - 1 }), "object 4294967295 of 4"},
		{"table in the header", stored(func(l *Location) { l.Offset = headerSize - 1 }), "frame at 15"},
		{"table in the trailer", stored(func(l *Location) { l.Offset += 300 }), "in a pack of 433"},
		{"table behind the end", stored(func(l *Location) { l.Offset = 1<<64 - 1 }), "frame at 18446744073709551615"},
		{"table of nothing", stored(func(l *Location) { l.Raw = 0 }), "for 0"},
		{"table without a header", stored(func(l *Location) { l.Stored = FrameHeaderSize - 1 }), "frame of 15"},
		{"table that grew by compression", stored(func(l *Location) { l.Stored = FrameHeaderSize + l.Raw + TagSize + 1 }), "frame of"},
		{"table beyond a frame", stored(func(l *Location) { l.Raw = MaxRaw + 1 }), "for 1048577"},
		{"table without a hash", stored(func(l *Location) { l.Hash = l.Hash[1:] }), "hash of 31"},
		{"table's pack unknown", part(inDB, func(p *Part) { p.Segments[0].Objects = []uint32{4, 1} }), "object 4 of 4"},
		{"table's pack beyond int32", part(inDB, func(p *Part) { p.Segments[0].Objects = []uint32{1 << 31, 1} }), "object 2147483648 of 4"},
	})
	for _, method := range []Part_Method{Part_PAGES, Part_IDENTITY, Part_APPEND} {
		checkManifestRules(t, func() (*Manifest, []byte) { return goldenEmbedded(t) }, []manifestRule{
			{"compared with nothing", func(m *Manifest) { m.Parts[0].Method, m.Parts[0].Identity, m.Parts[0].NewBytes = method, []byte{1}, 0 }, "without a base"},
		})
	}
}

// named is a manifest of parts of these names; one that ends in a slash is a directory, in an at sign a link.
func named(names []string) *Manifest {
	m := &Manifest{Job: "j", Id: &CheckpointID{Epoch: 1, Checkpoint: 1}}
	for _, name := range names {
		p := &Part{Kind: Part_FILE, Method: Part_FULL}
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			name, p.Kind = dir, Part_DIRECTORY
		} else if link, ok := strings.CutSuffix(name, "@"); ok {
			name, p.Kind, p.LinkTarget = link, Part_SYMLINK, []byte("x")
		}
		p.Name = []byte(name)
		m.Parts = append(m.Parts, p)
	}
	slices.SortFunc(m.Parts, func(a, b *Part) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return m
}

// A part that is no directory can have nothing below it: both could not be restored, and a link would be written through.
func TestPartsThatCannotBeRestoredTogether(t *testing.T) {
	for _, tt := range []struct {
		names    string
		conflict string
	}{
		{"a b c", ""},
		{"a a/b", `part "a/b" lies below part "a"`},
		{"a@ a/b", `part "a/b" lies below part "a"`},
		{"a/ a/b", ""},
		{"a/ a/b a/b/c", `part "a/b/c" lies below part "a/b"`},
		{"a a!b a-b a.b a/b", `part "a/b" lies below part "a"`}, // ! - . sort before the slash
		{"a a!b a-b a.b a0 ab", ""},
		{"a a!/ a!/b a!/b!c a/b/c/d", `part "a/b/c/d" lies below part "a"`},
		{"a/b a/b-c a/b/c", `part "a/b/c" lies below part "a/b"`},
		{"a/b/ a/b-c a/b/c", ""},
		{"a aa aaa aaa/a", `part "aaa/a" lies below part "aaa"`},
		{"a aa aaa aa/a", `part "aa/a" lies below part "aa"`},
		{"\xff \xff/\x01", `lies below part "\xff"`},
	} {
		t.Run(tt.names, func(t *testing.T) {
			m := named(strings.Fields(tt.names))
			b, err := encodeWhole(m, nil, nil)
			_, decodeErr := decodeWhole(seal(KindManifest, raw(t, m), nil), nil)
			if tt.conflict == "" {
				if err != nil || decodeErr != nil || len(b) == 0 {
					t.Errorf("refused: %v, %v", err, decodeErr)
				}
				return
			}
			wantOne(t, err, ErrInvalid, tt.conflict)
			wantOne(t, decodeErr, ErrCorrupt, tt.conflict)
		})
	}
}

// The rule, as plainly as it can be said, against the one pass over the sorted names.
func TestPartConflictsAgainstABruteSearch(t *testing.T) {
	letters := []string{"a", "b", "a-", "-", "a.b"}
	for n := range 5000 {
		var names []string
		seed := n
		next := func(k int) int { seed = (seed*1103515245 + 12345) & (1<<31 - 1); return seed >> 8 % k }
		for range 2 + next(5) {
			var segs []string
			for range 1 + next(3) {
				segs = append(segs, letters[next(len(letters))%len(letters)])
			}
			name := strings.Join(segs, "/")
			if !slices.Contains(names, name) && !slices.Contains(names, name+"/") {
				names = append(names, name+[]string{"", "/"}[next(2)%2])
			}
		}
		want := false
		for _, a := range names {
			for _, b := range names {
				want = want || (!strings.HasSuffix(a, "/") && strings.HasPrefix(b, a+"/"))
			}
		}
		if _, err := encodeWhole(named(names), nil, nil); (err != nil) != want {
			t.Fatalf("%q: conflict %v, answer %v", names, want, err)
		}
	}
}

func TestSegmentLength(t *testing.T) {
	for _, tt := range []struct{ size, segment, last uint64 }{{1, 10, 1}, {10, 10, 10}, {11, 10, 1}, {20, 10, 10}, {1 << 40, 16 << 20, 16 << 20}} {
		p := &Part{Size: tt.size, SegmentSize: tt.segment}
		n := int((tt.size-1)/tt.segment + 1)
		if got := SegmentLength(p, n-1); got != tt.last {
			t.Errorf("%+v: last segment of %d", tt, got)
		}
		if n > 1 && SegmentLength(p, 0) != tt.segment {
			t.Errorf("%+v: first segment of %d", tt, SegmentLength(p, 0))
		}
	}
}

func TestManifestRoundTripOfManyParts(t *testing.T) {
	var names []string
	for i := range 3000 {
		names = append(names, fmt.Sprintf("dir%d/", i%50), fmt.Sprintf("dir%d/file-%d", i%50, i))
	}
	slices.Sort(names)
	m := named(slices.Compact(names))
	if got := must(decodeWhole(must(encodeWhole(m, nil, nil))(t), nil))(t); !proto.Equal(got, m) {
		t.Error("not the same")
	}
}
