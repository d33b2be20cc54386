package format

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestBombs: bytes that claim to become much more than they are cost what the caller expected of them, and no more.
func TestBombs(t *testing.T) {
	encoder, err := zstd.NewWriter(nil, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	bomb := encoder.EncodeAll(make([]byte, 64<<20), nil)
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	snappy := func(claims uint64) []byte { return append(binary.AppendUvarint(nil, claims), 0, 'a', 0xfe, 1, 0) }
	const magic = "\x28\xb5\x2f\xfd"
	for name, tt := range map[string]struct {
		codec   Codec
		payload []byte
	}{
		"snappy of 4 GiB":                       {CodecSnappy, snappy(1<<32 - 1)},
		"snappy of 2^63":                        {CodecSnappy, snappy(1 << 63)},
		"snappy of more than it says":           {CodecSnappy, snappy(3)},
		"zstd of 64 MiB of zeros":               {CodecZstd, bomb},
		"zstd of 2^62, one segment":             {CodecZstd, append([]byte(magic+"\xe0"), 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0)},
		"zstd with a window of 3.75 TiB":        {CodecZstd, []byte(magic + "\x00\xff\x01\x00\x00")},
		"zstd with a window of 128 MiB, a size": {CodecZstd, append([]byte(magic+"\x80\x88"), 0x00, 0x00, 0x10, 0x00, 1, 0, 0)},
		"zstd, blocks of 2^21 without content":  {CodecZstd, []byte(magic + "\x20\x10\xff\xff\xff")},
	} {
		for _, raw := range []uint32{1, 4096, MaxRaw, MaxRaw + 1, 1<<32 - 1} {
			t.Run(fmt.Sprintf("%s, %d expected", name, raw), func(t *testing.T) {
				b := binary.LittleEndian.AppendUint32([]byte{byte(tt.codec), 0, 0, 0}, raw)
				b = binary.LittleEndian.AppendUint32(b, uint32(len(tt.payload)))
				b = append(binary.LittleEndian.AppendUint32(b, UpdateCRC32C(CRC32C(b), tt.payload)), tt.payload...)
				var err error
				decode := func() { _, err = DecodeFrame(nil, b, Chunk{Stored: uint32(len(b)), Raw: raw}, nil) }
				decode() // decoders of zstd are made once, and kept
				if got, limit := allocated(decode), uint64(min(raw, MaxRaw))+uint64(len(b))+256<<10; got > limit {
					t.Errorf("allocated %d bytes, at most %d are allowed", got, limit)
				}
				if err == nil {
					t.Fatal("decoded")
				}
				refused(t, err)
			})
		}
	}
}

// TestClaimedLengths: a length that lies beyond the object is believed by nobody.
func TestClaimedLengths(t *testing.T) {
	lengths := []uint32{1 << 20, 1 << 28, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	for name, g := range goldens {
		b := golden(t, name)
		for _, n := range lengths {
			places := map[string]int{"body": 12, "prelude": headerSize}
			if b[8] == byte(KindPack) {
				places["pack index"] = len(b) - packTrailerSize
			}
			for what, at := range places {
				bad := append([]byte(nil), b...)
				binary.LittleEndian.PutUint32(bad[at:], n)
				if b[8] != byte(KindPack) { // a pack has no checksum of its own
					binary.LittleEndian.PutUint32(bad[len(bad)-crcSize:], CRC32C(bad[:len(bad)-crcSize]))
				}
				var err error
				checkAllocated(t, len(bad), func() { err = g.read(bad) })
				if err == nil {
					t.Errorf("%s: a %s of %d bytes is believed", name, what, n)
				} else {
					refused(t, err)
				}
			}
		}
	}
	// In a message: a string, a message and packed numbers that say they are 2^32 or 2^63 bytes long.
	for _, s := range []*shape{headShape(), manifestShape(), tableShape(), indexShape(), handleShape(), assignmentShape(), sealedShape()} {
		for num := range s.fields {
			for _, n := range []uint64{1<<32 - 1, 1 << 32, 1<<63 - 1, 1<<64 - 1} {
				b := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(num)<<3|2), n)
				if got := allocated(func() {
					if s.check(b) == nil {
						t.Errorf("%s: field %d of %d bytes is believed", s.name, num, n)
					}
				}); got > 64<<10 {
					t.Errorf("%s: field %d of %d bytes: allocated %d", s.name, num, n, got)
				}
			}
		}
	}
}
