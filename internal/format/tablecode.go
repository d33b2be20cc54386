package format

import (
	"bytes"
	"errors"
	"fmt"
)

// EncodeTable makes the content of a table frame.
func EncodeTable(t *Table) ([]byte, error) {
	_, err := checkRows(t)
	return encodeTable(t, err)
}

func encodeTable(t *Table, wrong error) ([]byte, error) {
	if wrong != nil {
		return nil, fmt.Errorf("encode table: %w: %w", ErrInvalid, wrong)
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

// DecodeTable reads a stored table of a segment of length bytes whose packs are, in order, objects. A segment with a delta has its tables read by
// SegmentTable, or by StoredTable and DecodeDelta.
func DecodeTable(b []byte, length uint64, objects []*Object) (*Table, error) {
	t, err := decodeTable(b, objects)
	if err != nil {
		return nil, err
	}
	if err := checkTable(t, length, objects); err != nil {
		return nil, corrupt("table", err)
	}
	return t, nil
}

// checkBase checks a table that a delta overrides: it covers what it covers.
func checkBase(t *Table, objects []*Object) error {
	n, err := checkRows(t)
	if err == nil && n > maxSegment {
		err = fmt.Errorf("extents cover %d bytes", n)
	}
	if err == nil {
		err = checkPlaces(t, objects)
	}
	if err != nil {
		return corrupt("table", err)
	}
	return nil
}

// decodeTable decodes a table, and compares its packs.
func decodeTable(b []byte, objects []*Object) (*Table, error) {
	t, err := parseTable(b)
	if err != nil {
		return nil, err
	}
	if err := matchPacks(t, objects); err != nil {
		return nil, err
	}
	return t, nil
}

func parseTable(b []byte) (*Table, error) {
	if len(b) > MaxRaw {
		return nil, fmt.Errorf("%w: table of %d bytes", ErrCorrupt, len(b))
	}
	t := new(Table)
	if err := unmarshal(b, t, tableShape()); err != nil {
		return nil, corrupt("table", err)
	}
	return t, nil
}

func matchPacks(t *Table, objects []*Object) error {
	if len(t.Packs) != len(objects) {
		return fmt.Errorf("%w: table of %d packs, its segment names %d", ErrCorrupt, len(t.Packs), len(objects))
	}
	for i, o := range objects {
		if !bytes.Equal(t.Packs[i], o.Nonce) {
			return fmt.Errorf("%w: table and segment disagree about pack %d", ErrCorrupt, i)
		}
	}
	return nil
}

// checkTable states what the table of a segment of length bytes satisfies.
func checkTable(t *Table, length uint64, objects []*Object) error {
	if err := checkCovers(t, length); err != nil {
		return err
	}
	return checkPlaces(t, objects)
}

// checkCovers is checkTable without the packs.
func checkCovers(t *Table, length uint64) error {
	sum, err := checkRows(t)
	if err == nil && sum != length {
		err = fmt.Errorf("extents cover %d of %d bytes", sum, length)
	}
	return err
}

// checkPlaces checks that all chunks lie in their packs.
func checkPlaces(t *Table, objects []*Object) error {
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

// checkRows states what a table that is no delta satisfies by itself, and returns how many bytes its extents cover.
func checkRows(t *Table) (length uint64, err error) {
	if len(t.GetExtentAt()) != 0 || len(t.GetPageIndex()) != 0 {
		return 0, errors.New("a delta where none belongs")
	}
	length, err = checkColumns(t)
	if err != nil {
		return 0, err
	}
	if length == 0 {
		return 0, errors.New("no extents")
	}
	if n := len(t.PageHash); t.PageSize != 0 && uint64(n) != ((length-1)/uint64(t.PageSize)+1)*PageHashSize {
		return 0, fmt.Errorf("%d bytes of page hashes for %d bytes in pages of %d", n, length, t.PageSize)
	}
	return length, nil
}

// checkColumns states what every table satisfies, and returns the sum of its extents.
func checkColumns(t *Table) (length uint64, err error) {
	n := len(t.GetChunkPack())
	if len(t.GetChunkOffset()) != n || len(t.GetChunkStored()) != n || len(t.GetChunkRaw()) != n || len(t.GetChunkHash()) != n*HashSize {
		return 0, errors.New("chunk columns of different length")
	}
	for i := range n {
		if err := checkRow(t.ChunkStored[i], t.ChunkRaw[i], HashSize); err != nil {
			return 0, fmt.Errorf("chunk %d: %w", i, err)
		}
	}
	m := len(t.GetExtentChunk())
	if len(t.GetExtentStart()) != m || len(t.GetExtentLength()) != m {
		return 0, errors.New("extent columns of different length")
	}
	// Chunks are numbered in the order of their first use: so none is there for nothing, which costs no memory to check.
	used := uint64(0)
	for i := range m {
		e := t.Extent(i)
		if e.Chunk == Zeros {
			if e.Start != 0 || e.Length == 0 {
				return 0, fmt.Errorf("extent %d is %d zeros from %d", i, e.Length, e.Start)
			}
			length += uint64(e.Length)
			continue
		}
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
	return length, checkPages(t)
}

func checkPages(t *Table) error {
	size := t.GetPageSize()
	switch {
	case size == 0 && len(t.GetPageHash()) == 0 && len(t.GetPageKey()) == 0:
		return nil
	case size < minPage || size > MaxRaw || size&(size-1) != 0:
		return fmt.Errorf("pages of %d bytes", size)
	case len(t.PageKey) != PageKeySize:
		return fmt.Errorf("page key of %d bytes", len(t.PageKey))
	case len(t.PageHash)%PageHashSize != 0:
		return fmt.Errorf("%d bytes of page hashes", len(t.PageHash))
	}
	return nil
}
