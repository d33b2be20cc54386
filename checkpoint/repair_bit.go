package checkpoint

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// flippedBit finds the one bit of b (bit i%8 of byte i/8) whose flip gives b the CRC32C want; false if there is none, or none is needed. A checksum changes with each bit in a way that
// depends only on how far from the end the bit lies, and in another way for each: so it names the bit.
func flippedBit(b []byte, want uint32) (i int, ok bool) {
	wrong := format.CRC32C(b) ^ want
	if wrong == 0 {
		return 0, false
	}
	var change [8]uint32 // by the bits of the byte at hand
	for bit := range change {
		change[bit] = castagnoli[1<<bit]
	}
	for at := len(b) - 1; at >= 0; at-- {
		for bit, c := range change {
			if c == wrong {
				return 8*at + bit, true
			}
			change[bit] = castagnoli[byte(c)] ^ c>>8
		}
	}
	return 0, false
}

// withBit is a copy of b with bit i flipped.
func withBit(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i/8] ^= 1 << (i % 8)
	return b
}

// maxMended bounds the HEAD that is mended. Where more than one bit is wrong, the checksum names some bit all the same with a chance of 8 in 2³² for each byte:
// for this size, 1 in 2,048. Then HEAD's fields have to make sense, and the manifests have to have the hashes that it says.
const maxMended = 256 << 10

// mendHead decodes a HEAD of which one bit is wrong; nil if that is not it.
func mendHead(b []byte) *format.Head {
	const sumSize = 4
	if len(b) < sumSize || len(b) > maxMended {
		return nil
	}
	content, sum := b[:len(b)-sumSize], binary.LittleEndian.Uint32(b[len(b)-sumSize:])
	mended := b
	if i, ok := flippedBit(content, sum); ok {
		mended = withBit(b, i)
	} else if wrong := format.CRC32C(content) ^ sum; bits.OnesCount32(wrong) == 1 {
		mended = withBit(b, 8*len(content)+bits.TrailingZeros32(wrong))
	}
	h, err := format.DecodeHead(mended)
	if err != nil {
		return nil
	}
	return h
}
