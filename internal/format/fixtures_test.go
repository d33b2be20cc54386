package format

import (
	"bytes"
	"testing"
)

// What the golden files hold, and most tests start from.

var (
	textContent = []byte("The tide marks the shore.\n")
	longContent = bytes.Repeat([]byte{'a'}, 128)
	// longPayload is longContent as a Snappy block: its length, one literal byte, and two copies from one byte back.
	longPayload = []byte{0x80, 0x01, 0x00, 'a', 0xfe, 0x01, 0x00, 0xfa, 0x01, 0x00}
	newContent  = bytes.Repeat([]byte{'z'}, 128)
	// newPayload is newContent as a Zstandard frame: magic, one segment that states its length, 128; the last block, of 128 times one byte.
	newPayload = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0x03, 0x04, 0x00, 'z'}
)

func goldenRetained(epoch, checkpoint uint64, b byte) *Retained {
	h := Sum([]byte{b})
	return &Retained{
		Id: &CheckpointID{Epoch: epoch, Checkpoint: checkpoint}, ManifestNonce: nonce(b), ManifestSize: 1234, ManifestCrc32C: 0xdeadbeef,
		ManifestHash: h[:], CommittedAtNs: 1_750_000_000_000_000_000,
		Stats: &Stats{Parts: 3, Bytes: 4096, NewBytes: 512, StoredBytes: 300, DurationNs: 25_000_000, Puts: 2, Gets: 1, Lists: 4, Deletes: 5, Heads: 6},
	}
}

func goldenHead() *Head {
	return &Head{
		Nonce: nonce(0x11), Epoch: 2, Fence: nonce(0x22), Owner: "host, process 7", Last: &CheckpointID{Epoch: 2, Checkpoint: 9}, LastManifest: nonce(0x99),
		Retained: []*Retained{goldenRetained(1, 5, 0x55), goldenRetained(2, 9, 0x99)},
		Pins: []*Pin{
			{Kind: Pin_TAG, Name: "before-upgrade", Checkpoint: 5},
			{Kind: Pin_LEASE, Name: "reader", Checkpoint: 9, ExpiresAtNs: 1_750_000_060_000_000_000, Nonce: nonce(0x77)},
		},
		WrittenAtNs: 1_750_000_000_000_000_001,
	}
}

// goldenFullHead is goldenHead with a key, and its last manifest.
func goldenFullHead(t testing.TB) *Head {
	h := goldenHead()
	h.Key = goldenKey().Wrapped()
	h.LastBody = must(encodeWhole(goldenStored(t), nil, nil))(t)
	body := Sum(h.LastBody)
	h.Retained[1].ManifestSize, h.Retained[1].ManifestCrc32C, h.Retained[1].ManifestHash = uint64(len(h.LastBody)), CRC32C(h.LastBody), body[:]
	h.Retained[1].Stats = &Stats{Parts: 1, Bytes: 2, NewBytes: 3, StoredBytes: 4, DurationNs: 5, Puts: 6, Gets: 7, Lists: 8, Deletes: 9, Heads: 10,
		Retries: 11, Throttled: 12, ReadBytes: 13, WaitNs: 14, UploadNs: 15, TokenFetches: 16, MovedBytes: 17}
	return h
}

func goldenAssignment() *Assignment {
	return &Assignment{Job: "orders", Id: &CheckpointID{Epoch: 2, Checkpoint: 9}, Fence: nonce(0x22), Base: goldenRetained(1, 5, 0x55), Key: goldenKey().Wrapped()}
}

// goldenKey is a data key whose secret everybody knows: the bytes 0 to 31.
func goldenKey() *DataKey {
	secret := make([]byte, DataKeySize)
	for i := range secret {
		secret[i] = byte(i)
	}
	k, err := NewDataKey(&WrappedKey{Id: nonce(0xe1), Keeper: "a test", Wrapped: []byte("wrapped")}, secret)
	if err != nil {
		panic(err)
	}
	return k
}

