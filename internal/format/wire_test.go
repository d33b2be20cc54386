package format

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// repeated is an encoded message of n times one length-delimited field.
func repeated(num protowire.Number, content []byte, n int) []byte {
	one := protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), content)
	return bytes.Repeat(one, n)
}

// Messages that would be many times larger in memory are refused before they are decoded.
func TestHostileMessagesStayBounded(t *testing.T) {
	const n = 1 << 20
	inside := func(num protowire.Number, content []byte) []byte { return repeated(num, content, 1) }
	for _, tt := range []struct {
		name   string
		body   []byte
		decode func([]byte) error
	}{
		{"empty parts", repeated(5, nil, n/2), decodeManifestBody},
		{"empty objects", repeated(4, nil, n/2), decodeManifestBody},
		{"empty metadata", repeated(6, nil, n/2), decodeManifestBody},
		{"empty segments", inside(5, repeated(11, nil, n/2)), decodeManifestBody},
		{"empty tables", inside(5, repeated(11, inside(1, nil), n/4)), decodeManifestBody},
		{"empty pack names", inside(5, inside(11, inside(1, repeated(1, nil, n/2)))), decodeManifestBody},
		{"empty retained", repeated(5, nil, n/2), decodeHeadBody},
		{"empty ids", repeated(5, inside(1, nil), n/4), decodeHeadBody},
		{"empty pins", repeated(6, nil, n/2), decodeHeadBody},
		{"empty entries", repeated(1, nil, n/2), decodeIndexBody},
		{"empty names", repeated(2, nil, n/2), decodeIndexBody},
		{"packed zeros", repeated(3, make([]byte, n-4), 1), decodeTableBody},
		{"packed zeros in pieces", repeated(3, []byte{0}, n/3), decodeTableBody},
		{"nothing in pieces", repeated(3, nil, n/2), decodeTableBody},
		{"unpacked zeros", bytes.Repeat([]byte{2 << 3, 0}, n/2), decodeTableBody},
		{"unpacked zeros of 64 bits", bytes.Repeat([]byte{3 << 3, 0}, n/2), decodeTableBody},
		{"one long field", repeated(6, make([]byte, n-4), 1), decodeTableBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.body) < n*3/4 || len(tt.body) > n+20 {
				t.Fatalf("a body of %d bytes", len(tt.body))
			}
			checkAllocated(t, len(tt.body), func() { wantOne(t, tt.decode(tt.body), ErrCorrupt, "") })
		})
	}
}

func decodeManifestBody(b []byte) error {
	_, err := decodeWhole(seal(KindManifest, b, nil), nil)
	return err
}
func decodeHeadBody(b []byte) error  { _, err := DecodeHead(seal(KindHead, b, nil)); return err }
func decodeTableBody(b []byte) error { _, err := DecodeTable(b, 1, nil); return err }
func decodeIndexBody(b []byte) error {
	_, _, err := DecodePack(packOf(nil, b), nil)
	return err
}

// The sparsest checkpoints that anybody will save: the bound must not be in the way of what is honest.
func TestHonestMessagesFit(t *testing.T) {
	dirs := &Manifest{Job: "j", Id: &CheckpointID{Epoch: 1, Checkpoint: 1}}
	files := proto.CloneOf(dirs)
	files.Objects = []*Object{{Id: files.Id, Writer: "w", Nonce: nonce(1), Size: 1 << 30}}
	for i := range 1 << 14 {
		dirs.Parts = append(dirs.Parts, &Part{Name: fmt.Appendf(nil, "%04x", i), Kind: Part_DIRECTORY, Mode: 0o755, ModifiedNs: 1_750_000_000_000_000_000,
			Method: Part_FULL, Reason: "has no content"})
		table := new(Table)
		table.AppendChunk(Chunk{Offset: 16, Stored: 17, Raw: 1})
		table.AppendExtent(Extent{Length: 1})
		files.Parts = append(files.Parts, &Part{Name: fmt.Appendf(nil, "%04x", i), Kind: Part_FILE, Size: 1, Mode: 0o644, ModifiedNs: 1_750_000_000_000_000_000, Method: Part_FULL,
			Reason: "nothing to compare with", NewBytes: 1, SegmentSize: 16 << 20, Chunks: 1, Segments: []*Segment{{Where: &Segment_Inline{Inline: table}}}})
	}
	for name, m := range map[string]*Manifest{"directories": dirs, "files of one byte": files} {
		b := must(encodeWhole(m, nil, nil))(t)
		checkAllocated(t, len(b), func() {
			if _, err := DecodeManifest(b, nil, NewPartList(nil)); err != nil {
				t.Error(err)
			}
		})
		budget := int64(maxGrowth * len(b))
		if err := manifestShape().walk(b[headerSize:len(b)-crcSize], &budget); err != nil || budget < int64(maxGrowth*len(b)/3) {
			t.Errorf("%s: %d of %d left, %v", name, budget, maxGrowth*len(b), err)
		}
	}
}

