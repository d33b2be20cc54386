package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// Each target feeds a decoder bytes, once as they are and once in an envelope with the right checksum, so that the checks behind
// it are reached. What is refused is refused for exactly one reason; what is taken survives another round unchanged.

func refused(t *testing.T, err error) {
	t.Helper()
	kinds := 0
	for _, k := range []error{ErrForeign, ErrNewer, ErrCorrupt, ErrSealed} {
		if errors.Is(err, k) {
			kinds++
		}
	}
	if kinds != 1 || errors.Is(err, ErrInvalid) {
		t.Errorf("not one kind of error: %v", err)
	}
}

// stable asserts that m, once decoded, encodes and decodes to itself.
func stable[M proto.Message](t *testing.T, m M, encode func(M) ([]byte, error), decode func([]byte) (M, error)) {
	t.Helper()
	b, err := encode(m)
	if err != nil {
		t.Fatalf("decoded, and cannot be encoded: %v\n%v", err, m)
	}
	again, err := decode(b)
	if err != nil || !proto.Equal(m, again) {
		t.Fatalf("another round made %v of %v (%v)", again, m, err)
	}
}

func body(t testing.TB, name string) (body, tail []byte) {
	b := golden(t, name)
	n := binary.LittleEndian.Uint32(b[12:])
	return b[headerSize : headerSize+n], b[headerSize+n : len(b)-crcSize]
}

func FuzzDecodeHead(f *testing.F) {
	b, _ := body(f, "head")
	f.Add(b)
	f.Add(golden(f, "head"))
	full, _ := body(f, "head-full")
	f.Add(full)
	f.Add([]byte("<html>"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, seal(KindHead, b, nil)} {
			var h *Head
			var err error
			checkAllocated(t, len(b), func() { h, err = DecodeHead(b) })
			if err != nil {
				refused(t, err)
				continue
			}
			stable(t, h, EncodeHead, DecodeHead)
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	for _, name := range []string{"manifest-embedded", "manifest-stored", "manifest-sealed"} {
		b, tail := body(f, name)
		f.Add(b, tail)
		f.Add(golden(f, name), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, b, tail []byte) {
		sealed, err := envelope(KindManifest, b, tail, goldenSealing(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range [][]byte{b, seal(KindManifest, b, tail), sealed} {
			var m *Manifest
			var err error
			decode := func(b []byte) (*Manifest, error) { return decodeWhole(b, goldenRing()) }
			checkAllocated(t, len(o), func() { _, err = DecodeManifest(o, goldenRing(), NewPartList(nil)) })
			if err != nil {
				refused(t, err)
				continue
			}
			if m, err = decode(o); err != nil {
				t.Fatal(err)
			}
			_, pack, _ := unwrap(KindManifest, o, MaxManifest)
			stable(t, m, func(m *Manifest) ([]byte, error) { return encodeWhole(m, pack, goldenSealing()) }, decode)
			if _, err := ManifestRefers(o); err != nil {
				t.Errorf("decoded, and does not say what it refers to: %v", err)
			}
			for _, x := range m.Objects {
				if _, at := ObjectKey(m.Job, x, m.Id, nonce(1), uint64(len(o))); at < 0 || (x.Embedded && at < headerSize) {
					t.Errorf("pack at %d: %v", at, x)
				}
				if n, ok := ParseKey(m.Job, PackKey(m.Job, x)); !x.Embedded && (!ok || n.Nonce != Nonce(x.Nonce)) {
					t.Errorf("%s is not parsed", PackKey(m.Job, x))
				}
			}
			walkParts(m.Parts, m.Objects)
		}
	})
}

func FuzzDecodeHandle(f *testing.F) {
	b, _ := body(f, "handle")
	f.Add(b)
	f.Add(golden(f, "handle"))
	f.Add(golden(f, "handle-sealed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed, err := envelope(KindHandle, b, nil, goldenSealing(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range [][]byte{b, seal(KindHandle, b, nil), sealed} {
			var h *Handle
			var err error
			decode := func(b []byte) (*Handle, error) { return DecodeHandle(b, goldenRing()) }
			checkAllocated(t, len(o), func() { h, err = decode(o) })
			if err != nil {
				refused(t, err)
				continue
			}
			stable(t, h, func(h *Handle) ([]byte, error) { return EncodeHandle(h, goldenSealing()) }, decode)
			walkParts(h.Parts, h.Objects)
		}
	})
}

// FuzzDecodeSealed has a hostile prelude before what is sealed.
func FuzzDecodeSealed(f *testing.F) {
	b := golden(f, "manifest-sealed")
	_, n, err := readPrelude(KindManifest, b[headerSize:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[headerSize+lengthSize:headerSize+n], b[headerSize+n:len(b)-crcSize])
	f.Fuzz(func(t *testing.T, prelude, rest []byte) {
		for _, k := range []Kind{KindManifest, KindHandle} {
			b := appendHeader(nil, k, flagSealed, lengthSize+len(prelude)+len(rest))
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(prelude))), prelude...)
			b = append(b, rest...)
			b = binary.LittleEndian.AppendUint32(b, CRC32C(b))
			checkAllocated(t, len(b), func() {
				if _, err := decodeWhole(b, goldenRing()); err != nil {
					refused(t, err)
				}
				if _, err := WrappedKeys(b); err != nil {
					refused(t, err)
				}
			})
			if _, err := ManifestRefers(b); err != nil {
				refused(t, err)
			}
			if _, err := DecodeHandle(b, nil); err == nil {
				t.Error("opened without a key")
			}
		}
	})
}

func FuzzDecodeAssignment(f *testing.F) {
	b, _ := body(f, "assignment")
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, o := range [][]byte{b, seal(KindAssignment, b, nil)} {
			var a *Assignment
			var err error
			checkAllocated(t, len(o), func() { a, err = DecodeAssignment(o) })
			if err != nil {
				refused(t, err)
				continue
			}
			stable(t, a, EncodeAssignment, DecodeAssignment)
		}
	})
}

