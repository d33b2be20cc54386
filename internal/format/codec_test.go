package format

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A page hash is the tag of AES-128-GCM over no plaintext, with the page as additional data: what every cryptographic library has.
func TestPageHashesAreGMAC(t *testing.T) {
	// Test case 1 of the specification of GCM.
	if got := NewPageHasher([PageKeySize]byte{}).Sum(nil); hex.EncodeToString(got[:]) != "58e2fccefa7e3061367f1d57a4e7455a" {
		t.Errorf("nothing hashes to %x", got)
	}
	// The same, from the definition: a polynomial in the field of 2^128 elements, and a mask.
	for _, n := range []int{0, 1, 15, 16, 17, 512, 4096, 5000} {
		page, key := noise(uint64(n), n), [PageKeySize]byte(noise(99, PageKeySize))
		if got, want := NewPageHasher(key).Sum(page), gmac(key, page); got != want {
			t.Errorf("%d bytes hash to %x, by definition to %x", n, got, want)
		}
	}
	h := NewPageHasher([PageKeySize]byte{1})
	page := noise(1, 4096)
	first := h.Sum(page)
	if h.Sum(page[:4095]) == first || NewPageHasher([PageKeySize]byte{2}).Sum(page) == first || h.Sum(page) != first {
		t.Error("length or key do not matter, or the place does")
	}
	if n := testing.AllocsPerRun(100, func() { h.Sum(page) }); n != 0 {
		t.Errorf("%v allocations for each page", n)
	}
}

// gmac is the definition, bit by bit: NIST SP 800-38D.
func gmac(key [PageKeySize]byte, page []byte) (tag PageHash) {
	c, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	encrypt := func(block [16]byte) (out [16]byte) {
		c.Encrypt(out[:], block[:])
		return out
	}
	h := encrypt([16]byte{})
	var y [16]byte
	block := func(b []byte) {
		for i := range b {
			y[i] ^= b[i]
		}
		var z [16]byte
		v := h
		for i := range 128 {
			if y[i/8]>>(7-i%8)&1 == 1 {
				for j := range z {
					z[j] ^= v[j]
				}
			}
			low := v[15] & 1
			for j := 15; j > 0; j-- {
				v[j] = v[j]>>1 | v[j-1]<<7
			}
			v[0] >>= 1
			if low == 1 {
				v[0] ^= 0xe1
			}
		}
		y = z
	}
	for b := page; len(b) > 0; b = b[min(16, len(b)):] {
		block(b[:min(16, len(b))])
	}
	block(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(len(page))*8), 0))
	mask := encrypt([16]byte{15: 1})
	for i := range tag {
		tag[i] = y[i] ^ mask[i]
	}
	return tag
}

// What a Zstandard frame may be: one, that states its length, without a dictionary, in a window of MaxRaw. Nothing else is decoded.
func TestZstdFrameRules(t *testing.T) {
	with := func(options ...zstd.EOption) []byte {
		e := must(zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...))(t)
		defer func() { _ = e.Close() }()
		return e.EncodeAll(newContent, nil)
	}
	good := with(zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true))
	stream := must(unsized(newContent))(t)
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0x02, 0x00, 0x20, 'z', 0x03, 0x00, 0x20, 'z'} // says 128, has blocks of 128 KiB
	longer := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0x0b, 0x04, 0x00, 'z'}                      // says 128, has 129
	for _, tt := range []struct {
		name    string
		payload []byte
		says    string
	}{
		{"as it is", newPayload, ""},
		{"with a checksum", good, ""},
		{"nothing", nil, "compressed frame"},
		{"another format", longPayload, "compressed frame"},
		{"two blocks", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0x02, 0x02, 0x00, 'z', 0x03, 0x02, 0x00, 'z'}, ""},
		{"half a block", append(bytes.Clone(newPayload[:6]), 1<<2|1, 1), "not one frame"},
		{"no last block", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0x02, 0x04, 0x00, 'z'}, "not one frame"},
		{"cut", newPayload[:9], "compressed frame"},
		{"bytes behind it", append(bytes.Clone(newPayload), 0), "compressed frame"},
		{"two frames", append(bytes.Clone(newPayload), newPayload...), "compressed frame"},
		{"skippable frame behind it", append(bytes.Clone(newPayload), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), "not one frame"},
		{"skippable frame before it", append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, newPayload...), "does not decode"},
		{"no length", stream, "does not decode to 128"},
		{"another length", append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x81}, newPayload[6:]...), "does not decode to 128"},
		{"longer than it says", longer, "compressed frame"},
		{"shorter than it says", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0xfb, 0x03, 0x00, 'z'}, "compressed frame"},
		{"bomb", bomb, "compressed frame"},
		{"large window", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x40, 0x58, 0x80, 0x00, 0x03, 0x04, 0x00, 'z'}, "does not decode"},
		{"dictionary", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x07, 0x80, 0x03, 0x04, 0x00, 'z'}, "does not decode"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := frame(CodecZstd, newContent, tt.payload)
			var content []byte
			var err error
			checkAllocated(t, 16<<10, func() { content, err = DecodeFrame(nil, f, describe(f, newContent), nil) })
			if tt.says != "" {
				wantOne(t, err, ErrCorrupt, tt.says)
			} else if err != nil || !bytes.Equal(content, newContent) {
				t.Errorf("%q, %v", content, err)
			}
		})
	}
}

