package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	packMagic       = "PACKINDX"
	packTrailerSize = 16 // length of the index, its CRC32C, packMagic
)

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
		if encoded, err = key.aead.Open(nil, new(workspace).at(at), encoded, b[:start]); err != nil {
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
	s, size, err := readPrelude(KindPack, b[headerSize:headerSize+n])
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
	for _, p := range x.Parts {
		if err := checkPackPart(p); err != nil {
			return err
		}
	}
	if name, ok := twice(x.Parts); ok {
		return fmt.Errorf("part %q is there twice", name)
	}
	for i, e := range x.Entries {
		if err := checkRow(e.Stored, e.Raw, len(e.Hash)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if err := checkEntryKind(e.Kind, e.At); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if uint64(e.Part) >= uint64(len(x.Parts)) {
			return fmt.Errorf("entry %d is for part %d of %d", i, e.Part, len(x.Parts))
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

func checkPackPart(p *PackPart) error {
	if err := CheckPartName(string(p.Name)); err != nil {
		return err
	}
	if (p.Kind != Part_STREAM && p.Kind != Part_FILE) || p.Mode > 0o777 {
		return fmt.Errorf("part %q is a %s of mode %o", p.Name, p.Kind, p.Mode)
	}
	return nil
}

func checkEntryKind(k PackEntry_Kind, at uint64) error {
	if k == PackEntry_KIND_UNSPECIFIED || (k != PackEntry_CHUNK && at != 0) {
		return fmt.Errorf("frame of kind %d, at %d of its part", k, at)
	}
	return nil
}

// twice returns a name that two parts have. It sorts numbers rather than filling a map, which would take several times the encoded length.
func twice(parts []*PackPart) (name []byte, ok bool) {
	order := make([]uint32, len(parts))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(parts[a].Name, parts[b].Name) })
	for i := 1; i < len(order); i++ {
		if bytes.Equal(parts[order[i-1]].Name, parts[order[i]].Name) {
			return parts[order[i]].Name, true
		}
	}
	return nil, false
}
