package format

// Chunk is one row of a table's chunk columns.
type Chunk struct {
	Pack   uint32 // index: the manifest's objects for an inline table, else the table's own packs
	Offset uint64
	Stored uint32
	Raw    uint32
	Hash   Hash
}

// Zeros is the chunk of an extent that is nothing but zeros. Its Start is 0.
const Zeros = ^uint32(0)

// Extent is one row of a table's extent columns: Length bytes of the part are Start.. of a chunk's content, or zeros.
type Extent struct {
	Chunk, Start, Length uint32
}

// AppendChunk adds a row and returns its number.
func (t *Table) AppendChunk(c Chunk) uint32 {
	t.ChunkPack = append(t.ChunkPack, c.Pack)
	t.ChunkOffset = append(t.ChunkOffset, c.Offset)
	t.ChunkStored = append(t.ChunkStored, c.Stored)
	t.ChunkRaw = append(t.ChunkRaw, c.Raw)
	t.ChunkHash = append(t.ChunkHash, c.Hash[:]...)
	return uint32(len(t.ChunkPack) - 1)
}

// Chunk returns a row.
func (t *Table) Chunk(i int) Chunk {
	return Chunk{
		Pack: t.ChunkPack[i], Offset: t.ChunkOffset[i], Stored: t.ChunkStored[i], Raw: t.ChunkRaw[i],
		Hash: Hash(t.ChunkHash[i*HashSize : (i+1)*HashSize]),
	}
}

// SetChunk replaces a row.
func (t *Table) SetChunk(i int, c Chunk) {
	t.ChunkPack[i], t.ChunkOffset[i], t.ChunkStored[i], t.ChunkRaw[i] = c.Pack, c.Offset, c.Stored, c.Raw
	copy(t.ChunkHash[i*HashSize:], c.Hash[:])
}

// AppendExtent adds a row, joined with the one before where both lie in one chunk, end to end, or both are zeros.
func (t *Table) AppendExtent(e Extent) {
	if n := len(t.ExtentChunk) - 1; n >= 0 && t.ExtentChunk[n] == e.Chunk+1 && (e.Chunk == Zeros || t.ExtentStart[n]+t.ExtentLength[n] == e.Start) {
		t.ExtentLength[n] += e.Length
		return
	}
	t.ExtentChunk = append(t.ExtentChunk, e.Chunk+1) // Zeros become 0
	t.ExtentStart = append(t.ExtentStart, e.Start)
	t.ExtentLength = append(t.ExtentLength, e.Length)
}

// Extent returns a row.
func (t *Table) Extent(i int) Extent {
	return Extent{Chunk: t.ExtentChunk[i] - 1, Start: t.ExtentStart[i], Length: t.ExtentLength[i]}
}

// Page returns a page's hash.
func (t *Table) Page(i int) PageHash {
	return PageHash(t.PageHash[i*PageHashSize : (i+1)*PageHashSize])
}

// Pages is how many page hashes the table has.
func (t *Table) Pages() int { return len(t.PageHash) / PageHashSize }

// Used is how many bytes of the segment lie in each of the table's first n packs: Segment.used.
func (t *Table) Used(n int) []uint64 {
	used := make([]uint64, n)
	for i, c := range t.ExtentChunk {
		if c != 0 {
			used[t.ChunkPack[c-1]] += uint64(t.ExtentLength[i])
		}
	}
	return used
}
