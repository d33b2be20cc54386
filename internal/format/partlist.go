package format

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// partBlock is how many encoded bytes of parts are compressed together: some hundred small parts, which are decompressed in 20 µs.
	partBlock = 32 << 10
	// partPiece is what a list asks its memory for at a time, once it is larger than partsOnHeap.
	partPiece   = 256 << 10
	partsOnHeap = 64 << 10
)

// PartList is the parts of a manifest: encoded as they lie in it, compressed by blocks, and decoded one at a time. A part takes about 60 bytes that way where its message
// takes 2 KiB. It is filled by one goroutine by Append and Sort, or by DecodeManifest; then it is safe for concurrent use.
type PartList struct {
	memory func(n int) []byte
	space  []byte // what is left of the last piece of memory

	blocks []partsBlock
	count  int
	size   int // of the encoded parts
	held   int // bytes of memory

	fresh    []byte      // records that are in no block yet
	order    []recordRef // of them
	raw      []byte      // space for those of a block
	scratch  []byte
	used     map[uint32]uint64 // by object: bytes of parts that lie there
	tables   []Chunk           // stored tables and deltas
	ends     map[uint32]uint64 // by object: where the last frame ends that a part added by Append refers to
	relative []byte            // name of a part that was compared with a base

	mu   sync.Mutex
	open [2]openBlock // the blocks that were looked into last
	turn int
}

// partsBlock is a stretch of the list.
type partsBlock struct {
	first, last []byte // names
	at, n       int    // number of the first part, and of parts
	raw         int    // bytes of records
	packed      []byte // compressed, if shorter than raw
	stored      bool   // a part has a stored table
}

// recordRef is a record in a buffer: a header, and an encoded part with its name in it.
type recordRef struct {
	start, body, end  int32
	nameAt, nameBelow int32
	stored            bool
}

func (r *recordRef) name(in []byte) []byte { return in[r.nameAt:r.nameBelow] }

func (r *recordRef) encoded(in []byte) []byte { return in[r.body:r.end] }

// moved is the record at another place.
func (r recordRef) moved(by int32) recordRef {
	return recordRef{r.start + by, r.body + by, r.end + by, r.nameAt + by, r.nameBelow + by, r.stored}
}

// openBlock is a block, decompressed.
type openBlock struct {
	at      int // 1 + the block's number in the list; 0: none
	raw     []byte
	records []recordRef
}

// NewPartList makes an empty list. memory is where large lists lie, which ask for pieces of one size; nil: in the heap.
func NewPartList(memory func(n int) []byte) *PartList {
	return &PartList{memory: memory, used: map[uint32]uint64{}, ends: map[uint32]uint64{}}
}

// Len is the number of parts.
func (l *PartList) Len() int { return l.count }

// Held is how many bytes of memory the list takes.
func (l *PartList) Held() int { return l.held }

// Used tells by the number of an object of the manifest how many bytes of parts lie there.
func (l *PartList) Used() map[uint32]uint64 { return l.used }

// Tables are the frames of all stored tables and deltas, in the order in which they lie in the packs.
func (l *PartList) Tables() []Chunk { return l.tables }