func goldenRing() Keyring {
	k := goldenKey()
	return Keyring{k.ID(): k}
}

func goldenSealing() *Sealing { return &Sealing{Key: goldenKey(), Nonce: Nonce(nonce(0x1d))} }

// db is the part that the golden packs are of.
func db() *Part {
	return &Part{Name: []byte("state/db"), Kind: Part_FILE, Mode: 0o640, ModifiedNs: 1_750_000_000_000_000_000}
}

// goldenChunks adds two chunks to a pack and returns the table of a file of 154 bytes that they make.
func goldenChunks(p *PackBuilder) *Table {
	t := new(Table)
	at := uint64(0)
	for _, c := range []struct{ content, frame []byte }{{textContent, plain(textContent)}, {longContent, frame(CodecSnappy, longContent, longPayload)}} {
		hash := Sum(c.content)
		offset, stored := p.Add(c.frame, PackFrame{Kind: PackEntry_CHUNK, Raw: len(c.content), Hash: hash, Part: db(), At: at})
		row := t.AppendChunk(Chunk{Offset: offset, Stored: stored, Raw: uint32(len(c.content)), Hash: hash})
		t.AppendExtent(Extent{Chunk: row, Length: uint32(len(c.content))})
		at += uint64(len(c.content))
	}
	// The part is one short page.
	page := NewPageHasher([PageKeySize]byte(nonce(0x44))).Sum(append(bytes.Clone(textContent), longContent...))
	t.PageSize, t.PageKey, t.PageHash = 4096, nonce(0x44), page[:]
	return t
}

// goldenPack is a pack with two chunks and the table that refers to them.
func goldenPack(t testing.TB, key *DataKey) (pack, table []byte, at *Location) {
	p := NewPackBuilder(nil, nonce(0xaa), key)
	tab := goldenChunks(p)
	tab.Packs = [][]byte{nonce(0xaa)}
	table = must(EncodeTable(tab))(t)
	at = goldenTable(p, table, PackEntry_TABLE)
	return must(p.Finish())(t), table, at
}

func goldenTable(p *PackBuilder, content []byte, kind PackEntry_Kind) *Location {
	hash := Sum(content)
	at := &Location{Raw: uint32(len(content)), Hash: hash[:]}
	at.Offset, at.Stored = p.Add(plain(content), PackFrame{Kind: kind, Raw: len(content), Hash: hash, Part: db()})
	return at
}

// changedContent is the content of goldenPack's table with 30 bytes changed at 60, and 46 zeros behind it.
func changedContent() []byte {
	b := append(bytes.Clone(textContent), longContent...)
	copy(b[60:90], newContent)
	return append(b, make([]byte, 46)...)
}

// goldenDelta is a pack with a chunk and the delta that makes changedContent of goldenPack's table.
func goldenDelta(t testing.TB) (pack, delta []byte, at *Location) {
	p := NewPackBuilder(nil, nonce(0xdd), nil)
	f, hash := frame(CodecZstd, newContent, newPayload), Sum(newContent)
	offset, stored := p.Add(f, PackFrame{Kind: PackEntry_CHUNK, Raw: len(newContent), Hash: hash, Part: db(), At: 60})
	d := &Table{Packs: [][]byte{nonce(0xdd)}, PageSize: 4096, PageKey: nonce(0x44), PageIndex: []uint32{0}}
	d.AppendChunk(Chunk{Offset: offset, Stored: stored, Raw: uint32(len(newContent)), Hash: hash})
	d.appendExtentAt(60, Extent{Start: 10, Length: 30})
	d.appendExtentAt(154, Extent{Chunk: Zeros, Length: 46})
	page := NewPageHasher([PageKeySize]byte(nonce(0x44))).Sum(changedContent())
	d.PageHash = page[:]
	delta = must(EncodeDelta(d))(t)
	at = goldenTable(p, delta, PackEntry_DELTA)
	at.Object = 1
	return must(p.Finish())(t), delta, at
}

