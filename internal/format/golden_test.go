package format

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
)

// The golden files are objects of format version 1 as they were once written. They have to be readable for ever; a change of
// what is written needs a new version, and new files beside these.

var (
	textContent = []byte("The tide marks the shore.\n")
	longContent = bytes.Repeat([]byte{'a'}, 128)
	// longPayload is longContent as a Snappy block: its length, one literal byte, and two copies from one byte back.
	longPayload = []byte{0x80, 0x01, 0x00, 'a', 0xfe, 0x01, 0x00, 0xfa, 0x01, 0x00}
)

func goldenHead() *Head {
	at := func(epoch, checkpoint uint64, b byte) *Retained {
		h := Sum([]byte{b})
		return &Retained{
			Id: &CheckpointID{Epoch: epoch, Checkpoint: checkpoint}, ManifestNonce: nonce(b), ManifestSize: 1234, ManifestCrc32C: 0xdeadbeef,
			ManifestHash: h[:], CommittedAtNs: 1_750_000_000_000_000_000,
			Stats: &Stats{Parts: 3, Bytes: 4096, NewBytes: 512, StoredBytes: 300, DurationNs: 25_000_000, Puts: 2, Gets: 1, Lists: 4, Deletes: 5, Heads: 6},
		}
	}
	return &Head{
		Nonce: nonce(0x11), Epoch: 2, Fence: nonce(0x22), Owner: "host, process 7", Last: &CheckpointID{Epoch: 2, Checkpoint: 9}, LastManifest: nonce(0x99),
		Retained: []*Retained{at(1, 5, 0x55), at(2, 9, 0x99)},
		Pins: []*Pin{
			{Kind: Pin_TAG, Name: "before-upgrade", Checkpoint: 5},
			{Kind: Pin_LEASE, Name: "reader", Checkpoint: 9, ExpiresAtNs: 1_750_000_060_000_000_000, Nonce: nonce(0x77)},
		},
		WrittenAtNs: 1_750_000_000_000_000_001,
	}
}

// goldenChunks adds the two chunks of goldenPart to a pack and returns its table.
func goldenChunks(p *PackBuilder, part string) *Table {
	t := new(Table)
	for _, c := range []struct{ content, frame []byte }{{textContent, plain(textContent)}, {longContent, frame(CodecSnappy, longContent, longPayload)}} {
		hash := Sum(c.content)
		at := p.Add(c.frame, PackEntry_CHUNK, len(c.content), hash, part, 0)
		row := t.AppendChunk(Chunk{Offset: at, Stored: uint32(len(c.frame)), Raw: uint32(len(c.content)), Hash: hash})
		t.AppendExtent(Extent{Chunk: row, Length: uint32(len(c.content))})
	}
	// The part is one short page.
	page := SumPage(append(bytes.Clone(textContent), longContent...))
	t.PageSize, t.PageHash = 4096, page[:]
	return t
}

// goldenPack is a pack with two chunks and the table that refers to them.
func goldenPack(t testing.TB) (pack, table []byte, at *Location) {
	p := NewPackBuilder(nil)
	tab := goldenChunks(p, "state/db")
	tab.Packs = [][]byte{nonce(0xaa)}
	table = must(EncodeTable(tab))(t)
	hash, f := Sum(table), plain(table)
	at = &Location{Object: 0, Stored: uint32(len(f)), Raw: uint32(len(table)), Hash: hash[:]}
	at.Offset = p.Add(f, PackEntry_TABLE, len(table), hash, "state/db", 0)
	return must(p.Finish())(t), table, at
}

