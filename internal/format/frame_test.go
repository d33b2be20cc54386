package format

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// describe is what a table says of a frame.
func describe(f, content []byte) Chunk {
	return Chunk{Offset: 16, Stored: uint32(len(f)), Raw: uint32(len(content)), Hash: Sum(content)}
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func TestFrameRoundTrip(t *testing.T) {
	var scratch []byte
	dst := make([]byte, 0, MaxRaw)
	for _, n := range []int{1, 63, 64, 4096, 65537, 256 << 10, MaxRaw} {
		for name, content := range map[string][]byte{"noise": noise(uint64(n), n), "zeros": make([]byte, n), "text": bytes.Repeat([]byte("tide "), n/5+1)[:n]} {
			var f []byte
			f, scratch = AppendFrame([]byte("before"), content, scratch, CodecSnappy)
			f = f[len("before"):]
			if len(f) > MaxFrame(n) || (name != "noise" && n >= 4096 && len(f) > n/2) {
				t.Errorf("%s of %d bytes: frame of %d", name, n, len(f))
			}
			got := must(DecodeFrame(dst, f, describe(f, content), nil))(t)
			if !bytes.Equal(got, content) || cap(got) != n {
				t.Errorf("%s of %d bytes: %d came back, capacity %d", name, n, len(got), cap(got))
			}
			if Codec(f[0]) == CodecSnappy && &got[0] != &dst[:1][0] {
				t.Error("not decoded in the space that was given")
			}
		}
	}
}

// A frame is stored compressed only if that saves an eighth.
func TestCompressionThatDoesNotPay(t *testing.T) {
	content := append(noise(1, 7500), make([]byte, 500)...) // a sixteenth of it compresses
	if f, _ := AppendFrame(nil, content, nil, CodecSnappy); Codec(f[0]) != CodecNone || len(f) != MaxFrame(len(content)) {
		t.Errorf("codec %d, %d bytes", f[0], len(f))
	}
	content = append(noise(1, 6500), make([]byte, 1500)...)
	if f, _ := AppendFrame(nil, content, nil, CodecSnappy); Codec(f[0]) != CodecSnappy {
		t.Errorf("codec %d, %d bytes", f[0], len(f))
	}
}

// An implausible frame with a right checksum is refused too, before anything is allocated for it.
func TestFrameRules(t *testing.T) {
	with := func(b []byte, i int, v byte) []byte {
		b = bytes.Clone(b)
		b[i] = v
		binary.LittleEndian.PutUint32(b[12:], UpdateCRC32C(CRC32C(b[:12]), b[16:]))
		return b
	}
	snappy := frame(CodecSnappy, longContent, longPayload)
	bomb := frame(CodecSnappy, longContent, append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, longPayload[2:]...))
	for _, tt := range []struct {
		name string
		f    []byte
		raw  uint32
		kind error
		says string
	}{
		{"nothing", nil, 128, ErrCorrupt, "frame of 0 bytes"},
		{"half a header", snappy[:15], 128, ErrCorrupt, "frame of 15 bytes"},
		{"checksum", append(bytes.Clone(snappy), 0), 128, ErrCorrupt, "CRC32C"},
		{"codec", with(snappy, 0, 3), 128, ErrNewer, "codec 3"},
		{"flag", with(snappy, 1, 2), 128, ErrCorrupt, "reserved"},
		{"sealed", with(snappy, 1, 1), 128, ErrCorrupt, "sealed: true"},
		{"third byte", with(snappy, 2, 1), 128, ErrCorrupt, "reserved"},
		{"last reserved byte", with(snappy, 3, 1), 128, ErrCorrupt, "reserved"},
		{"another length than the table's", snappy, 127, ErrCorrupt, "its table 127"},
		{"nothing in it", frame(CodecNone, nil, nil), 0, ErrCorrupt, "frame says 0"},
		{"too much", with(snappy, 7, 0xff), 0xff000080, ErrCorrupt, "frame says 4278190208"},
		{"payload length", with(snappy, 8, 9), 128, ErrCorrupt, "says 9 bytes of payload, has 10"},
		{"stored length", frame(CodecNone, longContent, longContent[1:]), 128, ErrCorrupt, "stored frame of 127"},
		{"compressed length", frame(CodecSnappy, longContent, append([]byte{0x81}, longPayload[1:]...)), 128, ErrCorrupt, "does not decode to 128"},
		{"bomb", bomb, 128, ErrCorrupt, "does not decode to 128"},
		{"longer than its content", frame(CodecSnappy, longContent, append([]byte{0x80, 0x01, 0xfc, 0x7f}, append(bytes.Clone(longContent), 0, 0, 0, 0)...)), 128, ErrCorrupt, "a payload of 136 bytes for 128"},
		{"cut", frame(CodecSnappy, longContent, longPayload[:9]), 128, ErrCorrupt, "compressed frame"},
		{"copy from before the start", frame(CodecSnappy, longContent, []byte{0x80, 0x01, 0xfe, 0x01, 0x00, 0xfe, 0x01, 0x00}), 128, ErrCorrupt, "compressed frame"},
		{"content", plain(bytes.Repeat([]byte{'b'}, 128)), 128, ErrCorrupt, "content hashes to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkAllocated(t, len(tt.f), func() {
				_, err := DecodeFrame(nil, tt.f, Chunk{Stored: uint32(len(tt.f)), Raw: tt.raw, Hash: Sum(longContent)}, nil)
				wantOne(t, err, tt.kind, tt.says)
			})
		})
	}
}

func TestHashesAreWhatTheSpecificationSays(t *testing.T) {
	// BLAKE3 of nothing, from the test vectors of its authors; CRC32C of nine digits, from RFC 3720's polynomial as every catalogue has it.
	if got := Sum(nil); !bytes.Equal(got[:4], []byte{0xaf, 0x13, 0x49, 0xb9}) {
		t.Errorf("BLAKE3 of nothing starts with %x", got[:4])
	}
	if got := CRC32C([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("CRC32C is %08x", got)
	}
	page := noise(1, 4096)
	if UpdateCRC32C(CRC32C(page[:100]), page[100:]) != CRC32C(page) {
		t.Error("a checksum continued is not that of the whole")
	}
}
