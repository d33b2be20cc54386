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
	for _, k := range []error{ErrForeign, ErrNewer, ErrCorrupt} {
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
	for _, name := range []string{"manifest-embedded", "manifest-stored"} {
		b, tail := body(f, name)
		f.Add(b, tail)
		f.Add(golden(f, name), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, b, tail []byte) {
		for _, o := range [][]byte{b, seal(KindManifest, b, tail)} {
			var m *Manifest
			var err error
			checkAllocated(t, len(o), func() { m, err = DecodeManifest(o) })
			if err != nil {
				refused(t, err)
				continue
			}
			_, pack, _ := unseal(KindManifest, o, MaxManifest)
			stable(t, m, func(m *Manifest) ([]byte, error) { return EncodeManifest(m, pack) }, DecodeManifest)
			for _, x := range m.Objects {
				if _, at := ObjectKey(m.Job, x, m.Id, nonce(1), uint64(len(o))); at < 0 || (x.Embedded && at < headerSize) {
					t.Errorf("pack at %d: %v", at, x)
				}
				if n, ok := ParseKey(m.Job, PackKey(m.Job, x)); !x.Embedded && (!ok || n.Nonce != Nonce(x.Nonce)) {
					t.Errorf("%s is not parsed", PackKey(m.Job, x))
				}
			}
			walkParts(m)
		}
	})
}

// walkParts touches everything that a reader of a decoded manifest does, without any check of its own.
func walkParts(m *Manifest) {
	for _, p := range m.Parts {
		for i, s := range p.Segments {
			_ = SegmentLength(p, i)
			for _, o := range s.Objects {
				_ = m.Objects[o].Nonce[NonceSize-1]
			}
			if l := s.GetStored(); l != nil {
				_ = Hash(l.Hash)
				_ = m.Objects[l.Object].Nonce
				continue
			}
			walkTable(s.GetInline(), m.Objects)
		}
	}
}

func walkTable(t *Table, objects []*Object) (length uint64) {
	for i := range t.ExtentChunk {
		e := t.Extent(i)
		c := t.Chunk(int(e.Chunk))
		_ = objects[c.Pack].Nonce
		length += uint64(e.Length)
	}
	for i := range t.Pages() {
		_ = t.Page(i)
	}
	return length
}

func FuzzDecodePack(f *testing.F) {
	b := golden(f, "pack")
	n := binary.LittleEndian.Uint32(b[len(b)-packTrailerSize:])
	end := len(b) - packTrailerSize - int(n)
	f.Add(b[headerSize:end], b[end:len(b)-packTrailerSize])
	f.Add(b, []byte(nil))
	f.Fuzz(func(t *testing.T, frames, index []byte) {
		whole := append(append(bytes.Clone(packHeader), frames...), index...)
		whole = binary.LittleEndian.AppendUint32(whole, uint32(len(index)))
		whole = binary.LittleEndian.AppendUint32(whole, CRC32C(index))
		for _, b := range [][]byte{frames, append(whole, packMagic...)} {
			var x *PackIndex
			var err error
			checkAllocated(t, len(b), func() { x, err = DecodePack(b) })
			if err != nil {
				refused(t, err)
				continue
			}
			for _, e := range x.Entries {
				_ = x.Parts[e.Part]
				content, err := DecodeFrame(nil, b[e.Offset:][:e.Stored], e.Raw, Hash(e.Hash))
				if err != nil {
					refused(t, err)
				} else if len(content) != int(e.Raw) {
					t.Errorf("%d bytes of %d", len(content), e.Raw)
				}
			}
			stable(t, x, func(x *PackIndex) ([]byte, error) {
				p := NewPackBuilder(nil)
				for _, e := range x.Entries {
					p.Add(b[e.Offset:][:e.Stored], e.Kind, int(e.Raw), Hash(e.Hash), string(x.Parts[e.Part]), int(e.Segment))
				}
				p.index.Parts = x.Parts // in their order, and also those without a frame
				for i, e := range x.Entries {
					p.index.Entries[i].Part = e.Part
				}
				return p.Finish()
			}, DecodePack)
		}
	})
}

func FuzzDecodeTable(f *testing.F) {
	table, length, _ := twoPageTable()
	f.Add(raw(f, table), length, uint64(4000))
	_, golden, _ := goldenPack(f)
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

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte{}, byte(CodecNone), uint32(0))
	f.Add(textContent, byte(CodecNone), uint32(len(textContent)))
	f.Add(longPayload, byte(CodecSnappy), uint32(len(longContent)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, byte(CodecSnappy), uint32(1<<32-1))
	f.Add(longPayload, byte(9), uint32(128))
	f.Fuzz(func(t *testing.T, payload []byte, codec byte, n uint32) {
		b := binary.LittleEndian.AppendUint32([]byte{codec, 0, 0, 0}, n)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
		b = append(binary.LittleEndian.AppendUint32(b, UpdateCRC32C(CRC32C(b), payload)), payload...)
		var hash Hash
		if content, err := decodePayload(nil, Codec(codec), payload, int(min(n, MaxRaw))); err == nil {
			hash = Sum(content)
		}
		for _, frame := range [][]byte{payload, b} {
			var content []byte
			var err error
			if got, limit := allocated(func() { content, err = DecodeFrame(nil, frame, n, hash) }), uint64(MaxRaw+64<<10); got > limit {
				t.Errorf("allocated %d bytes for %d of content", got, n)
			}
			if err != nil {
				refused(t, err)
				continue
			}
			if len(content) != int(n) || Sum(content) != hash {
				t.Errorf("%d bytes of %d", len(content), n)
			}
			again, _ := AppendFrame(nil, content, nil)
			if back, err := DecodeFrame(nil, again, n, hash); err != nil || !bytes.Equal(back, content) {
				t.Errorf("another round: %v", err)
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