// The parts of goldenStored.
const (
	inOffsets = iota
	inState
	inCurrent
	inDB
	inEmpty
	inOld
	inSparse
)

func inline(t *Table) []*Segment { return []*Segment{{Where: &Segment_Inline{Inline: t}}} }

// goldenStored is a manifest whose part has its table in goldenPack and a delta in goldenDelta, and that refers to packs of older checkpoints.
func goldenStored(t testing.TB) *Manifest {
	pack, _, stored := goldenPack(t, nil)
	change, _, delta := goldenDelta(t)
	old := &Table{}
	old.AppendChunk(Chunk{Pack: 2, Offset: 16, Stored: 42, Raw: 26, Hash: Sum(textContent)})
	old.AppendExtent(Extent{Length: 26})
	older := &Table{}
	older.AppendChunk(Chunk{Pack: 3, Offset: 16, Stored: 42, Raw: 26, Hash: Sum(textContent)})
	older.AppendExtent(Extent{Start: 4, Length: 10})
	sparse := &Table{}
	sparse.AppendExtent(Extent{Chunk: Zeros, Length: 1 << 20})
	file := func(name string, size uint64, m Part_Method, chunks uint64, segments []*Segment) *Part {
		return &Part{Name: []byte(name), Kind: Part_FILE, Size: size, Mode: 0o640, ModifiedNs: -1, Method: m, Reason: "may change in place", SegmentSize: 16 << 20, Chunks: chunks, Segments: segments}
	}
	m := &Manifest{
		Job: "orders", Id: &CheckpointID{Epoch: 2, Checkpoint: 9}, Base: &CheckpointID{Epoch: 1, Checkpoint: 5}, CreatedAtNs: 1_750_000_000_000_000_000,
		Objects: []*Object{
			{Id: &CheckpointID{Epoch: 1, Checkpoint: 4}, Writer: "main", Nonce: nonce(0xaa), Size: uint64(len(pack)), Crc32C: CRC32C(pack), Raw: 154},
			{Id: &CheckpointID{Epoch: 2, Checkpoint: 9}, Writer: "main", Nonce: nonce(0xdd), Size: uint64(len(change)), Crc32C: CRC32C(change), Raw: 128},
			{Id: &CheckpointID{Epoch: 1, Checkpoint: 4}, Writer: "enrich/3", Number: 7, Nonce: nonce(0xbb), Size: 8 << 20, Crc32C: 1, Raw: 9 << 20},
			{Id: &CheckpointID{Epoch: 1, Checkpoint: 5}, Nonce: nonce(0xcc), Size: 500, Crc32C: 2, Embedded: true, ManifestNonce: nonce(0x55), ManifestSize: 1234, ManifestCrc32C: 0xdeadbeef},
		},
		Parts: []*Part{
			{Name: []byte("offsets"), Kind: Part_STREAM, Size: 26, Method: Part_CONTENT, Reason: "its bytes shift", SegmentSize: 16 << 20, Chunks: 1, Segments: inline(old)},
			{Name: []byte("state"), Kind: Part_DIRECTORY, Mode: 0o755, ModifiedNs: 1, Method: Part_FULL},
			{Name: []byte("state/current"), Kind: Part_SYMLINK, LinkTarget: []byte("db"), Method: Part_FULL},
			file("state/db", 200, Part_PAGES, 3, []*Segment{{Where: &Segment_Stored{Stored: stored}, Delta: delta, Objects: []uint32{0, 1}, Used: []uint64{124, 30}}}),
			{Name: []byte("state/empty"), Kind: Part_FILE, Mode: 0o600, Method: Part_FULL},
			{Name: []byte("state/old.sst"), Kind: Part_FILE, Size: 10, Mode: 0o444, Method: Part_IDENTITY, Identity: []byte("dev 1, inode 2"), SegmentSize: 16 << 20, Chunks: 1, Segments: inline(older)},
			file("state/sparse", 1<<20, Part_APPEND, 0, inline(sparse)),
		},
		Metadata: []*Entry{{Key: "offsets", Value: []byte{1, 2, 3}}, {Key: "schema"}},
	}
	m.Parts[inDB].NewBytes, m.Parts[inDB].MovedBytes = 30, 7
	return m
}

