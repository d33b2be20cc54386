package format

import (
	"bytes"
	"errors"
	"fmt"
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

// SetChunk replaces a row.
func (t *Table) SetChunk(i int, c Chunk) {
	t.ChunkPack[i], t.ChunkOffset[i], t.ChunkStored[i], t.ChunkRaw[i] = c.Pack, c.Offset, c.Stored, c.Raw
	copy(t.ChunkHash[i*HashSize:], c.Hash[:])
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
	if _, err := checkRows(t); err != nil {
		return nil, fmt.Errorf("encode table: %w: %w", ErrInvalid, err)
	}
	b, err := marshal(nil, t, tableShape())
	if err != nil {
		return nil, fmt.Errorf("encode table: %w: %w", ErrInvalid, err)
	}
	if len(b) > MaxRaw {
		return nil, fmt.Errorf("encode table: %w: %d bytes, more than the %d of a frame; use smaller segments", ErrInvalid, len(b), MaxRaw)
	}
	return b, nil
}

// DecodeTable reads a stored table of a segment of length bytes whose packs are, in order, objects.
func DecodeTable(b []byte, length uint64, objects []*Object) (*Table, error) {
	if len(b) > MaxRaw {
		return nil, fmt.Errorf("%w: table of %d bytes", ErrCorrupt, len(b))
	}
	t := new(Table)
	if err := unmarshal(b, t, tableShape()); err != nil {
		return nil, corrupt("table", err)
	}
	if len(t.Packs) != len(objects) {
		return nil, fmt.Errorf("%w: table of %d packs, its segment names %d", ErrCorrupt, len(t.Packs), len(objects))
	}
	for i, o := range objects {
		if !bytes.Equal(t.Packs[i], o.Nonce) {
			return nil, fmt.Errorf("%w: table and segment disagree about pack %d", ErrCorrupt, i)
		}
	}
	if err := checkTable(t, length, objects); err != nil {
		return nil, corrupt("table", err)
	}
	return t, nil
}

// checkTable states what the table of a segment of length bytes satisfies.
func checkTable(t *Table, length uint64, objects []*Object) error {
	sum, err := checkRows(t)
	if err != nil {
		return err
	}
	if sum != length {
		return fmt.Errorf("extents cover %d of %d bytes", sum, length)
	}
	for i, pack := range t.ChunkPack {
		if uint64(pack) >= uint64(len(objects)) {
			return fmt.Errorf("chunk %d in pack %d of %d", i, pack, len(objects))
		}
		if err := checkPlace(objects[pack], t.ChunkOffset[i], t.ChunkStored[i]); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
	}
	return nil
}

// checkRows states what a table satisfies by itself, and returns how many bytes its extents cover.
func checkRows(t *Table) (length uint64, err error) {
	n := len(t.GetChunkPack())
	if n == 0 || len(t.ChunkOffset) != n || len(t.ChunkStored) != n || len(t.ChunkRaw) != n || len(t.ChunkHash) != n*HashSize {
		return 0, errors.New("chunk columns are empty or of different length")
	}
	for i := range n {
		if err := checkRow(t.ChunkStored[i], t.ChunkRaw[i], HashSize); err != nil {
			return 0, fmt.Errorf("chunk %d: %w", i, err)
		}
	}
	m := len(t.ExtentChunk)
	if len(t.ExtentStart) != m || len(t.ExtentLength) != m {
		return 0, errors.New("extent columns of different length")
	}
	// Chunks are numbered in the order of their first use: so none is there for nothing, which costs no memory to check.
	used := uint64(0)
	for i := range m {
		e := t.Extent(i)
		if uint64(e.Chunk) >= uint64(n) || uint64(e.Chunk) > used {
			return 0, fmt.Errorf("extent %d is of chunk %d of %d, where %d comes next", i, e.Chunk, n, used)
		}
		if uint64(e.Chunk) == used {
			used++
		}
		if e.Length == 0 || uint64(e.Start)+uint64(e.Length) > uint64(t.ChunkRaw[e.Chunk]) {
			return 0, fmt.Errorf("extent %d leaves its chunk", i)
		}
		length += uint64(e.Length)
	}
	if used != uint64(n) {
		return 0, fmt.Errorf("chunk %d of %d is not used", used, n)
	}
	return length, checkPages(t, length)
}

func checkPages(t *Table, length uint64) error {
	size, got := uint64(t.PageSize), uint64(len(t.PageHash))
	switch {
	case size == 0 && got == 0:
		return nil
	case size < minPage || size > MaxRaw || size&(size-1) != 0:
		return fmt.Errorf("pages of %d bytes", size)
	case got != ((length-1)/size+1)*PageHashSize:
		return fmt.Errorf("%d bytes of page hashes for %d bytes in pages of %d", got, length, size)
	}
	return nil
}