// walkParts touches everything that a reader of a decoded manifest does, without any check of its own.
func walkParts(parts []*Part, objects []*Object) {
	for _, p := range parts {
		for i, s := range p.Segments {
			_ = SegmentLength(p, i)
			for _, o := range s.Objects {
				_ = objects[o].Nonce[NonceSize-1]
			}
			if l := s.GetStored(); l != nil {
				_ = Hash(l.Hash)
				_ = objects[l.Object].Nonce
				continue
			}
			walkTable(s.GetInline(), objects)
		}
	}
}

func walkTable(t *Table, objects []*Object) (length uint64) {
	for i := range t.ExtentChunk {
		e := t.Extent(i)
		length += uint64(e.Length)
		if e.Chunk == Zeros {
			continue
		}
		c := t.Chunk(int(e.Chunk))
		_ = objects[c.Pack].Nonce
	}
	for i := range t.Pages() {
		_ = t.Page(i)
	}
	return length
}

func FuzzDecodePack(f *testing.F) {
	for _, name := range []string{"pack", "pack-delta", "pack-sealed"} {
		b := golden(f, name)
		n := binary.LittleEndian.Uint32(b[len(b)-packTrailerSize:])
		end := len(b) - packTrailerSize - int(n)
		f.Add(b[headerSize:end], b[end:len(b)-packTrailerSize])
		f.Add(b, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, frames, index []byte) {
		for _, b := range [][]byte{frames, packOf(frames, index)} {
			var x *PackIndex
			var key *FrameKey
			var err error
			checkAllocated(t, len(b), func() { x, key, err = DecodePack(b, goldenRing()) })
			if err != nil {
				refused(t, err)
				continue
			}
			for _, e := range x.Entries {
				_ = x.Parts[e.Part]
				content, err := DecodeFrame(nil, b[e.Offset:][:e.Stored], entryChunk(e), key)
				if err != nil {
					refused(t, err)
				} else if len(content) != int(e.Raw) {
					t.Errorf("%d bytes of %d", len(content), e.Raw)
				}
			}
			if err := indexShape().check(raw(t, x)); err != nil {
				t.Errorf("decoded, and cannot be encoded: %v", err)
			}
		}
	})
}

// packOf is a pack in the clear, of frames and an index that may not fit.
func packOf(frames, index []byte) []byte {
	b := append(append(bytes.Clone(plainPack), frames...), index...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(index)))
	b = binary.LittleEndian.AppendUint32(b, CRC32C(index))
	return append(b, packMagic...)
}

func FuzzDecodeTable(f *testing.F) {
	table, length, _ := twoPageTable()
	f.Add(raw(f, table), length, uint64(4000))
	_, golden, _ := goldenPack(f, nil)
	f.Add(golden, uint64(154), uint64(400))
	f.Fuzz(func(t *testing.T, b []byte, length, packSize uint64) {
		objects := []*Object{{Nonce: nonce(1), Size: max(packSize%maxPack, headerSize+packTrailerSize)}, {Nonce: nonce(0xaa), Size: maxPack}}
		for n := range len(objects) + 1 {
			var table *Table
			var err error
			decode := func(b []byte) (*Table, error) { return DecodeTable(b, length, objects[:n]) }
			checkAllocated(t, len(b), func() { table, err = decode(b) })
			if err != nil {
				refused(t, err)
				continue
			}
			if got := walkTable(table, objects); got != length {
				t.Errorf("extents cover %d of %d", got, length)
			}
			stable(t, table, EncodeTable, decode)
		}
	})
}

