package format

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Codec is how a frame's payload is stored.
type Codec byte

// The codecs of format version 1.
const (
	CodecNone   Codec = 0
	CodecSnappy Codec = 1 // Snappy block format, so that any language has a reader
	CodecZstd   Codec = 2 // one Zstandard frame that states the length of its content
)

// minCompressed is the shortest content that is worth a try.
const minCompressed = 64

// compress returns content compressed by c, in space's if that suffices.
func compress(space, content []byte, c Codec) []byte {
	if c == CodecZstd {
		return zstdEncoder().EncodeAll(content, space[:0])
	}
	if need := s2.MaxEncodedLen(len(content)); len(space) < need {
		space = make([]byte, need)
	}
	return s2.EncodeSnappy(space, content)
}

// decompress returns the raw bytes that payload stands for: in dst's space if there is enough of it, or payload itself.
func decompress(dst, payload []byte, c Codec, raw int) ([]byte, error) {
	switch c {
	case CodecSnappy:
		if n, err := s2.DecodedLen(payload); err != nil || n != raw {
			return nil, fmt.Errorf("%w: compressed frame does not decode to %d bytes", ErrCorrupt, raw)
		}
		out, err := s2.Decode(dst[:cap(dst)], payload)
		if err != nil {
			return nil, fmt.Errorf("%w: compressed frame: %w", ErrCorrupt, err)
		}
		return out, nil
	case CodecZstd:
		return decompressZstd(dst, payload, raw)
	}
	if len(payload) != raw {
		return nil, fmt.Errorf("%w: stored frame of %d bytes for %d of content", ErrCorrupt, len(payload), raw)
	}
	return payload, nil
}

func decompressZstd(dst, payload []byte, raw int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(payload); err != nil {
		return nil, fmt.Errorf("%w: compressed frame: %w", ErrCorrupt, err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(raw) || h.DictionaryID != 0 || h.WindowSize > MaxRaw {
		return nil, fmt.Errorf("%w: compressed frame does not decode to %d bytes", ErrCorrupt, raw)
	}
	if !oneZstdFrame(payload, h) {
		return nil, fmt.Errorf("%w: compressed frame is not one frame and nothing else", ErrCorrupt)
	}
	if cap(dst) < raw {
		dst = make([]byte, raw)
	}
	out, err := zstdDecoder().DecodeAll(payload, dst[:0:raw]) // and to no byte more: the decoder keeps to the capacity
	if err != nil {
		return nil, fmt.Errorf("%w: compressed frame: %w", ErrCorrupt, err)
	}
	if len(out) != raw {
		return nil, fmt.Errorf("%w: compressed frame decodes to %d bytes, not %d", ErrCorrupt, len(out), raw)
	}
	return out, nil
}

// oneZstdFrame walks the blocks behind a header to the end of the payload, because the decoder would go on to whatever follows.
func oneZstdFrame(payload []byte, h zstd.Header) bool {
	const (
		blockHeader = 3
		checksum    = 4
		rle         = 1 // the type of a block that has one byte, however long it is
	)
	for at := h.HeaderSize; at+blockHeader <= len(payload); {
		b := int(payload[at]) | int(payload[at+1])<<8 | int(payload[at+2])<<16
		last, kind, size := b&1 == 1, b>>1&3, b>>3
		if kind == rle {
			size = 1
		}
		at += blockHeader + size
		if last {
			if h.HasCheckSum {
				at += checksum
			}
			return at == len(payload)
		}
	}
	return false
}

// One encoder and one decoder serve everybody: each works in the goroutine that calls it, and keeps as many workspaces as there are processors.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithWindowSize(MaxRaw), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("format: " + err.Error()) // the options are no input
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxRaw), zstd.WithDecoderMaxWindow(MaxRaw), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic("format: " + err.Error())
		}
		return d
	})
)

// workspace is what sealing and opening need beside their results. It comes from a pool because what is passed to a cipher escapes to the heap.
type workspace struct {
	nonce [gcmNonceSize]byte
	buf   []byte // of what is still compressed
}

// at makes the nonce of what lies at an offset of its pack.
func (w *workspace) at(offset uint64) []byte {
	binary.LittleEndian.PutUint64(w.nonce[:], offset)
	return w.nonce[:]
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}