// goldenEmbedded is a small checkpoint: everything in one object.
func goldenEmbedded(t testing.TB) (m *Manifest, pack []byte) {
	p := NewPackBuilder(nil, nonce(0xdd), nil)
	tab := goldenChunks(p)
	pack = must(p.Finish())(t)
	id := &CheckpointID{Epoch: 1, Checkpoint: 1}
	return &Manifest{
		Job: "orders", Id: id, CreatedAtNs: 1_750_000_000_000_000_000,
		Objects: []*Object{{Id: id, Nonce: nonce(0xdd), Size: uint64(len(pack)), Crc32C: CRC32C(pack), Embedded: true, Raw: 154}},
		Parts: []*Part{{Name: []byte("state/db"), Kind: Part_STREAM, Size: 154, Method: Part_FULL, Reason: "nothing to compare with", NewBytes: 154,
			SegmentSize: 16 << 20, Chunks: 2, Segments: inline(tab)}},
	}, pack
}

// goldenSealed is goldenEmbedded, sealed: it refers to an object of its base, too.
func goldenSealed(t testing.TB) (m *Manifest, pack []byte) {
	p := NewPackBuilder(nil, nonce(0xee), goldenKey())
	tab := goldenChunks(p)
	pack = must(p.Finish())(t)
	m, _ = goldenEmbedded(t)
	m.Id = &CheckpointID{Epoch: 2, Checkpoint: 10}
	m.Base = &CheckpointID{Epoch: 2, Checkpoint: 9}
	m.Objects = []*Object{
		{Id: m.Id, Nonce: nonce(0xee), Size: uint64(len(pack)), Crc32C: CRC32C(pack), Embedded: true, Raw: 154, DataKey: nonce(0xe1)},
		{Id: m.Base, Writer: "main", Nonce: nonce(0xdd), Size: 300, Crc32C: 3},
		{Id: &CheckpointID{Epoch: 1, Checkpoint: 5}, Nonce: nonce(0xcc), Size: 500, Crc32C: 2, Embedded: true, ManifestNonce: nonce(0x55), ManifestSize: 1234, ManifestCrc32C: 0xdeadbeef},
	}
	m.Parts[0].Segments = inline(tab)
	return m, pack
}

func goldenHandle() *Handle {
	table := new(Table)
	table.AppendChunk(Chunk{Pack: 0, Offset: 16, Stored: 42, Raw: 26, Hash: Sum(textContent)})
	table.AppendExtent(Extent{Length: 26})
	id := &CheckpointID{Epoch: 2, Checkpoint: 9}
	return &Handle{
		Job: "orders", Id: id, Fence: nonce(0x22), Writer: "enrich/3", Incarnation: nonce(0x1c), Base: &CheckpointID{Epoch: 1, Checkpoint: 5}, BaseManifest: nonce(0x55),
		Objects: []*Object{
			{Id: id, Writer: "enrich/3", Nonce: nonce(0xab), Size: 200, Crc32C: 1, Raw: 26},
			{Id: &CheckpointID{Epoch: 1, Checkpoint: 5}, Nonce: nonce(0xcc), Size: 500, Crc32C: 2, Embedded: true, ManifestNonce: nonce(0x55), ManifestSize: 1234, ManifestCrc32C: 0xdeadbeef},
		},
		Parts:    []*Part{{Name: []byte("enrich/3/log"), Kind: Part_STREAM, Size: 26, Method: Part_FULL, Reason: "new", NewBytes: 26, SegmentSize: 16 << 20, Chunks: 1, Segments: inline(table)}},
		Metadata: []*Entry{{Key: "enrich/3", Value: []byte("42")}}, Stats: &Stats{Parts: 1, Bytes: 26, NewBytes: 26, StoredBytes: 200, Puts: 1},
	}
}
