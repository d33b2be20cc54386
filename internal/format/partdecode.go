package format

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// partSpace is room for a part with at most one segment, which has an inline table of one chunk: for what manifests with very many parts have. Such a part is decoded
// without an allocation, a fifth as fast as protobuf does it; every other one is protobuf's.
type partSpace struct {
	part    Part
	segment Segment
	inline  Segment_Inline
	table   Table

	segments [1]*Segment
	words    [6]uint32
	offsets  [1]uint64
}

// decode decodes an encoded part that has passed the walk. The part lies in s and its bytes in encoded, neither of which may change as long as it is used.
func (s *partSpace) decode(encoded []byte) (*Part, error) {
	if s.small(encoded) {
		return &s.part, nil
	}
	p := new(Part)
	return p, proto.Unmarshal(encoded, p)
}

// small decodes a part, or reports that it is not one of those.
func (s *partSpace) small(b []byte) bool {
	s.part = Part{}
	p := &s.part
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		v, bytes, m := value(kind, b[n:])
		if m < 0 {
			return false
		}
		b = b[n+m:]
		switch field {
		case 1:
			p.Name = bytes
		case 2:
			p.Kind = Part_Kind(v)
		case 3:
			p.Size = v
		case 4:
			p.Mode = uint32(v)
		case 5:
			p.ModifiedNs = int64(v)
		case 6:
			p.LinkTarget = bytes
		case 7:
			p.Method = Part_Method(v)
		case 8:
			p.Reason = string(bytes)
		case 9:
			p.NewBytes = v
		case 10:
			p.Identity = bytes
		case 11:
			if len(p.Segments) > 0 || !s.oneInline(bytes) {
				return false
			}
			s.segments[0] = &s.segment
			p.Segments = s.segments[:]
		case 12:
			p.SegmentSize = v
		case 13:
			p.Chunks = v
		case 14:
			p.MovedBytes = v
		default:
			return false
		}
	}
	return true
}

// value is that of a field: a number, or bytes.
func value(kind protowire.Type, b []byte) (v uint64, bytes []byte, n int) {
	switch kind {
	case protowire.VarintType:
		v, n = protowire.ConsumeVarint(b)
		return v, nil, n
	case protowire.BytesType:
		bytes, n = protowire.ConsumeBytes(b)
		return 0, bytes, n
	}
	return 0, nil, -1
}

// oneInline decodes a segment that has nothing but an inline table.
func (s *partSpace) oneInline(b []byte) bool {
	field, kind, n := protowire.ConsumeTag(b)
	if field != 1 || kind != protowire.BytesType {
		return false
	}
	table, m := protowire.ConsumeBytes(b[n:])
	if n+m != len(b) || !s.inlineTable(table) {
		return false
	}
	s.segment, s.inline = Segment{Where: &s.inline}, Segment_Inline{Inline: &s.table}
	return true
}

func (s *partSpace) inlineTable(b []byte) bool {
	s.table = Table{}
	t := &s.table
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		v, bytes, m := value(kind, b[n:])
		if m < 0 || (kind == protowire.VarintType) != (field == 10) {
			return false // columns are packed
		}
		b = b[n+m:]
		switch field {
		case 2:
			t.ChunkPack = numbers(s.words[0:0:1], bytes)
		case 3:
			t.ChunkOffset = numbers(s.offsets[:0], bytes)
		case 4:
			t.ChunkStored = numbers(s.words[1:1:2], bytes)
		case 5:
			t.ChunkRaw = numbers(s.words[2:2:3], bytes)
		case 6:
			t.ChunkHash = bytes
		case 7:
			t.ExtentChunk = numbers(s.words[3:3:4], bytes)
		case 8:
			t.ExtentStart = numbers(s.words[4:4:5], bytes)
		case 9:
			t.ExtentLength = numbers(s.words[5:5:6], bytes)
		case 10:
			t.PageSize = uint32(v)
		case 11:
			t.PageHash = bytes
		case 12:
			t.PageKey = bytes
		default:
			return false
		}
	}
	return true
}

// numbers are those of a packed column, in the room of to if that suffices.
func numbers[N uint32 | uint64](to []N, packed []byte) []N {
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		to, packed = append(to, N(v)), packed[n:]
	}
	return to
}
