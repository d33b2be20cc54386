package format

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// PackBuilder fills one pack: header, frames, index, trailer. The index says what each frame is, for
// checking and repair; it is encoded as it grows, so that a frame costs no allocation. Not safe for concurrent use, but for Place.
type PackBuilder struct {
	buf    []byte
	key    *FrameKey // nil: in the clear
	start  int       // of the first frame
	frames int       // added
	raw    uint64    // content of chunks
	large  []span    // frames whose checksums Sum takes from their headers, in their order

	entries, parts []byte            // the index's two fields, encoded
	numbers        map[string]uint32 // of parts
	err            error             // the first that Finish has to say
}

// NewPackBuilder starts a pack in buf's space. nonce is that of the pack's object. With a key its frames and index are sealed.
func NewPackBuilder(buf []byte, nonce []byte, key *DataKey) *PackBuilder {
	p := &PackBuilder{numbers: map[string]uint32{}}
	if key == nil {
		p.buf = appendHeader(buf[:0], KindPack, 0, 0)
	} else {
		var prelude []byte
		prelude, p.err = (&Sealing{Key: key, Nonce: Nonce(nonce)}).prelude(nil)
		p.key = key.FrameKey(nonce)
		p.buf = appendHeader(buf[:0], KindPack, flagSealed, lengthSize+len(prelude))
		p.buf = append(binary.LittleEndian.AppendUint32(p.buf, uint32(len(prelude))), prelude...)
	}
	p.start = len(p.buf)
	return p
}

// An encoded PackEntry is at most entrySize bytes, a PackPart its name's length and partOverhead.
const (
	entrySize    = 96
	partOverhead = 32
)

// MaxEntry is how much a pack grows at most by a frame for a part of this name, beside the frame.
func MaxEntry(name []byte) int { return entrySize + partOverhead + len(name) + tagSize }

// Room is how many bytes the pack's object has or would have, with one more frame of n bytes for a part of this name.
func (p *PackBuilder) Room(n int, name []byte) int {
	size := len(p.buf) + len(p.entries) + len(p.parts) + packTrailerSize + n
	if n > 0 {
		size += entrySize + partOverhead + len(name)
	}
	if p.key != nil {
		size += 2 * tagSize // the frame's and the index's
	}
	return size
}

// Frames is how many frames the pack holds.
func (p *PackBuilder) Frames() int { return p.frames }

// Raw is how many bytes of content the pack's chunks have: Object.raw.
func (p *PackBuilder) Raw() uint64 { return p.raw }

// PackFrame says what a frame is.
type PackFrame struct {
	Kind    PackEntry_Kind
	Raw     int
	Hash    Hash
	Part    *Part // its name, kind, mode and time are kept
	Segment int
	At      uint64 // of a CHUNK: where in the part its first byte lies
}

// Add appends a frame that AppendFrame made, and returns its offset in the pack and its length there.
func (p *PackBuilder) Add(frame []byte, f PackFrame) (offset uint64, stored uint32) {
	p.buf = slices.Grow(p.buf, len(frame)+tagSize)
	offset, space := p.Reserve(len(frame), f)
	p.Place(space, frame, offset)
	return offset, uint32(len(space))
}

// Reserve is the first half of Add: it makes room for a frame of n bytes, which Place has to fill before Finish. It returns nil if the buffer
// has no room; Room tells.
func (p *PackBuilder) Reserve(n int, f PackFrame) (offset uint64, space []byte) {
	if p.key != nil {
		n += tagSize
	}
	at := len(p.buf)
	if cap(p.buf)-at < n {
		return 0, nil
	}
	p.buf = p.buf[:at+n]
	p.note(uint64(at), uint32(n), &f)
	return uint64(at), p.buf[at : at+n : at+n]
}

// Place is the second half of Add. Other goroutines may use the builder meanwhile, but for Finish and Add.
func (p *PackBuilder) Place(space, frame []byte, offset uint64) {
	if p.key == nil {
		copy(space, frame)
		return
	}
	p.key.seal(space, frame, offset)
}