// Append adds a part that obeys the rules of one; whether the objects are there that it refers to is EncodeManifest's to say. The part must not have the name of
// another one.
func (l *PartList) Append(p *Part) error {
	if err := checkPart(p); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := eachPlace(p, l.reach); err != nil {
		return fmt.Errorf("part %q: %w: %w", p.Name, ErrInvalid, err)
	}
	if p.needsBase() {
		l.relative = p.Name
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(l.scratch[:0], p)
	if err != nil {
		return fmt.Errorf("part %q: %w", p.Name, err)
	}
	l.scratch = encoded
	stored := l.measure(p)
	l.add(encoded, stored)
	if len(l.fresh) >= 2*partBlock {
		// Parts that were begun in order end nearly so: those of the lower half will hardly get another one between them.
		l.sortFresh()
		l.seal(partBlock)
	}
	return nil
}

// reach notes a place that a part refers to.
func (l *PartList) reach(object uint32, offset uint64, stored uint32) error {
	if offset < headerSize || offset > maxPack {
		return fmt.Errorf("frame at %d of object %d", offset, object)
	}
	l.ends[object] = max(l.ends[object], offset+uint64(stored))
	return nil
}

// measure notes what a part uses and where its tables are, and reports whether one is stored.
func (l *PartList) measure(p *Part) (stored bool) {
	for _, s := range p.Segments {
		t := s.GetInline()
		if t == nil {
			stored = true
			l.tables = append(l.tables, s.GetStored().Chunk())
			if s.Delta != nil {
				l.tables = append(l.tables, s.Delta.Chunk())
			}
			for i, o := range s.Objects {
				l.used[o] += s.Used[i]
			}
			continue
		}
		for i, c := range t.ExtentChunk {
			if c == 0 {
				continue // zeros
			}
			l.used[t.ChunkPack[c-1]] += uint64(t.ExtentLength[i])
		}
	}
	return stored
}

// add appends a record.
func (l *PartList) add(encoded []byte, stored bool) {
	start := len(l.fresh)
	head := uint64(len(encoded)) << 1
	if stored {
		head |= 1
	}
	if l.fresh == nil {
		l.fresh = make([]byte, 0, min(len(encoded)+binary.MaxVarintLen32, partBlock))
	}
	l.fresh = binary.AppendUvarint(l.fresh, head)
	l.fresh = append(l.fresh, encoded...)
	l.order = append(l.order, recordAt(l.fresh, start))
	l.count++
	l.size += protowire.SizeTag(1) + protowire.SizeBytes(len(encoded))
}

func (l *PartList) sortFresh() {
	slices.SortFunc(l.order, func(a, b recordRef) int { return bytes.Compare(a.name(l.fresh), b.name(l.fresh)) })
}

// seal makes blocks of what is fresh until at most keep bytes are left.
func (l *PartList) seal(keep int) {
	left, done := len(l.fresh), 0
	for left > keep {
		n := done
		for l.raw = l.raw[:0]; n < len(l.order) && len(l.raw) < partBlock; n++ {
			l.raw = append(l.raw, l.fresh[l.order[n].start:l.order[n].end]...)
		}
		l.appendBlock(l.order[done:n])
		done, left = n, left-len(l.raw)
	}
	// What is left moves to the front.
	l.raw = l.raw[:0]
	l.order = l.order[:copy(l.order, l.order[done:])]
	for i, r := range l.order {
		l.order[i] = r.moved(int32(len(l.raw)) - r.start)
		l.raw = append(l.raw, l.fresh[r.start:r.end]...)
	}
	l.fresh, l.raw = l.raw, l.fresh[:0]
}

// settle ends the filling of the list.
func (l *PartList) settle() {
	l.seal(0)
	l.fresh, l.order, l.raw, l.scratch = nil, nil, nil, nil
	slices.SortFunc(l.tables, func(a, b Chunk) int { return cmp.Or(cmp.Compare(a.Pack, b.Pack), cmp.Compare(a.Offset, b.Offset)) })
}

// appendBlock makes a block of raw, where these records of fresh are.
func (l *PartList) appendBlock(records []recordRef) {
	raw := l.raw
	first, last := &records[0], &records[len(records)-1]
	b := partsBlock{first: slices.Clone(first.name(l.fresh)), last: slices.Clone(last.name(l.fresh)), n: len(records), raw: len(raw)}
	for _, r := range records {
		b.stored = b.stored || r.stored
	}
	if n := len(l.blocks); n > 0 {
		b.at = l.blocks[n-1].at + l.blocks[n-1].n
	}
	b.packed = raw
	if len(raw) >= partBlock/2 {
		l.scratch = s2.EncodeSnappy(l.scratch[:cap(l.scratch)], raw)
		if len(l.scratch) < len(raw) {
			b.packed = l.scratch
		}
	}
	b.packed = l.keep(b.packed)
	l.blocks = append(l.blocks, b)
}

// keep copies b to the list's memory.
func (l *PartList) keep(b []byte) []byte {
	l.held += len(b)
	if l.memory == nil || l.held < partsOnHeap || len(b) > partPiece/4 {
		return slices.Clone(b)
	}
	if len(l.space) < len(b) {
		l.space = l.memory(partPiece)
	}
	at := l.space[:len(b):len(b)]
	l.space = l.space[copy(at, b):]
	return at
}

// Sort puts the parts in the order of their names. Nothing is added after it.
func (l *PartList) Sort() {
	l.sortFresh()
	l.seal(0)
	old := l.blocks
	slices.SortStableFunc(old, func(a, b partsBlock) int { return bytes.Compare(a.first, b.first) })
	l.blocks = make([]partsBlock, 0, len(old))
	for len(old) > 0 {
		n, last := 1, old[0].last
		for n < len(old) && bytes.Compare(old[n].first, last) <= 0 {
			if bytes.Compare(old[n].last, last) > 0 {
				last = old[n].last
			}
			n++
		}
		l.merge(old[:n])
		old = old[n:]
	}
	l.settle()
}

// merge appends blocks whose names lie among each other.
func (l *PartList) merge(blocks []partsBlock) {
	if len(blocks) == 1 {
		b := blocks[0]
		b.at = 0
		if n := len(l.blocks); n > 0 {
			b.at = l.blocks[n-1].at + l.blocks[n-1].n
		}
		l.blocks = append(l.blocks, b)
		return
	}
	var o openBlock
	for i := range blocks {
		l.held -= len(blocks[i].packed)
		o.unpack(&blocks[i])
		for _, r := range o.records {
			l.order = append(l.order, r.moved(int32(len(l.fresh))))
		}
		l.fresh = append(l.fresh, o.raw...)
	}
	l.sortFresh()
	l.seal(0)
}
