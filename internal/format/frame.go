package format

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Codec is how a frame's payload is stored.
type Codec byte

// The codecs of format version 1.
const (
	CodecNone   Codec = 0
	CodecSnappy Codec = 1 // Snappy block format, so that any language has a reader
)

// FrameHeaderSize is what a frame adds to its payload: codec, three reserved bytes, length of the content, length of the payload,
// CRC32C of the twelve bytes before and the payload.
const FrameHeaderSize = 16

// MaxFrame is the longest frame for a content of n bytes.
func MaxFrame(n int) int { return FrameHeaderSize + n }

// AppendFrame appends content, 1 to MaxRaw bytes, as one frame, compressed if that saves at least an eighth: less is not worth
// the reader's time. scratch is working space that it may grow; it returns both.
func AppendFrame(dst, content, scratch []byte) (frame, grown []byte) {
	payload, codec := content, CodecNone
	if len(content) >= 64 {
		if need := s2.MaxEncodedLen(len(content)); cap(scratch) < need {
			scratch = make([]byte, need)
		}
		enc := s2.EncodeSnappy(scratch[:cap(scratch)], content)
		if len(enc) <= len(content)-len(content)/8 {
			payload, codec = enc, CodecSnappy
		}
	}
	start := len(dst)
	dst = append(dst, byte(codec), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(content)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	crc := UpdateCRC32C(CRC32C(dst[start:]), payload)
	dst = binary.LittleEndian.AppendUint32(dst, crc)
	return append(dst, payload...), scratch
}

// DecodeFrame checks a whole frame against what its table says of it and returns the content: exactly raw bytes, also in
// capacity. It is in dst's space where it is compressed and cap(dst) suffices; otherwise it may alias frame.
func DecodeFrame(dst, frame []byte, raw uint32, hash Hash) ([]byte, error) {
	if len(frame) < FrameHeaderSize {
		return nil, fmt.Errorf("%w: frame of %d bytes", ErrCorrupt, len(frame))
	}
	payload := frame[FrameHeaderSize:]
	if crc := UpdateCRC32C(CRC32C(frame[:12]), payload); crc != binary.LittleEndian.Uint32(frame[12:]) {
		return nil, fmt.Errorf("%w: frame has CRC32C %08x, says %08x", ErrCorrupt, crc, binary.LittleEndian.Uint32(frame[12:]))
	}
	if n := binary.LittleEndian.Uint32(frame[8:]); uint64(n) != uint64(len(payload)) {
		return nil, fmt.Errorf("%w: frame says %d bytes of payload, has %d", ErrCorrupt, n, len(payload))
	}
	if frame[1]|frame[2]|frame[3] != 0 {
		return nil, fmt.Errorf("%w: frame with reserved bytes set", ErrCorrupt)
	}
	if n := binary.LittleEndian.Uint32(frame[4:]); n != raw || raw == 0 || raw > MaxRaw {
		return nil, fmt.Errorf("%w: frame says %d bytes of content, its table %d", ErrCorrupt, n, raw)
	}
	content, err := decodePayload(dst, Codec(frame[0]), payload, int(raw))
	if err != nil {
		return nil, err
	}
	if got := Sum(content); got != hash {
		return nil, fmt.Errorf("%w: content hashes to %x, its table says %x", ErrCorrupt, [8]byte(got[:8]), [8]byte(hash[:8]))
	}
	return content[:raw:raw], nil
}

func decodePayload(dst []byte, c Codec, payload []byte, raw int) ([]byte, error) {
	switch c {
	case CodecNone:
		if len(payload) != raw {
			return nil, fmt.Errorf("%w: stored frame of %d bytes for %d of content", ErrCorrupt, len(payload), raw)
		}
		return payload, nil
	case CodecSnappy:
		if n, err := s2.DecodedLen(payload); err != nil || n != raw {
			return nil, fmt.Errorf("%w: compressed frame does not decode to %d bytes", ErrCorrupt, raw)
		}
		out, err := s2.Decode(dst[:cap(dst)], payload)
		if err != nil {
			return nil, fmt.Errorf("%w: compressed frame: %w", ErrCorrupt, err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: frame with codec %d", ErrNewer, c)
}
