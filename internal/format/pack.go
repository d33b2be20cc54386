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
	key       *FrameKey // nil: in the clear
	nonce     [gcmNonceSize]byte
	start     int // of the first frame
	raw       uint64
	index     PackIndex
	parts     map[string]uint32
	indexSize int // upper bound of the encoded index
	err       error
}

// NewPackBuilder starts a pack in buf's space. nonce is that of the pack's object. With a key its frames and index are sealed.
func NewPackBuilder(buf []byte, nonce []byte, key *DataKey) *PackBuilder {
	p := &PackBuilder{parts: map[string]uint32{}}
	if key == nil {
		p.buf = appendHeader(buf[:0], KindPack, 0, 0)
	} else {
		// What cannot be said now is said by Finish.
		prelude, err := (&Sealing{Key: key, Nonce: Nonce(nonce)}).prelude()
		p.err, p.key = err, key.FrameKey(nonce)
		p.buf = appendHeader(buf[:0], KindPack, flagSealed, lengthSize+len(prelude))
		p.buf = append(binary.LittleEndian.AppendUint32(p.buf, uint32(len(prelude))), prelude...)
		p.indexSize = tagSize
	}
	p.start = len(p.buf)
	return p
}

// An encoded PackEntry is at most entrySize bytes, a part its name's length and partOverhead.
const (
	entrySize    = 96
	partOverhead = 32
)

// Room is how many bytes the pack's object has or would have, with one more frame of n bytes for a part of this name.
func (p *PackBuilder) Room(n int, name []byte) int {
	size := len(p.buf) + p.indexSize + packTrailerSize + n
	if n > 0 {
		size += entrySize + partOverhead + len(name)
		if p.key != nil {
			size += TagSize
		}
	}
	return size
}

// Frames is how many frames the pack holds.
func (p *PackBuilder) Frames() int { return len(p.index.Entries) }

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
	offset = uint64(len(p.buf))
	if p.key == nil {
		p.buf = append(p.buf, frame...)
	} else {
		p.buf = p.key.appendSealed(p.buf, frame, offset, &p.nonce)
	}
	stored = uint32(uint64(len(p.buf)) - offset)
	i, ok := p.parts[string(f.Part.Name)]
	if !ok {
		i = uint32(len(p.index.Parts))
		p.parts[string(f.Part.Name)] = i
		p.index.Parts = append(p.index.Parts, &PackPart{Name: f.Part.Name, Kind: f.Part.Kind, Mode: f.Part.Mode, ModifiedNs: f.Part.ModifiedNs})
		p.indexSize += partOverhead + len(f.Part.Name)
	}
	if f.Kind == PackEntry_CHUNK {
		p.raw += uint64(f.Raw)
	}
	p.index.Entries = append(p.index.Entries, &PackEntry{
		Kind: f.Kind, Offset: offset, Stored: stored, Raw: uint32(f.Raw), Hash: f.Hash[:], Part: i, Segment: uint32(f.Segment), At: f.At,
	})
	p.indexSize += entrySize
	return offset, stored
}

// Finish returns the pack's bytes, in the space given to NewPackBuilder if it sufficed.
func (p *PackBuilder) Finish() ([]byte, error) {
	if p.err != nil {
		return nil, fmt.Errorf("encode pack: %w: %w", ErrInvalid, p.err)
	}
	at := len(p.buf)
	if err := checkIndex(&p.index, uint64(p.start), uint64(at)); err != nil {
		return nil, fmt.Errorf("encode pack: %w: %w", ErrInvalid, err)
	}
	b, err := marshal(p.buf, &p.index, indexShape())
	if err != nil {
		return nil, fmt.Errorf("encode pack: %w: %w", ErrInvalid, err)
	}
	if p.key != nil {
		binary.LittleEndian.PutUint64(p.nonce[:], uint64(at))
		b = p.key.aead.Seal(b[:at], p.nonce[:], b[at:], b[:p.start])
	}
	crc, n := CRC32C(b[at:]), len(b)-at
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, crc)
	return append(b, packMagic...), nil
}