// note enters a frame into the index.
func (p *PackBuilder) note(offset uint64, stored uint32, f *PackFrame) {
	if err := checkRow(stored, uint32(f.Raw), HashSize); err != nil && p.err == nil {
		p.err = err
	}
	if err := checkEntryKind(f.Kind, f.At); err != nil && p.err == nil {
		p.err = err
	}
	if stored >= sumsWhole {
		p.large = append(p.large, span{int(offset), int(stored)})
	}
	if f.Kind == PackEntry_CHUNK {
		p.raw += uint64(f.Raw)
	}
	p.frames++
	p.appendEntry(offset, stored, p.part(f.Part), f)
}

// part returns the number of a part in the index.
func (p *PackBuilder) part(part *Part) uint32 {
	if i, ok := p.numbers[string(part.Name)]; ok {
		return i
	}
	i, x := uint32(len(p.numbers)), &PackPart{Name: part.Name, Kind: part.Kind, Mode: part.Mode, ModifiedNs: part.ModifiedNs}
	if err := checkPackPart(x); err != nil && p.err == nil {
		p.err = err
	}
	p.numbers[string(part.Name)] = i
	e := make([]byte, 0, partOverhead+len(x.Name))
	e = appendBytes(e, 1, x.Name)
	e = appendNumber(e, 2, uint64(x.Kind))
	e = appendNumber(e, 3, uint64(x.Mode))
	e = appendNumber(e, 4, uint64(x.ModifiedNs))
	p.parts = appendBytes(p.parts, 2, e)
	return i
}

func (p *PackBuilder) appendEntry(offset uint64, stored, part uint32, f *PackFrame) {
	var space [entrySize]byte
	e := appendNumber(space[:0], 1, uint64(f.Kind))
	e = appendNumber(e, 2, offset)
	e = appendNumber(e, 3, uint64(stored))
	e = appendNumber(e, 4, uint64(uint32(f.Raw)))
	e = appendBytes(e, 5, f.Hash[:])
	e = appendNumber(e, 6, uint64(part))
	e = appendNumber(e, 7, uint64(uint32(f.Segment)))
	e = appendNumber(e, 8, f.At)
	p.entries = appendBytes(p.entries, 1, e)
}

// sumsWhole is the shortest frame whose own checksum Sum uses: to put one in its place takes about as long as reading 16 KiB.
const sumsWhole = 32 << 10

type span struct{ start, length int }

// Sum is the CRC32C of what Finish returned. Large frames have theirs already and are not read again, so that the sum covers what happened
// to their bytes in memory.
func (p *PackBuilder) Sum(pack []byte) uint32 {
	crc, at := uint32(0), 0
	for _, f := range p.large {
		frame := pack[f.start:][:f.length]
		crc = shiftCRC32C(UpdateCRC32C(crc, pack[at:f.start]), len(frame)) ^ frameCRC32C(frame)
		at = f.start + f.length
	}
	return UpdateCRC32C(crc, pack[at:])
}

// appendNumber and appendBytes encode a field as proto3 does.
func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// Finish returns the pack's bytes, in the space given to NewPackBuilder if it sufficed.
func (p *PackBuilder) Finish() ([]byte, error) {
	at := len(p.buf)
	b := append(append(p.buf, p.entries...), p.parts...)
	err := p.err
	if err == nil {
		err = indexShape().check(b[at:])
	}
	if err != nil {
		return nil, fmt.Errorf("encode pack: %w: %w", ErrInvalid, err)
	}
	if p.key != nil {
		b = p.key.aead.Seal(b[:at], new(workspace).at(uint64(at)), b[at:], b[:p.start])
	}
	crc, n := CRC32C(b[at:]), len(b)-at
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, crc)
	return append(b, packMagic...), nil
}