// FuzzSegmentTable reads a table with a delta over it, both hostile, as a reader does.
func FuzzSegmentTable(f *testing.F) {
	_, under, _ := goldenPack(f, nil)
	_, over, _ := goldenDelta(f)
	f.Add(under, over, uint64(200))
	f.Add(over, under, uint64(154))
	table, length, _ := twoPageTable()
	f.Add(raw(f, table), over, length)
	f.Fuzz(func(t *testing.T, under, over []byte, length uint64) {
		length = 1 + length%maxSegment
		objects := []*Object{{Nonce: nonce(0xaa), Size: maxPack}, {Nonce: nonce(0xdd), Size: maxPack}}
		for _, s := range []*Segment{
			{Delta: new(Location), Objects: []uint32{0, 1}}, {Delta: new(Location), Objects: []uint32{0, 0}}, {Delta: new(Location), Objects: []uint32{1}}, {Delta: new(Location)},
		} {
			own := make([]*Object, len(s.Objects))
			for i, o := range s.Objects {
				own[i] = objects[o]
			}
			var table *Table
			var err error
			// The page hashes are as many as the segment's length says, which is the manifest's word: 16 bytes for 512.
			limit := maxGrowth*(len(under)+len(over)) + int(length/32)
			checkAllocated(t, limit/maxGrowth, func() { table, err = segmentTable(s, own, length, under, over) })
			if err != nil {
				refused(t, err)
				continue
			}
			if got := walkTable(table, own); got != length {
				t.Errorf("extents cover %d of %d", got, length)
			}
			if err := checkTable(table, length, own); err != nil {
				t.Errorf("the overlaid table: %v", err)
			}
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte{}, byte(CodecNone), uint32(0))
	f.Add(textContent, byte(CodecNone), uint32(len(textContent)))
	f.Add(longPayload, byte(CodecSnappy), uint32(len(longContent)))
	f.Add(newPayload, byte(CodecZstd), uint32(len(newContent)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, byte(CodecSnappy), uint32(1<<32-1))
	f.Add(longPayload, byte(9), uint32(128))
	key := goldenKey().FrameKey(nonce(1))
	f.Fuzz(func(t *testing.T, payload []byte, codec byte, n uint32) {
		b := binary.LittleEndian.AppendUint32([]byte{codec, 0, 0, 0}, n)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
		b = append(binary.LittleEndian.AppendUint32(b, UpdateCRC32C(CRC32C(b), payload)), payload...)
		var hash Hash
		if content, err := decompress(nil, payload, Codec(codec), int(min(n, MaxRaw))); err == nil {
			hash = Sum(content)
		}
		sealed := make([]byte, len(b)+TagSize)
		key.seal(sealed, b, 16)
		for _, tt := range []struct {
			frame []byte
			key   *FrameKey
		}{{payload, nil}, {b, nil}, {payload, key}, {b, key}, {sealed, key}} {
			var content []byte
			var err error
			want := Chunk{Offset: 16, Stored: uint32(len(tt.frame)), Raw: n, Hash: hash}
			if got, limit := allocated(func() { content, err = DecodeFrame(nil, tt.frame, want, tt.key) }), uint64(MaxRaw+len(payload)+256<<10); got > limit {
				t.Errorf("allocated %d bytes for %d of content", got, n)
			}
			if err != nil {
				refused(t, err)
				continue
			}
			if len(content) != int(n) || Sum(content) != hash {
				t.Errorf("%d bytes of %d", len(content), n)
			}
			for _, c := range []Codec{CodecNone, CodecSnappy, CodecZstd} {
				again, _ := AppendFrame(nil, content, nil, c)
				if back, err := DecodeFrame(nil, again, describe(again, content), nil); err != nil || !bytes.Equal(back, content) {
					t.Errorf("another round: %v", err)
				}
			}
		}
	})
}

func FuzzParseKey(f *testing.F) {
	id := &CheckpointID{Epoch: 12, Checkpoint: 345}
	f.Add("j", HeadKey("j"))
	f.Add("j", ManifestKey("j", id, nonce(0xab)))
	for _, w := range oddWriters {
		f.Add("j", PackKey("j", &Object{Id: id, Writer: w, Number: 6, Nonce: nonce(0xab)}))
	}
	f.Fuzz(func(t *testing.T, job, key string) {
		n, ok := ParseKey(job, key)
		if !ok {
			return
		}
		id := &CheckpointID{Epoch: n.Epoch, Checkpoint: n.Checkpoint}
		back := PackKey(job, &Object{Id: id, Writer: n.Writer, Number: n.Number, Nonce: n.Nonce[:]})
		if n.Manifest {
			back = ManifestKey(job, id, n.Nonce[:])
		}
		if back != key {
			t.Errorf("%q was read as %+v, whose key is %q", key, n, back)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, name := range oddWriters {
		f.Add(name)
	}
	f.Add("a/b/c")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckJobName(name) == nil && (CheckPartName(name) != nil || strings.ContainsAny(name, "/\\\x00\n\x1b")) {
			t.Errorf("job name %q would be no part name", name)
		}
		if CheckPartName(name) == nil {
			for seg := range strings.SplitSeq("/"+name+"/", "/../") {
				if strings.HasPrefix(name, "/") || seg != "/"+name+"/" {
					t.Errorf("part name %q leaves its directory", name)
				}
			}
		}
		if checkWriter(name) == nil {
			o := &Object{Id: &CheckpointID{Epoch: 1, Checkpoint: 1}, Writer: name, Nonce: nonce(1)}
			if n, ok := ParseKey("j", PackKey("j", o)); !ok || n.Writer != name {
				t.Errorf("writer %q came back as %q", name, n.Writer)
			}
		}
	})
}