// DecodePack reads the index of a whole pack, and returns it with the key of its frames, nil if they are in the clear. The frames themselves are
// DecodeFrame's: together they cover every byte.
func DecodePack(b []byte, keys Keyring) (*PackIndex, *FrameKey, error) {
	if err := checkHeader(KindPack, b); err != nil {
		return nil, nil, err
	}
	if len(b) < headerSize+packTrailerSize || !bytes.HasSuffix(b, []byte(packMagic)) {
		return nil, nil, fmt.Errorf("%w: pack without an index", ErrCorrupt)
	}
	end := len(b) - packTrailerSize
	start, key, err := packStart(b[:end], keys)
	if err != nil {
		return nil, nil, err
	}
	n := uint64(binary.LittleEndian.Uint32(b[end:]))
	if n > uint64(end-start) {
		return nil, nil, fmt.Errorf("%w: pack index of %d bytes in a pack of %d", ErrCorrupt, n, len(b))
	}
	at := uint64(end) - n
	encoded := b[at:end]
	if CRC32C(encoded) != binary.LittleEndian.Uint32(b[end+4:]) {
		return nil, nil, fmt.Errorf("%w: pack index fails its CRC32C", ErrCorrupt)
	}
	if key != nil {
		var nonce [gcmNonceSize]byte
		binary.LittleEndian.PutUint64(nonce[:], at)
		if encoded, err = key.aead.Open(nil, nonce[:], encoded, b[:start]); err != nil {
			return nil, nil, errTampered
		}
	}
	x := new(PackIndex)
	if err := unmarshal(encoded, x, indexShape()); err != nil {
		return nil, nil, corrupt("pack index", err)
	}
	if err := checkIndex(x, uint64(start), at); err != nil {
		return nil, nil, corrupt("pack index", err)
	}
	return x, key, nil
}

// packStart tells where the frames of a pack begin, and what opens them.
func packStart(b []byte, keys Keyring) (start int, key *FrameKey, err error) {
	n := uint64(binary.LittleEndian.Uint32(b[12:]))
	if b[10]&flagSealed == 0 {
		if n != 0 {
			return 0, nil, fmt.Errorf("%w: pack with a body of %d bytes", ErrCorrupt, n)
		}
		return headerSize, nil, nil
	}
	if n > uint64(len(b)-headerSize) {
		return 0, nil, fmt.Errorf("%w: prelude cut off", ErrCorrupt)
	}
	s, size, err := readPrelude(b[headerSize : headerSize+n])
	if err != nil {
		return 0, nil, err
	}
	if uint64(size) != n {
		return 0, nil, fmt.Errorf("%w: prelude of %d bytes in %d", ErrCorrupt, size, n)
	}
	k, err := keys.find(s.DataKey)
	if err != nil {
		return 0, nil, err
	}
	return headerSize + size, k.FrameKey(s.Nonce), nil
}

// checkIndex states what the index of a pack satisfies whose frames begin at at and end at end: they follow each other without a gap.
func checkIndex(x *PackIndex, at, end uint64) error {
	names := make(map[string]bool)
	for _, p := range x.Parts {
		if err := CheckPartName(string(p.Name)); err != nil {
			return err
		}
		if names[string(p.Name)] {
			return fmt.Errorf("part %q is there twice", p.Name)
		}
		if (p.Kind != Part_STREAM && p.Kind != Part_FILE) || p.Mode > 0o777 {
			return fmt.Errorf("part %q is a %s of mode %o", p.Name, p.Kind, p.Mode)
		}
		names[string(p.Name)] = true
	}
	for i, e := range x.Entries {
		if err := checkRow(e.Stored, e.Raw, len(e.Hash)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if e.Kind == PackEntry_KIND_UNSPECIFIED || uint64(e.Part) >= uint64(len(x.Parts)) {
			return fmt.Errorf("entry %d is of kind %d, for part %d of %d", i, e.Kind, e.Part, len(x.Parts))
		}
		if e.Kind != PackEntry_CHUNK && e.At != 0 {
			return fmt.Errorf("entry %d is a %s at %d of its part", i, e.Kind, e.At)
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
