package format

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestPackRoundTrip(t *testing.T) {
	buf := make([]byte, 0, 1<<20)
	p := NewPackBuilder(buf)
	var contents [][]byte
	for i, part := range []string{"a", "b", "a", "c"} {
		content := bytes.Repeat([]byte{byte(i)}, 1000*(i+1))
		f, _ := AppendFrame(nil, content, nil)
		at := p.Add(f, PackEntry_CHUNK, len(content), Sum(content), part, i)
		if at != uint64(len(p.buf)-len(f)) || p.Frames() != i+1 {
			t.Errorf("frame %d of %d at %d", i, p.Frames(), at)
		}
		contents = append(contents, content)
	}
	b := must(p.Finish())(t)
	if &b[0] != &buf[:1][0] {
		t.Error("the pack is not in the space that was given")
	}
	x := must(DecodePack(b))(t)
	if !proto.Equal(x, &p.index) || len(x.Parts) != 3 {
		t.Errorf("got %v, want %v", x, &p.index)
	}
	for i, e := range x.Entries {
		got := must(DecodeFrame(nil, b[e.Offset:][:e.Stored], e.Raw, Hash(e.Hash)))(t)
		if !bytes.Equal(got, contents[i]) || e.Segment != uint32(i) {
			t.Errorf("frame %d: %d bytes, segment %d", i, len(got), e.Segment)
		}
	}
}

func TestPackWithoutFrames(t *testing.T) {
	b := must(NewPackBuilder(nil).Finish())(t)
	if x := must(DecodePack(b))(t); len(x.Entries) != 0 || len(b) != headerSize+packTrailerSize {
		t.Errorf("%d bytes, %v", len(b), x)
	}
}

// Room must never promise less than the pack becomes: a pack is built in a buffer of fixed size.
func TestRoomIsEnough(t *testing.T) {
	p := NewPackBuilder(nil)
	f := plain([]byte("x"))
	for i := range 300 {
		part := strings.Repeat("p", 1+i*13%maxPartName)
		room := p.Room(len(f), part)
		p.Add(f, PackEntry_TABLE, 1<<20, Hash{}, part, 1<<31-1)
		if got := p.Room(0, ""); got > room {
			t.Fatalf("frame %d: %d bytes promised, then %d", i, room, got)
		}
	}
	room := p.Room(0, "")
	if b := must(p.Finish())(t); len(b) > room {
		t.Errorf("%d bytes, %d promised", len(b), room)
	}
	// The widest numbers that fields can have.
	e := &PackEntry{Kind: PackEntry_TABLE, Offset: 1 << 40, Stored: 1<<32 - 1, Raw: 1<<32 - 1, Hash: make([]byte, HashSize), Part: 1<<32 - 1, Segment: 1<<32 - 1}
	if n := proto.Size(&PackIndex{Entries: []*PackEntry{e}}); n > entrySize {
		t.Errorf("an entry takes %d bytes", n)
	}
	if n := proto.Size(&PackIndex{Parts: [][]byte{make([]byte, maxPartName)}}) - maxPartName; n > partOverhead {
		t.Errorf("a part's name takes %d bytes more", n)
	}
}

func TestPackRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(x *PackIndex)
		says   string
	}{
		{"no kind", func(x *PackIndex) { x.Entries[0].Kind = 0 }, "kind 0"},
		{"no hash", func(x *PackIndex) { x.Entries[0].Hash = nil }, "hash of 0"},
		{"nothing", func(x *PackIndex) { x.Entries[0].Raw = 0 }, "for 0"},
		{"beyond a frame", func(x *PackIndex) { x.Entries[0].Raw = MaxRaw + 1 }, "for 1048577"},
		{"no header", func(x *PackIndex) { x.Entries[0].Stored = 15 }, "frame of 15"},
		{"grew by compression", func(x *PackIndex) { x.Entries[0].Raw-- }, "frame of"},
		{"no part", func(x *PackIndex) { x.Entries[0].Part = 1 }, "part 1 of 1"},
		{"part beyond int32", func(x *PackIndex) { x.Entries[0].Part = 1 << 31 }, "part 2147483648"},
		{"part that leaves", func(x *PackIndex) { x.Parts[0] = []byte("../x") }, "plain relative path"},
		{"part twice", func(x *PackIndex) { x.Parts = append(x.Parts, x.Parts[0]) }, "there twice"},
		{"a gap", func(x *PackIndex) { x.Entries[1].Offset++ }, "where a frame starts at"},
		{"an overlap", func(x *PackIndex) { x.Entries[1].Offset-- }, "where a frame starts at"},
		{"in the header", func(x *PackIndex) { x.Entries[0].Offset = 0 }, "entry 0 is at 0"},
		{"far away", func(x *PackIndex) { x.Entries[2].Offset = 1<<64 - 1 }, "entry 2 is at 18446744073709551615"},
		{"in disorder", func(x *PackIndex) { x.Entries[0], x.Entries[1] = x.Entries[1], x.Entries[0] }, "where a frame starts at 16"},
		{"frame not named", func(x *PackIndex) { x.Entries = x.Entries[:2] }, "frames up to"},
		{"too long", func(x *PackIndex) { x.Entries[2].Stored, x.Entries[2].Raw = 2000, 2000 }, "frames up to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPackBuilder(nil)
			goldenChunks(p, "state/db")
			p.Add(plain([]byte("x")), PackEntry_TABLE, 1, Sum([]byte("x")), "state/db", 0)
			tt.change(&p.index)
			index := raw(t, &p.index)
			b := append(bytes.Clone(p.buf), index...)
			_, err := p.Finish()
			wantOne(t, err, ErrInvalid, tt.says)

			b = binary.LittleEndian.AppendUint32(b, uint32(len(index)))
			b = binary.LittleEndian.AppendUint32(b, CRC32C(index))
			_, err = DecodePack(append(b, packMagic...))
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}
