package format

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// FrameHeaderSize is what a frame adds to its payload: codec, flags, two reserved bytes, length of the content, length of the payload,
// CRC32C of the twelve bytes before and the payload.
const FrameHeaderSize = 16

// MaxFrame is the longest frame for a content of n bytes; sealing it takes TagSize more.
func MaxFrame(n int) int { return FrameHeaderSize + n }

// MaxCompressed is the spare capacity of dst with which AppendFrame compresses a content of n bytes in place, and needs no scratch.
func MaxCompressed(n int) int { return FrameHeaderSize + s2.MaxEncodedLen(n) }

// AppendFrame appends content, 1 to MaxRaw bytes, as one frame, compressed by c if that saves at least an eighth: less is not worth
// the reader's time. scratch is working space that it may grow; it returns both. To compress many chunks of one kind, use a Compressor.
func AppendFrame(dst, content, scratch []byte, c Codec) (frame, grown []byte) {
	start := len(dst)
	if len(content) < minCompressed {
		c = CodecNone
	}
	payload, inPlace := content, false
	if c != CodecNone {
		var enc []byte
		if inPlace = cap(dst)-start >= MaxCompressed(len(content)); inPlace {
			enc = compress(dst[start+FrameHeaderSize:cap(dst)], content, c)
		} else {
			scratch = compress(scratch[:cap(scratch)], content, c)
			enc = scratch
		}
		if len(enc) <= len(content)-len(content)/8 {
			payload = enc
		} else {
			c, inPlace = CodecNone, false
		}
	}
	dst = appendFrameHeader(dst, c, 0, len(content), len(payload))
	dst = binary.LittleEndian.AppendUint32(dst, UpdateCRC32C(CRC32C(dst[start:]), payload))
	if inPlace {
		return dst[:len(dst)+len(payload)], scratch
	}
	return append(dst, payload...), scratch
}

// frameFields is the header without its CRC32C.
const frameFields = FrameHeaderSize - crcSize

func appendFrameHeader(dst []byte, c Codec, flags byte, raw, payload int) []byte {
	dst = append(dst, byte(c), flags, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(raw))
	return binary.LittleEndian.AppendUint32(dst, uint32(payload))
}

// seal makes of a frame by AppendFrame a sealed one for its place in the pack, at offset. It fills space, which is TagSize longer than the frame.
func (k *FrameKey) seal(space, frame []byte, offset uint64) {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	payload := frame[FrameHeaderSize:]
	header := appendFrameHeader(space[:0], Codec(frame[0]), flagSealed, int(binary.LittleEndian.Uint32(frame[4:])), len(payload)+tagSize)
	k.aead.Seal(space[FrameHeaderSize:FrameHeaderSize], w.at(offset), payload, header)
	crc := UpdateCRC32C(CRC32C(header), space[FrameHeaderSize:])
	binary.LittleEndian.PutUint32(space[frameFields:], crc)
}

// DecodeFrame checks a whole frame against what its table says of it and returns the content: exactly want.Raw bytes, also in
// capacity. It is in dst's space where it had to be decompressed or decrypted and cap(dst) suffices; otherwise it may alias frame. key is that of
// the pack, nil for one that is not sealed. want.Pack does not matter.
func DecodeFrame(dst, frame []byte, want Chunk, key *FrameKey) ([]byte, error) {
	if len(frame) < FrameHeaderSize || uint64(len(frame)) != uint64(want.Stored) {
		return nil, fmt.Errorf("%w: frame of %d bytes, where its table says %d", ErrCorrupt, len(frame), want.Stored)
	}
	payload := frame[FrameHeaderSize:]
	if crc := UpdateCRC32C(CRC32C(frame[:frameFields]), payload); crc != binary.LittleEndian.Uint32(frame[frameFields:]) {
		return nil, fmt.Errorf("%w: frame has CRC32C %08x, says %08x", ErrCorrupt, crc, binary.LittleEndian.Uint32(frame[frameFields:]))
	}
	if n := binary.LittleEndian.Uint32(frame[8:]); uint64(n) != uint64(len(payload)) {
		return nil, fmt.Errorf("%w: frame says %d bytes of payload, has %d", ErrCorrupt, n, len(payload))
	}
	if frame[1]&^flagSealed|frame[2]|frame[3] != 0 {
		return nil, fmt.Errorf("%w: frame with reserved bytes set", ErrCorrupt)
	}
	if sealed := frame[1]&flagSealed != 0; sealed != (key != nil) {
		return nil, fmt.Errorf("%w: a frame that is sealed: %t, in a pack that is: %t", ErrCorrupt, sealed, key != nil)
	}
	if n := binary.LittleEndian.Uint32(frame[4:]); n != want.Raw || n == 0 || n > MaxRaw {
		return nil, fmt.Errorf("%w: frame says %d bytes of content, its table %d", ErrCorrupt, n, want.Raw)
	}
	content, err := decodePayload(dst, frame, int(want.Raw), want.Offset, key)
	if err != nil {
		return nil, err
	}
	if got := Sum(content); got != want.Hash {
		return nil, fmt.Errorf("%w: content hashes to %x, its table says %x", ErrCorrupt, [8]byte(got[:8]), [8]byte(want.Hash[:8]))
	}
	return content[:want.Raw:want.Raw], nil
}

func decodePayload(dst, frame []byte, raw int, offset uint64, key *FrameKey) ([]byte, error) {
	c, payload := Codec(frame[0]), frame[FrameHeaderSize:]
	switch c {
	case CodecNone, CodecSnappy, CodecZstd:
	default:
		return nil, fmt.Errorf("%w: frame with codec %d", ErrNewer, c)
	}
	tag := tagSize
	if key == nil {
		tag = 0
	}
	if len(payload) < tag || len(payload) > raw+tag {
		return nil, fmt.Errorf("%w: a payload of %d bytes for %d of content", ErrCorrupt, len(payload), raw)
	}
	if key == nil {
		return decompress(dst, payload, c, raw)
	}
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	if c == CodecNone {
		out, err := key.aead.Open(dst[:0], w.at(offset), payload, frame[:frameFields])
		if err != nil {
			return nil, errTampered
		}
		return decompress(nil, out, c, raw)
	}
	out, err := key.aead.Open(w.buf[:0], w.at(offset), payload, frame[:frameFields])
	if err != nil {
		return nil, errTampered
	}
	w.buf = out
	return decompress(dst, out, c, raw)
}
