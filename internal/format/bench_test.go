package format

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
)

// contents are a chunk that does not compress, and one like a database's pages: half noise, half repetition.
func contents(n int) map[string][]byte {
	rows := make([]byte, 0, n)
	for i := 0; len(rows) < n; i++ {
		rows = append(append(rows, noise(uint64(i), 32)...), bytes.Repeat([]byte{byte(i)}, 32)...)
	}
	return map[string][]byte{"noise": noise(1, n), "rows": rows[:n]}
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, n := range []int{4 << 10, 256 << 10} {
		for name, content := range contents(n) {
			b.Run(fmt.Sprintf("%s/%dKiB", name, n>>10), func(b *testing.B) {
				var dst, scratch []byte
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					dst, scratch = AppendFrame(dst[:0], content, scratch, CodecSnappy)
				}
				b.ReportMetric(float64(len(dst))/float64(n), "stored/byte")
			})
		}
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	for _, n := range []int{4 << 10, 256 << 10} {
		for name, content := range contents(n) {
			b.Run(fmt.Sprintf("%s/%dKiB", name, n>>10), func(b *testing.B) {
				f, _ := AppendFrame(nil, content, nil, CodecSnappy)
				hash, dst := Sum(content), make([]byte, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := DecodeFrame(dst, f, Chunk{Stored: uint32(len(f)), Raw: uint32(n), Hash: hash}, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkPageHasher(b *testing.B) {
	for _, n := range []int{4 << 10, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			page, h := noise(1, n), NewPageHasher([PageKeySize]byte{1})
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				h.Sum(page)
			}
		})
	}
}

func BenchmarkDecodeHead(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			h := goldenHead()
			last := h.Retained[1]
			h.Retained, h.Pins = nil, nil
			for i := range n {
				r := proto.CloneOf(last)
				r.Id.Checkpoint = uint64(i + 1)
				h.Retained = append(h.Retained, r)
			}
			h.Last.Checkpoint = uint64(n)
			o := must(EncodeHead(h))(b)
			b.SetBytes(int64(len(o)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeHead(o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Ten thousand files of one page each.
func BenchmarkManifest(b *testing.B) {
	m := &Manifest{Job: "j", Id: &CheckpointID{Epoch: 1, Checkpoint: 1}}
	m.Objects = []*Object{{Id: m.Id, Writer: "main", Nonce: nonce(1), Size: 64 << 20}}
	for i := range 10_000 {
		t := new(Table)
		t.AppendChunk(Chunk{Offset: 16 + uint64(i)*4112, Stored: 4112, Raw: 4096, Hash: Sum([]byte{byte(i)})})
		t.AppendExtent(Extent{Length: 4096})
		m.Parts = append(m.Parts, &Part{Name: fmt.Appendf(nil, "state/%06d", i), Kind: Part_FILE, Size: 4096, Mode: 0o644, ModifiedNs: 1 << 60, Method: Part_FULL, NewBytes: 4096,
			SegmentSize: 16 << 20, Chunks: 1, Segments: []*Segment{{Where: &Segment_Inline{Inline: t}}}})
	}
	o := must(encodeWhole(m, nil, nil))(b)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(o)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encodeWhole(m, nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(o)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeWhole(o, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("walk", func(b *testing.B) {
		body := must(marshal(nil, m, manifestShape()))(b)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if err := manifestShape().check(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