// goldenStored is a manifest whose part has its table in goldenPack, and that refers to packs of older checkpoints.
func goldenStored(t testing.TB) *Manifest {
	pack, _, at := goldenPack(t)
	old := &Table{}
	old.AppendChunk(Chunk{Pack: 1, Offset: 16, Stored: 42, Raw: 26, Hash: Sum(textContent)})
	old.AppendExtent(Extent{Length: 26})
	older := &Table{}
	older.AppendChunk(Chunk{Pack: 2, Offset: 16, Stored: 42, Raw: 26, Hash: Sum(textContent)})
	older.AppendExtent(Extent{Start: 4, Length: 10})
	inline := func(t *Table) []*Segment { return []*Segment{{Where: &Segment_Inline{Inline: t}}} }
	return &Manifest{
		Job: "orders", Id: &CheckpointID{Epoch: 2, Checkpoint: 9}, Base: &CheckpointID{Epoch: 1, Checkpoint: 5}, CreatedAtNs: 1_750_000_000_000_000_000,
		Objects: []*Object{
			{Id: &CheckpointID{Epoch: 2, Checkpoint: 9}, Writer: "main", Nonce: nonce(0xaa), Size: uint64(len(pack)), Crc32C: CRC32C(pack)},
			{Id: &CheckpointID{Epoch: 1, Checkpoint: 4}, Writer: "enrich/3", Number: 7, Nonce: nonce(0xbb), Size: 8 << 20, Crc32C: 1},
			{Id: &CheckpointID{Epoch: 1, Checkpoint: 5}, Nonce: nonce(0xcc), Size: 500, Crc32C: 2, Embedded: true, ManifestNonce: nonce(0x55), ManifestSize: 1234, ManifestCrc32C: 0xdeadbeef},
		},
		Parts: []*Part{
			{Name: []byte("offsets"), Kind: Part_STREAM, Size: 26, Method: Part_PAGES, Reason: "may change in place", SegmentSize: 16 << 20, Chunks: 1, Segments: inline(old)},
			{Name: []byte("state"), Kind: Part_DIRECTORY, Mode: 0o755, ModifiedNs: 1, Method: Part_FULL},
			{Name: []byte("state/current"), Kind: Part_SYMLINK, LinkTarget: []byte("db"), Method: Part_FULL},
			{Name: []byte("state/db"), Kind: Part_FILE, Size: 154, Mode: 0o640, ModifiedNs: -1, Method: Part_PAGES, Reason: "may change in place", NewBytes: 154, SegmentSize: 16 << 20,
				Chunks: 2, Segments: []*Segment{{Where: &Segment_Stored{Stored: at}, Objects: []uint32{0}}}},
			{Name: []byte("state/empty"), Kind: Part_FILE, Mode: 0o600, Method: Part_FULL},
			{Name: []byte("state/old.sst"), Kind: Part_FILE, Size: 10, Mode: 0o444, Method: Part_IDENTITY, Identity: []byte("dev 1, inode 2"), SegmentSize: 16 << 20, Chunks: 1, Segments: inline(older)},
		},
		Metadata: []*Entry{{Key: "offsets", Value: []byte{1, 2, 3}}, {Key: "schema"}},
	}
}

// goldenEmbedded is a small checkpoint: everything in one object.
func goldenEmbedded(t testing.TB) (m *Manifest, pack []byte) {
	p := NewPackBuilder(nil)
	tab := goldenChunks(p, "db")
	pack = must(p.Finish())(t)
	id := &CheckpointID{Epoch: 1, Checkpoint: 1}
	return &Manifest{
		Job: "orders", Id: id, CreatedAtNs: 1_750_000_000_000_000_000,
		Objects: []*Object{{Id: id, Nonce: nonce(0xdd), Size: uint64(len(pack)), Crc32C: CRC32C(pack), Embedded: true}},
		Parts: []*Part{{Name: []byte("db"), Kind: Part_STREAM, Size: 154, Method: Part_FULL, Reason: "nothing to compare with", NewBytes: 154,
			SegmentSize: 16 << 20, Chunks: 2, Segments: []*Segment{{Where: &Segment_Inline{Inline: tab}}}}},
	}, pack
}

// goldens are the golden files, and how their bytes are read and found damaged: a reader's error, or nil.
var goldens = map[string]struct {
	write func(testing.TB) []byte
	read  func([]byte) error
}{
	"head": {
		func(t testing.TB) []byte { return must(EncodeHead(goldenHead()))(t) },
		func(b []byte) error { _, err := DecodeHead(b); return err },
	},
	"manifest-embedded": {
		func(t testing.TB) []byte { m, pack := goldenEmbedded(t); return must(EncodeManifest(m, pack))(t) },
		func(b []byte) error { _, err := DecodeManifest(b); return err },
	},
	"manifest-stored": {
		func(t testing.TB) []byte { return must(EncodeManifest(goldenStored(t), nil))(t) },
		func(b []byte) error { _, err := DecodeManifest(b); return err },
	},
	"pack": {
		func(t testing.TB) []byte { pack, _, _ := goldenPack(t); return pack },
		readPack,
	},
}

