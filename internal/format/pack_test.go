package format

import (
	"bytes"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestPackRoundTrip(t *testing.T) {
	for name, key := range map[string]*DataKey{"plain": nil, "sealed": goldenKey()} {
		t.Run(name, func(t *testing.T) {
			buf := make([]byte, 0, 1<<20)
			p := NewPackBuilder(buf, nonce(1), key)
			want, contents := new(PackIndex), [][]byte{}
			for _, name := range []string{"a", "b", "c"} {
				want.Parts = append(want.Parts, &PackPart{Name: []byte(name), Kind: Part_FILE, Mode: 0o600, ModifiedNs: -5})
			}
			for i, part := range []uint32{0, 1, 0, 2} {
				content := noise(uint64(i), 1000*(i+1))
				f, _ := AppendFrame(nil, content, nil, CodecSnappy)
				x := want.Parts[part]
				hash := Sum(content)
				at, stored := p.Add(f, PackFrame{Kind: PackEntry_CHUNK, Raw: len(content), Hash: hash, Segment: i, At: uint64(i) << 40,
					Part: &Part{Name: x.Name, Kind: x.Kind, Mode: x.Mode, ModifiedNs: x.ModifiedNs}})
				if at != uint64(len(p.buf)-int(stored)) || p.Frames() != i+1 {
					t.Errorf("frame %d of %d at %d", i, p.Frames(), at)
				}
				want.Entries = append(want.Entries, &PackEntry{Kind: PackEntry_CHUNK, Offset: at, Stored: stored, Raw: uint32(len(content)), Hash: hash[:], Part: part, Segment: uint32(i), At: uint64(i) << 40})
				contents = append(contents, content)
			}
			if p.Raw() != 10_000 {
				t.Errorf("%d bytes of content", p.Raw())
			}
			b := must(p.Finish())(t)
			if &b[0] != &buf[:1][0] {
				t.Error("the pack is not in the space that was given")
			}
			x, opens, err := DecodePack(b, goldenRing())
			if err != nil || !proto.Equal(x, want) {
				t.Fatalf("got %v, want %v, %v", x, want, err)
			}
			for i, e := range x.Entries {
				got := must(DecodeFrame(nil, b[e.Offset:][:e.Stored], entryChunk(e), opens))(t)
				if !bytes.Equal(got, contents[i]) {
					t.Errorf("frame %d: %d bytes", i, len(got))
				}
			}
			// The index is encoded by hand, as the library would.
			if key == nil && !bytes.Equal(raw(t, want), b[p.start+len(p.buf)-p.start:len(b)-packTrailerSize]) {
				t.Error("the index is encoded differently")
			}
		})
	}
}

// Frames may be placed in any order, at the same time, and the pack is the same.
func TestReserveAndPlace(t *testing.T) {
	for name, key := range map[string]*DataKey{"plain": nil, "sealed": goldenKey()} {
		t.Run(name, func(t *testing.T) {
			one, other := NewPackBuilder(nil, nonce(1), key), NewPackBuilder(make([]byte, 0, 1<<20), nonce(1), key)
			var wg sync.WaitGroup
			for i := range 50 {
				content := noise(uint64(i), 1000+i)
				f, x := plain(content), PackFrame{Kind: PackEntry_CHUNK, Raw: len(content), Hash: Sum(content), Part: db(), Segment: i}
				at, stored := one.Add(f, x)
				offset, space := other.Reserve(len(f), x)
				if at != offset || int(stored) != len(space) {
					t.Errorf("frame %d at %d with %d bytes, and at %d with %d", i, at, stored, offset, len(space))
				}
				wg.Go(func() { other.Place(space, f, offset) })
			}
			wg.Wait()
			if !bytes.Equal(must(one.Finish())(t), must(other.Finish())(t)) {
				t.Error("the packs differ")
			}
		})
	}
	p := NewPackBuilder(make([]byte, 0, headerSize+50), nonce(1), goldenKey())
	if _, space := p.Reserve(50, PackFrame{Kind: PackEntry_CHUNK, Raw: 34, Part: db()}); space != nil || p.Frames() != 0 {
		t.Errorf("%d bytes reserved where there is no room", len(space))
	}
}

func TestFramesCostNoAllocation(t *testing.T) {
	for name, key := range map[string]*DataKey{"plain": nil, "sealed": goldenKey()} {
		p := NewPackBuilder(make([]byte, 0, 16<<20), nonce(1), key)
		p.entries = make([]byte, 0, 1<<20)
		f, x := plain(textContent), PackFrame{Kind: PackEntry_CHUNK, Raw: len(textContent), Part: db()}
		p.Add(f, x)
		if n := testing.AllocsPerRun(1000, func() { p.Add(f, x) }); n != 0 {
			t.Errorf("%s: %v allocations for each frame", name, n)
		}
	}
}

func TestPackWithoutFrames(t *testing.T) {
	b := must(NewPackBuilder(nil, nonce(1), nil).Finish())(t)
	if x, _, err := DecodePack(b, nil); err != nil || len(x.Entries) != 0 || len(b) != headerSize+packTrailerSize {
		t.Errorf("%d bytes, %v, %v", len(b), x, err)
	}
}

// Room must never promise less than the pack becomes: a pack is built in a buffer of fixed size.
func TestRoomIsEnough(t *testing.T) {
	for _, key := range []*DataKey{nil, goldenKey()} {
		p := NewPackBuilder(nil, nonce(1), key)
		f := plain([]byte("x"))
		for i := range 300 {
			part := &Part{Name: bytes.Repeat([]byte("p"), 1+i*13%maxPartName), Kind: Part_FILE, Mode: 0o777, ModifiedNs: -1}
			room := p.Room(len(f), part.Name)
			p.Add(f, PackFrame{Kind: PackEntry_CHUNK, Raw: 1, Part: part, Segment: 1<<31 - 1, At: 1<<64 - 1})
			if got := p.Room(0, nil); got > room {
				t.Fatalf("frame %d: %d bytes promised, then %d", i, room, got)
			}
		}
		room := p.Room(0, nil)
		if b := must(p.Finish())(t); len(b) > room {
			t.Errorf("%d bytes, %d promised", len(b), room)
		}
	}
	// The widest numbers that fields can have.
	const most = 1<<32 - 1
	e := &PackEntry{Kind: PackEntry_DELTA, Offset: 1 << 40, Stored: most, Raw: most, Hash: make([]byte, HashSize), Part: most, Segment: most, At: 1<<64 - 1}
	if n := proto.Size(&PackIndex{Entries: []*PackEntry{e}}); n > entrySize {
		t.Errorf("an entry takes %d bytes", n)
	}
	part := &PackPart{Name: make([]byte, maxPartName), Kind: Part_FILE, Mode: 0o777, ModifiedNs: -1}
	if n := proto.Size(&PackIndex{Parts: []*PackPart{part}}) - maxPartName; n > partOverhead {
		t.Errorf("a part's name takes %d bytes more", n)
	}
}

func TestPackRules(t *testing.T) {
	whole := golden(t, "pack")
	x, _, err := DecodePack(whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := x.Entries[len(x.Entries)-1]
	frames := whole[headerSize : last.Offset+uint64(last.Stored)]
	for _, tt := range []struct {
		name   string
		change func(x *PackIndex)
		says   string
	}{
		{"no kind", func(x *PackIndex) { x.Entries[0].Kind = 0 }, "kind 0"},
		{"a table in the middle", func(x *PackIndex) { x.Entries[2].At = 1 }, "kind 2, at 1 of its part"},
		{"no hash", func(x *PackIndex) { x.Entries[0].Hash = nil }, "hash of 0"},
		{"nothing", func(x *PackIndex) { x.Entries[0].Raw = 0 }, "for 0"},
		{"beyond a frame", func(x *PackIndex) { x.Entries[0].Raw = MaxRaw + 1 }, "for 1048577"},
		{"no header", func(x *PackIndex) { x.Entries[0].Stored = 15 }, "frame of 15"},
		{"grew by compression", func(x *PackIndex) { x.Entries[0].Raw -= TagSize + 1 }, "frame of"},
		{"no part", func(x *PackIndex) { x.Entries[0].Part = 1 }, "part 1 of 1"},
		{"part beyond int32", func(x *PackIndex) { x.Entries[0].Part = 1 << 31 }, "part 2147483648"},
		{"part that leaves", func(x *PackIndex) { x.Parts[0].Name = []byte("../x") }, "plain relative path"},
		{"part that has no content", func(x *PackIndex) { x.Parts[0].Kind = Part_DIRECTORY }, "is a DIRECTORY"},
		{"part of a strange mode", func(x *PackIndex) { x.Parts[0].Mode = 0o1000 }, "of mode 1000"},
		{"part twice", func(x *PackIndex) {
			x.Parts = append(x.Parts, &PackPart{Name: []byte("z"), Kind: Part_FILE}, x.Parts[0])
		}, `"state/db" is there twice`},
		{"a gap", func(x *PackIndex) { x.Entries[1].Offset++ }, "where a frame starts at"},
		{"an overlap", func(x *PackIndex) { x.Entries[1].Offset-- }, "where a frame starts at"},
		{"in the header", func(x *PackIndex) { x.Entries[0].Offset = 0 }, "entry 0 is at 0"},
		{"far away", func(x *PackIndex) { x.Entries[2].Offset = 1<<64 - 1 }, "entry 2 is at 18446744073709551615"},
		{"in disorder", func(x *PackIndex) { x.Entries[0], x.Entries[1] = x.Entries[1], x.Entries[0] }, "where a frame starts at 16"},
		{"frame not named", func(x *PackIndex) { x.Entries = x.Entries[:2] }, "frames up to"},
		{"too long", func(x *PackIndex) { x.Entries[2].Stored, x.Entries[2].Raw = 2000, 2000 }, "frames up to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := proto.CloneOf(x)
			tt.change(x)
			_, _, err := DecodePack(packOf(frames, raw(t, x)), nil)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
	b := bytes.Clone(whole)
	b[12] = 1
	_, _, err = DecodePack(b, nil)
	wantOne(t, err, ErrCorrupt, "pack with a body of 1 bytes")
}

// A builder refuses what no reader would take.
func TestPackBuilderRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(f *PackFrame)
		says   string
	}{
		"no kind":         {func(f *PackFrame) { f.Kind = 0 }, "kind 0"},
		"nothing":         {func(f *PackFrame) { f.Raw = 0 }, "for 0"},
		"too much":        {func(f *PackFrame) { f.Raw = MaxRaw + 1 }, "for 1048577"},
		"table somewhere": {func(f *PackFrame) { f.Kind, f.At = PackEntry_TABLE, 1 }, "at 1 of its part"},
		"no name":         {func(f *PackFrame) { f.Part = &Part{Kind: Part_FILE} }, "needs a name"},
		"a link":          {func(f *PackFrame) { f.Part = &Part{Name: []byte("x"), Kind: Part_SYMLINK} }, "SYMLINK"},
	} {
		p := NewPackBuilder(nil, nonce(1), nil)
		f := PackFrame{Kind: PackEntry_CHUNK, Raw: len(textContent), Part: db()}
		tt.change(&f)
		p.Add(plain(textContent), f)
		_, err := p.Finish()
		t.Run(name, func(t *testing.T) { wantOne(t, err, ErrInvalid, tt.says) })
	}
}
