package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	packMagic       = "PACKINDX"
	packTrailerSize = 16 // length of the index, its CRC32C, packMagic
)

// PackBuilder fills one pack: header, frames, index, trailer. The index says what each frame is, for
// checking and repair. Not safe for concurrent use.
type PackBuilder struct {
	buf       []byte
	index     PackIndex
	parts     map[string]uint32
	indexSize int // upper bound of the encoded index
}

// NewPackBuilder starts a pack in buf's space.
func NewPackBuilder(buf []byte) *PackBuilder {
	return &PackBuilder{buf: appendHeader(buf[:0], KindPack, 0), parts: map[string]uint32{}}
}

// An encoded PackEntry is at most entrySize bytes, a part name its length and partOverhead.
const (
	entrySize    = 96
	partOverhead = 8
)

// Room is how many bytes the pack's object has or would have, with one more frame of n bytes for part.
func (p *PackBuilder) Room(n int, part string) int {
	size := len(p.buf) + p.indexSize + packTrailerSize + n
	if n > 0 {
		size += entrySize + partOverhead + len(part)
	}
	return size
}

// Frames is how many frames the pack holds.
func (p *PackBuilder) Frames() int { return len(p.index.Entries) }

// Add appends an encoded frame and returns its offset in the pack.
func (p *PackBuilder) Add(frame []byte, kind PackEntry_Kind, raw int, hash Hash, part string, segment int) (offset uint64) {
	offset = uint64(len(p.buf))
	p.buf = append(p.buf, frame...)
	i, ok := p.parts[part]
	if !ok {
		i = uint32(len(p.index.Parts))
		p.parts[part] = i
		p.index.Parts = append(p.index.Parts, []byte(part))
		p.indexSize += partOverhead + len(part)
	}
	p.index.Entries = append(p.index.Entries, &PackEntry{
		Kind: kind, Offset: offset, Stored: uint32(len(frame)), Raw: uint32(raw), Hash: hash[:], Part: i, Segment: uint32(segment),
	})
	p.indexSize += entrySize
	return offset
}

// Finish returns the pack's bytes, in the space given to NewPackBuilder if it sufficed.
func (p *PackBuilder) Finish() ([]byte, error) {
	start := len(p.buf)
	if err := checkIndex(&p.index, uint64(start)); err != nil {
		return nil, fmt.Errorf("encode pack: %w: %w", ErrInvalid, err)
	}
	b, err := marshal(p.buf, &p.index, indexShape())
	if err != nil {
		return nil, fmt.Errorf("encode pack: %w: %w", ErrInvalid, err)
	}
	crc, n := CRC32C(b[start:]), len(b)-start
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, crc)
	return append(b, packMagic...), nil
}

// DecodePack reads the index of a whole pack. The frames themselves are DecodeFrame's: together they cover every byte.
func DecodePack(b []byte) (*PackIndex, error) {
	if err := checkHeader(KindPack, b); err != nil {
		return nil, err
	}
	if len(b) < headerSize+packTrailerSize || !bytes.HasPrefix(b, packHeader) || !bytes.HasSuffix(b, []byte(packMagic)) {
		return nil, fmt.Errorf("%w: pack without an index", ErrCorrupt)
	}
	end := len(b) - packTrailerSize
	n := uint64(binary.LittleEndian.Uint32(b[end:]))
	if n > uint64(end-headerSize) {
		return nil, fmt.Errorf("%w: pack index of %d bytes in a pack of %d", ErrCorrupt, n, len(b))
	}
	start := uint64(end) - n
	encoded := b[start:end]
	if CRC32C(encoded) != binary.LittleEndian.Uint32(b[end+4:]) {
		return nil, fmt.Errorf("%w: pack index fails its CRC32C", ErrCorrupt)
	}
	x := new(PackIndex)
	if err := unmarshal(encoded, x, indexShape()); err != nil {
		return nil, corrupt("pack index", err)
	}
	if err := checkIndex(x, start); err != nil {
		return nil, corrupt("pack index", err)
	}
	return x, nil
}

// checkIndex states what the index of a pack satisfies whose frames end at end: they follow each other without a gap.
func checkIndex(x *PackIndex, end uint64) error {
	names := make(map[string]bool)
	for _, name := range x.Parts {
		if err := CheckPartName(string(name)); err != nil {
			return err
		}
		if names[string(name)] {
			return fmt.Errorf("part %q is there twice", name)
		}
		names[string(name)] = true
	}
	at := uint64(headerSize)
	for i, e := range x.Entries {
		if err := checkRow(e.Stored, e.Raw, len(e.Hash)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if e.Kind == PackEntry_KIND_UNSPECIFIED || uint64(e.Part) >= uint64(len(x.Parts)) {
			return fmt.Errorf("entry %d is of kind %d, for part %d of %d", i, e.Kind, e.Part, len(x.Parts))
		}
		if e.Offset != at {
			return fmt.Errorf("entry %d is at %d, where a frame starts at %d", i, e.Offset, at)
		}
		at += uint64(e.Stored)
	}
	if at != end {
		return fmt.Errorf("frames up to %d, in a pack that has them up to %d", at, end)
	}
	return nil
}