// readPack reads a pack to its last byte.
func readPack(b []byte) error {
	x, err := DecodePack(b)
	if err != nil {
		return err
	}
	for _, e := range x.Entries {
		if _, err := DecodeFrame(nil, b[e.Offset:][:e.Stored], e.Raw, Hash(e.Hash)); err != nil {
			return err
		}
	}
	return nil
}

func goldenPath(name string) string { return filepath.Join("testdata", "golden", "v1", name) }

func golden(t testing.TB, name string) []byte {
	t.Helper()
	return must(os.ReadFile(goldenPath(name)))(t)
}

func TestGoldenBytes(t *testing.T) {
	for name, g := range goldens {
		t.Run(name, func(t *testing.T) {
			got := g.write(t)
			if *update {
				if err := os.MkdirAll(filepath.Dir(goldenPath(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(goldenPath(name), got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := golden(t, name); !bytes.Equal(got, want) {
				t.Errorf("the encoding has changed:\n got %x\nwant %x", got, want)
			}
			if err := g.read(golden(t, name)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGoldenMeaning(t *testing.T) {
	equal := func(got, want proto.Message) {
		t.Helper()
		if !proto.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	}
	equal(must(DecodeHead(golden(t, "head")))(t), goldenHead())
	embedded, _ := goldenEmbedded(t)
	equal(must(DecodeManifest(golden(t, "manifest-embedded")))(t), embedded)
	equal(must(DecodeManifest(golden(t, "manifest-stored")))(t), goldenStored(t))
}

// TestGoldenContent goes the way of a reader, from a manifest to the bytes of a part, as docs/format.md describes it.
func TestGoldenContent(t *testing.T) {
	want := append(bytes.Clone(textContent), longContent...)

	b := golden(t, "manifest-embedded")
	m := must(DecodeManifest(b))(t)
	key, at := ObjectKey(m.Job, m.Objects[0], m.Id, nonce(1), uint64(len(b)))
	if key != ManifestKey("orders", m.Id, nonce(1)) {
		t.Errorf("the embedded pack is in %s", key)
	}
	if got := resolve(t, m.Parts[0].Segments[0].GetInline(), [][]byte{b[at : uint64(at)+m.Objects[0].Size]}); !bytes.Equal(got, want) {
		t.Errorf("embedded: %q", got)
	}

	m, pack := must(DecodeManifest(golden(t, "manifest-stored")))(t), golden(t, "pack")
	s := m.Parts[3].Segments[0]
	l := s.GetStored()
	content := must(DecodeFrame(nil, pack[l.Offset:][:l.Stored], l.Raw, Hash(l.Hash)))(t)
	table := must(DecodeTable(content, SegmentLength(m.Parts[3], 0), []*Object{m.Objects[s.Objects[0]]}))(t)
	if got := resolve(t, table, [][]byte{pack}); !bytes.Equal(got, want) {
		t.Errorf("stored: %q", got)
	}
}

// resolve returns the bytes of a segment whose table's packs are at hand.
func resolve(t testing.TB, table *Table, packs [][]byte) (out []byte) {
	t.Helper()
	for i := range table.ExtentChunk {
		e := table.Extent(i)
		c := table.Chunk(int(e.Chunk))
		content := must(DecodeFrame(nil, packs[c.Pack][c.Offset:][:c.Stored], c.Raw, c.Hash))(t)
		out = append(out, content[e.Start:][:e.Length]...)
	}
	return out
}

func TestEveryDamagedByteIsFound(t *testing.T) {
	for name, g := range goldens {
		t.Run(name, func(t *testing.T) {
			b := golden(t, name)
			for i := range b {
				for bit := range 8 {
					b[i] ^= 1 << bit
					if err := g.read(b); err == nil {
						t.Errorf("bit %d of byte %d flipped, and nothing is said", bit, i)
					}
					b[i] ^= 1 << bit
				}
			}
			for n := range b {
				if err := g.read(b[:n]); err == nil {
					t.Errorf("cut to %d of %d bytes, and nothing is said", n, len(b))
				}
			}
			for _, extra := range []byte{0, 0xff, 'T'} {
				if err := g.read(append(bytes.Clone(b), extra)); err == nil {
					t.Errorf("a byte %#x too many, and nothing is said", extra)
				}
			}
			if err := g.read(b); err != nil {
				t.Errorf("the untouched object: %v", err)
			}
		})
	}
}
