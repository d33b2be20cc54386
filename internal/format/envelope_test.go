package format

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// What stands where an object belongs and is none of ours, newer, or damaged, is told apart, because each asks for something else.
func TestEnvelopeErrors(t *testing.T) {
	decoders := map[string]struct {
		decode func([]byte) error
		whole  []byte
	}{
		"head":     {func(b []byte) error { _, err := DecodeHead(b); return err }, golden(t, "head")},
		"manifest": {func(b []byte) error { _, err := decodeWhole(b, nil); return err }, golden(t, "manifest-embedded")},
		"pack":     {func(b []byte) error { _, _, err := DecodePack(b, nil); return err }, golden(t, "pack")},
	}
	for name, d := range decoders {
		set := func(i int, v byte) []byte { b := bytes.Clone(d.whole); b[i] = v; return b }
		for _, tt := range []struct {
			name string
			b    []byte
			kind error
			says string
		}{
			{"HTML", []byte("<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title>"), ErrForeign, `it starts with "<!DOCTYPE html>\n<html><h"`},
			{"another product", []byte(`{"format":"iceberg"}`), ErrForeign, `"{\"format\":\"iceberg\"}"`},
			{"empty", nil, ErrForeign, "it is empty"},
			{"one foreign byte", []byte("x"), ErrForeign, `"x"`},
			{"cut in the magic", d.whole[:5], ErrCorrupt, "cut off after 5 bytes"},
			{"cut in the header", d.whole[:12], ErrCorrupt, "cut off after 12 bytes"},
			{"cut behind the header", d.whole[:headerSize], ErrCorrupt, ""},
			{"newer", set(9, 2), ErrNewer, "format version 2, this build reads up to 1"},
			{"newest", set(9, 255), ErrNewer, "255"},
			{"version zero", set(9, 0), ErrCorrupt, "bad header"},
			{"reserved", set(10, 2), ErrCorrupt, "bad header"},
			{"reserved too", set(11, 1), ErrCorrupt, "bad header"},
			{"another kind", set(8, 'X'), ErrCorrupt, `'X'`},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) { wantOne(t, d.decode(tt.b), tt.kind, tt.says) })
		}
	}
	for _, name := range []string{"manifest-embedded", "pack"} {
		_, err := DecodeHead(golden(t, name))
		wantOne(t, err, ErrCorrupt, "where 'H' belongs")
	}
	_, err := decodeWhole(golden(t, "head"), nil)
	wantOne(t, err, ErrCorrupt, "where 'M' belongs")
}

// A length is checked against the object before it is used, also where the checksum is right.
func TestEnvelopeLengths(t *testing.T) {
	resum := func(b []byte) []byte {
		b = b[:len(b)-crcSize]
		return binary.LittleEndian.AppendUint32(b, CRC32C(b))
	}
	for _, n := range []uint32{1 << 31, 1<<32 - 1, 1 << 20} {
		b := bytes.Clone(golden(t, "head"))
		binary.LittleEndian.PutUint32(b[12:], n)
		_, err := DecodeHead(resum(b))
		wantOne(t, err, ErrCorrupt, "in an object of 385")
	}
	_, err := DecodeHead(seal(KindHead, raw(t, goldenHead()), []byte("x")))
	wantOne(t, err, ErrCorrupt, "1 bytes too many")

	b := bytes.Clone(golden(t, "pack"))
	binary.LittleEndian.PutUint32(b[len(b)-packTrailerSize:], 1<<32-1)
	_, _, err = DecodePack(b, nil)
	wantOne(t, err, ErrCorrupt, "pack index of 4294967295 bytes")
}

func TestLimitsHoldOnBothSides(t *testing.T) {
	_, _, err := unwrap(KindHead, seal(KindHead, make([]byte, 100), nil), 100)
	wantOne(t, err, ErrCorrupt, "an envelope of 120 bytes")

	h := goldenHead()
	h.Pins = h.Pins[:0]
	for range MaxHead / (50 + maxLabel) { // each a little larger than that
		n := nonce(0)
		binary.LittleEndian.PutUint32(n, uint32(len(h.Pins)))
		h.Pins = append(h.Pins, &Pin{Kind: Pin_LEASE, Name: strings.Repeat("x", maxLabel), Checkpoint: 9, ExpiresAtNs: 1 << 60, Nonce: n})
	}
	if _, err := EncodeHead(h); err != nil {
		t.Errorf("a HEAD just below the limit: %v", err)
	}
	for range 1000 {
		n := nonce(1)
		binary.LittleEndian.PutUint32(n, uint32(len(h.Pins)))
		h.Pins = append(h.Pins, &Pin{Kind: Pin_LEASE, Name: strings.Repeat("x", maxLabel), Checkpoint: 9, ExpiresAtNs: 1 << 60, Nonce: n})
	}
	_, err = EncodeHead(h)
	wantOne(t, err, ErrInvalid, "retain fewer checkpoints")
}