// unsized is a frame as a stream would be compressed, which does not know its length beforehand.
func unsized(content []byte) ([]byte, error) {
	var b bytes.Buffer
	e, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	if _, err := e.Write(content[:64]); err != nil {
		return nil, err
	}
	if err := e.Flush(); err != nil {
		return nil, err
	}
	if _, err := e.Write(content[64:]); err != nil {
		return nil, err
	}
	err = e.Close()
	return b.Bytes(), err
}

func TestFramesInPlace(t *testing.T) {
	for _, c := range []Codec{CodecNone, CodecSnappy, CodecZstd} {
		for name, content := range contents(256 << 10) {
			dst := append(make([]byte, 0, 7+MaxCompressed(len(content))), "before"...)
			f, scratch := AppendFrame(dst, content, nil, c)
			if &f[0] != &dst[0] || scratch != nil || string(f[:6]) != "before" {
				t.Errorf("%s, codec %d: not in place, or with %d bytes of scratch", name, c, len(scratch))
			}
			apart, _ := AppendFrame(nil, content, nil, c)
			if !bytes.Equal(f[6:], apart) {
				t.Errorf("%s, codec %d: another frame in place", name, c)
			}
			if got := must(DecodeFrame(nil, f[6:], describe(f[6:], content), nil))(t); !bytes.Equal(got, content) {
				t.Errorf("%s, codec %d: %d bytes", name, c, len(got))
			}
			if n := testing.AllocsPerRun(10, func() { AppendFrame(dst, content, nil, c) }); n > 0.5 && c != CodecZstd {
				t.Errorf("%s, codec %d: %v allocations", name, c, n)
			}
		}
	}
}

func TestCompressorSwitchesItselfOff(t *testing.T) {
	good, bad := bytes.Repeat([]byte("tide "), 1000), noise(1, 5000)
	c := &Compressor{Codec: CodecSnappy}
	var scratch []byte
	compressed := func(content []byte) bool {
		var f []byte
		f, scratch = c.AppendFrame(nil, content, scratch)
		if got := must(DecodeFrame(nil, f, describe(f, content), nil))(t); !bytes.Equal(got, content) {
			t.Fatal("another content")
		}
		return Codec(f[0]) == CodecSnappy
	}
	for range giveUpAfter - 1 { // misses that are not in a row do not count
		compressed(bad)
	}
	for range 10 {
		if !compressed(good) {
			t.Fatal("given up too early")
		}
	}
	for range giveUpAfter {
		compressed(bad)
	}
	tries := 0
	for range 4 * retryEvery {
		before := c.misses
		compressed(bad)
		if c.misses != before {
			tries++
		}
	}
	if tries != 4 {
		t.Errorf("%d tries of %d", tries, 4*retryEvery)
	}
	for i := range retryEvery {
		if got, want := compressed(good), i == retryEvery-1; got != want {
			t.Errorf("chunk %d after the content changed: compressed %v", i, got)
		}
	}
	if !compressed(good) {
		t.Error("not switched on again")
	}
	c = &Compressor{Codec: CodecSnappy}
	for range 2 * giveUpAfter { // too short to be tried
		compressed([]byte("x"))
	}
	if !compressed(good) || c.misses != 0 {
		t.Error("given up on what was never tried")
	}
	c = new(Compressor)
	if compressed(good) {
		t.Error("compressed without a codec")
	}
}

func BenchmarkCodecs(b *testing.B) {
	for name, content := range contents(256 << 10) {
		for _, c := range []Codec{CodecSnappy, CodecZstd} {
			b.Run(fmt.Sprintf("append/%s/%d", name, c), func(b *testing.B) {
				dst := make([]byte, 0, MaxCompressed(len(content)))
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				var f []byte
				for b.Loop() {
					f, _ = AppendFrame(dst, content, nil, c)
				}
				b.ReportMetric(float64(len(f))/float64(len(content)), "stored/byte")
			})
			b.Run(fmt.Sprintf("decode/%s/%d", name, c), func(b *testing.B) {
				f, _ := AppendFrame(nil, content, nil, c)
				dst, want := make([]byte, len(content)), describe(f, content)
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := DecodeFrame(dst, f, want, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
