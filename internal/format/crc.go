package format

import (
	"encoding/binary"
	"hash/crc32"
)

// crcPowers[k] is x^(2^k) modulo the Castagnoli polynomial, as CRC32C writes polynomials: the highest power in the lowest bit.
var crcPowers = func() (powers [32]uint32) {
	powers[0] = 1 << 30
	for k := 1; k < len(powers); k++ {
		powers[k] = crcTimes(powers[k-1], powers[k-1])
	}
	return powers
}()

// crcTimes multiplies polynomials.
func crcTimes(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}

// shiftCRC32C is what crc contributes to the checksum of bytes that n others follow: the checksum of a‖b is shiftCRC32C(crc of a, len(b)) ^ crc of b.
func shiftCRC32C(crc uint32, n int) uint32 {
	for k := 3; n > 0; n, k = n>>1, k+1 { // 8 bits to a byte
		if n&1 != 0 {
			crc = crcTimes(crcPowers[k], crc)
		}
	}
	return crc
}

// frameCRC32C is the checksum of a frame, all of it, from the one that it has in its header. The payload is not read.
func frameCRC32C(frame []byte) uint32 {
	// The header's sum leaves itself out; both know of the payload the same.
	own := binary.LittleEndian.Uint32(frame[frameFields:])
	return own ^ shiftCRC32C(CRC32C(frame[:frameFields])^CRC32C(frame[:FrameHeaderSize]), len(frame)-FrameHeaderSize)
}
