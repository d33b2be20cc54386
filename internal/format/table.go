package format

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Chunk is one row of a table's chunk columns.
type Chunk struct {
	Pack   uint32 // index: the manifest's objects for an inline table, else the table's own packs
	Offset uint64
	Stored uint32
	Raw    uint32
	Hash   Hash
}

// Extent is one row of a table's extent columns: Length bytes of the part are Start.. of a chunk's content.
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

// AppendExtent adds a row, joined with the one before where both lie in one chunk, end to end.
func (t *Table) AppendExtent(e Extent) {
	if n := len(t.ExtentChunk) - 1; n >= 0 && t.ExtentChunk[n] == e.Chunk && t.ExtentStart[n]+t.ExtentLength[n] == e.Start {
		t.ExtentLength[n] += e.Length
		return
	}
	t.ExtentChunk = append(t.ExtentChunk, e.Chunk)
	t.ExtentStart = append(t.ExtentStart, e.Start)
	t.ExtentLength = append(t.ExtentLength, e.Length)
}

// Extent returns a row.
func (t *Table) Extent(i int) Extent {
	return Extent{Chunk: t.ExtentChunk[i], Start: t.ExtentStart[i], Length: t.ExtentLength[i]}
}

// Page returns a page's hash.
func (t *Table) Page(i int) PageHash {
	return PageHash(t.PageHash[i*PageHashSize : (i+1)*PageHashSize])
}

// Pages is how many page hashes the table has.
func (t *Table) Pages() int { return len(t.PageHash) / PageHashSize }

// EncodeTable makes the content of a table frame.
func EncodeTable(t *Table) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(t)
}

// DecodeTable reads a stored table of a segment of length bytes whose packs are, in order, objects.
func DecodeTable(b []byte, length uint64, objects []*Object) (*Table, error) {
	t := new(Table)
	if err := proto.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%w: table: %w", ErrCorrupt, err)
	}
	if len(t.Packs) != len(objects) {
		return nil, fmt.Errorf("%w: table of %d packs, its segment names %d", ErrCorrupt, len(t.Packs), len(objects))
	}
	for i, o := range objects {
		if !bytes.Equal(t.Packs[i], o.Nonce) {
			return nil, fmt.Errorf("%w: table and segment disagree about pack %d", ErrCorrupt, i)
		}
	}
	if err := CheckTable(t, length, objects); err != nil {
		return nil, fmt.Errorf("%w: table: %w", ErrCorrupt, err)
	}
	return t, nil
}

// CheckTable states what the table of a segment of length bytes satisfies.
func CheckTable(t *Table, length uint64, objects []*Object) error {
	n := len(t.GetChunkPack())
	if len(t.ChunkOffset) != n || len(t.ChunkStored) != n || len(t.ChunkRaw) != n || len(t.ChunkHash) != n*HashSize {
		return fmt.Errorf("chunk columns of different length")
	}
	for i := range n {
		c := t.Chunk(i)
		if int(c.Pack) >= len(objects) {
			return fmt.Errorf("chunk %d in pack %d of %d", i, c.Pack, len(objects))
		}
		if err := checkFrame(objects[c.Pack], c.Offset, c.Stored, c.Raw, c.Hash[:]); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
	}
	m := len(t.ExtentChunk)
	if len(t.ExtentStart) != m || len(t.ExtentLength) != m {
		return fmt.Errorf("extent columns of different length")
	}
	var sum uint64
	for i := range m {
		e := t.Extent(i)
		if int(e.Chunk) >= n || e.Length == 0 || uint64(e.Start)+uint64(e.Length) > uint64(t.ChunkRaw[e.Chunk]) {
			return fmt.Errorf("extent %d leaves its chunk", i)
		}
		sum += uint64(e.Length)
	}
	if sum != length {
		return fmt.Errorf("extents cover %d of %d bytes", sum, length)
	}
	switch {
	case t.PageSize == 0 && len(t.PageHash) == 0:
	case t.PageSize == 0 || uint64(len(t.PageHash)) != ((length-1)/uint64(t.PageSize)+1)*PageHashSize:
		return fmt.Errorf("%d bytes of page hashes for pages of %d", len(t.PageHash), t.PageSize)
	}
	return nil
}

// SetChunk replaces a row.
func (t *Table) SetChunk(i int, c Chunk) {
	t.ChunkPack[i], t.ChunkOffset[i], t.ChunkStored[i], t.ChunkRaw[i] = c.Pack, c.Offset, c.Stored, c.Raw
	copy(t.ChunkHash[i*HashSize:], c.Hash[:])
}