func TestWireRules(t *testing.T) {
	body := raw(t, goldenStored(t))
	with := func(extra ...byte) []byte { return append(bytes.Clone(body), extra...) }
	varint := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	object := func(extra []byte) []byte { // the manifest's first object with something more
		o := append(raw(t, goldenStored(t).Objects[0]), extra...)
		return append(bytes.Clone(body), repeated(4, o, 1)...)
	}
	part := func(extra []byte) []byte { return append(bytes.Clone(body), repeated(5, extra, 1)...) }
	for _, tt := range []struct {
		name string
		body []byte
		kind error
		says string
	}{
		{"unknown field", with(varint(100, 1)...), ErrNewer, "Manifest has a field 100"},
		{"unknown small field", with(varint(15, 1)...), ErrNewer, "Manifest has a field 15"},
		{"unknown field inside", object(varint(13, 1)), ErrNewer, "Object has a field 13"},
		{"unknown text", with(repeated(99, []byte("x"), 1)...), ErrNewer, "field 99"},
		{"unknown field, cut", with(99<<3&0x7f|2|0x80, 99>>4, 5), ErrCorrupt, "field 99"},
		{"unknown kind of part", part(varint(2, 5)), ErrNewer, "5 is a value"},
		{"unknown method", part(varint(7, 6)), ErrNewer, "6 is a value"},
		{"negative method", part(varint(7, math.MaxUint64)), ErrNewer, "is a value"},
		{"field zero", with(0, 0), ErrCorrupt, "Manifest"},
		{"group", with(5<<3|3, 5<<3|4), ErrCorrupt, "a message in wire type 3"},
		{"string as number", with(varint(1, 1)...), ErrCorrupt, "twice"},
		{"part as number", with(varint(5, 1)...), ErrCorrupt, "a message in wire type 0"},
		{"number as string", object(repeated(5, []byte{1}, 1)), ErrCorrupt, "twice"},
		{"enum as string", part(repeated(2, []byte{1}, 1)), ErrCorrupt, "a enum in wire type 2"},
		{"number as fixed32", part(protowire.AppendFixed32(protowire.AppendTag(nil, 3, protowire.Fixed32Type), 1)), ErrCorrupt, "in wire type 5"},
		{"cut fixed32", part(append(protowire.AppendTag(nil, 3, protowire.Fixed32Type), 1)), ErrCorrupt, "in wire type 5"},
		{"cut CRC", with(repeated(4, append(protowire.AppendTag(nil, 6, protowire.Fixed32Type), 1), 1)...), ErrCorrupt, "unexpected EOF"},
		{"fixed64", part(protowire.AppendFixed64(protowire.AppendTag(nil, 3, protowire.Fixed64Type), 1)), ErrCorrupt, "in wire type 1"},
		{"job twice", with(repeated(1, []byte("orders"), 1)...), ErrCorrupt, "Manifest has job twice"},
		{"id in two pieces", with(repeated(2, nil, 1)...), ErrCorrupt, "Manifest has id twice"},
		{"packed numbers in pieces", part(repeated(11, append(repeated(3, []byte{1}, 1), repeated(3, []byte{1}, 1)...), 1)), ErrCorrupt, "Segment has objects twice"},
		{"two tables", part(repeated(11, append(repeated(1, nil, 1), repeated(2, nil, 1)...), 1)), ErrCorrupt, "twice"},
		{"number that does not fit", part(varint(4, 1<<32)), ErrCorrupt, "4294967296 is no uint32"},
		{"bool of two", with(repeated(4, varint(7, 2), 1)...), ErrCorrupt, "2 is no bool"},
		{"packed number that does not fit", part(repeated(11, repeated(3, protowire.AppendVarint(nil, 1<<32), 1), 1)), ErrCorrupt, "is no uint32"},
		{"packed number cut", part(repeated(11, repeated(3, []byte{0x80}, 1), 1)), ErrCorrupt, "unexpected EOF"},
		{"endless number", with(7<<3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), ErrCorrupt, "Manifest"},
		{"length beyond the end", with(5<<3|2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), ErrCorrupt, "Manifest.parts: unexpected EOF"},
		{"text that is none", append(repeated(6, repeated(1, []byte{0xff}, 1), 1), body...), ErrCorrupt, "UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantOne(t, decodeManifestBody(tt.body), tt.kind, tt.says) })
	}
	if err := decodeManifestBody(body); err != nil {
		t.Error(err)
	}
	// Numbers may come packed or one by one: decoders take both.
	loose := append(varint(3, 7), repeated(3, []byte{8, 9}, 1)...)
	s := new(Segment)
	if err := unmarshal(loose, s, shapeOf(s.ProtoReflect())); err != nil || len(s.Objects) != 3 {
		t.Errorf("%v, %v", s, err)
	}
}

// An encoder never writes what a decoder would refuse, also where protobuf itself would.
func TestEncodersRefuse(t *testing.T) {
	h := goldenHead()
	h.Pins[0].Kind = 9
	_, err := EncodeHead(h)
	wantOne(t, err, ErrInvalid, "pin of kind 9")
	m := goldenStored(t)
	m.Metadata = []*Entry{{Key: "\xff"}}
	_, err = encodeWhole(m, nil, nil)
	wantOne(t, err, ErrInvalid, "UTF-8")
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 100, protowire.VarintType), 1)
	m = goldenStored(t)
	m.Objects[0].ProtoReflect().SetUnknown(unknown)
	if _, err = encodeWhole(m, nil, nil); err == nil {
		t.Error("an object with an unknown field was written")
	}
	m = goldenStored(t)
	m.Parts[0].ProtoReflect().SetUnknown(unknown)
	if _, err = encodeWhole(m, nil, nil); err == nil {
		t.Error("a part with an unknown field was written")
	}
	if !proto.Equal(goldenStored(t), goldenStored(t)) {
		t.Error("the fixture is not the same twice")
	}
}

func TestNoMessageNests(t *testing.T) {
	var depth func(s *shape) int
	depth = func(s *shape) int {
		d := 0
		for _, f := range s.fields {
			if len(s.fields) > 64 {
				t.Errorf("%s has fields beyond the bits of the walk", s.name)
			}
			if f.child != nil {
				d = max(d, depth(f.child))
			}
		}
		return d + 1
	}
	if d := max(depth(headShape()), depth(manifestShape())); d != 4 {
		t.Errorf("messages nest %d deep", d)
	}
}
