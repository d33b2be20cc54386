package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"
)

// unpack decompresses a block.
func (o *openBlock) unpack(b *partsBlock) {
	if len(b.packed) == b.raw {
		o.raw = append(o.raw[:0], b.packed...)
	} else {
		var err error
		if o.raw, err = s2.Decode(o.raw[:cap(o.raw)], b.packed); err != nil {
			panic(fmt.Sprintf("format: parts were overwritten in memory: %v", err))
		}
	}
	o.records = slices.Grow(o.records[:0], b.n)
	for at := 0; at < len(o.raw); {
		r := recordAt(o.raw, at)
		o.records, at = append(o.records, r), int(r.end)
	}
}

// recordAt finds out about the record that begins at start of a buffer, and its part's name. The part was checked.
func recordAt(in []byte, start int) recordRef {
	head, n := binary.Uvarint(in[start:])
	body := start + n
	r := recordRef{start: int32(start), body: int32(body), end: int32(body + int(head>>1)), stored: head&1 != 0}
	for at := body; at < int(r.end); {
		field, kind, n := protowire.ConsumeTag(in[at:])
		at += n
		n = protowire.ConsumeFieldValue(field, kind, in[at:])
		if field == 1 {
			name, _ := protowire.ConsumeBytes(in[at:])
			r.nameAt, r.nameBelow = int32(at+n-len(name)), int32(at+n)
			break // it comes first in what this package encodes
		}
		at += n
	}
	return r
}

// kindOf is the kind of an encoded part.
func kindOf(encoded []byte) Part_Kind {
	for len(encoded) > 0 {
		field, kind, n := protowire.ConsumeTag(encoded)
		encoded = encoded[n:]
		if field == 2 {
			v, _ := protowire.ConsumeVarint(encoded)
			return Part_Kind(v)
		}
		encoded = encoded[protowire.ConsumeFieldValue(field, kind, encoded):]
	}
	return Part_KIND_UNSPECIFIED
}

// mustDecode decodes a part of a list, which keeps encoded.
func (s *partSpace) mustDecode(encoded []byte) *Part {
	p, err := s.decode(encoded)
	if err != nil {
		panic(fmt.Sprintf("format: a part was overwritten in memory: %v", err))
	}
	return p
}

// records yields the records in order with the buffers that they lie in, each valid until the next one. With stored, those only that have stored tables.
func (l *PartList) records(stored bool) iter.Seq2[recordRef, []byte] {
	return func(yield func(recordRef, []byte) bool) {
		var o openBlock
		for i := range l.blocks {
			if stored && !l.blocks[i].stored {
				continue
			}
			o.unpack(&l.blocks[i])
			for _, r := range o.records {
				if (r.stored || !stored) && !yield(r, o.raw) {
					return
				}
			}
		}
		for _, r := range l.order {
			if (r.stored || !stored) && !yield(r, l.fresh) {
				return
			}
		}
	}
}

// All yields the parts, each valid until the next one, with their numbers.
func (l *PartList) All() iter.Seq2[int, *Part] {
	return func(yield func(int, *Part) bool) {
		var room partSpace
		i := 0
		for r, in := range l.records(false) {
			if !yield(i, room.mustDecode(r.encoded(in))) {
				return
			}
			i++
		}
	}
}

// Stored yields, as All does, those parts that have a stored table: of a checkpoint of many small files, the few that are not.
func (l *PartList) Stored() iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		var room partSpace
		for r, in := range l.records(true) {
			if !yield(room.mustDecode(r.encoded(in))) {
				return
			}
		}
	}
}

// Has reports whether there is a part of this name, in whatever order the parts are.
func (l *PartList) Has(name []byte) bool {
	for r, in := range l.records(false) {
		if bytes.Equal(r.name(in), name) {
			return true
		}
	}
	return false
}

// Find returns the part of a name, in a list that is in order; nil if there is none. Who asks in order pays least.
func (l *PartList) Find(name []byte) *Part {
	i, ok := slices.BinarySearchFunc(l.blocks, name, func(b partsBlock, name []byte) int { return bytes.Compare(b.last, name) })
	if !ok && (i == len(l.blocks) || bytes.Compare(name, l.blocks[i].first) < 0) {
		return nil
	}
	return l.pick(i, func(o *openBlock) (int, bool) {
		return slices.BinarySearchFunc(o.records, name, func(r recordRef, name []byte) int { return bytes.Compare(r.name(o.raw), name) })
	})
}

// At returns a part by its number.
func (l *PartList) At(number int) *Part {
	i, ok := slices.BinarySearchFunc(l.blocks, number, func(b partsBlock, number int) int { return b.at - number })
	if !ok {
		i--
	}
	return l.pick(i, func(*openBlock) (int, bool) { return number - l.blocks[i].at, true })
}

// pick decodes the part of a block that choose chooses.
func (l *PartList) pick(block int, choose func(*openBlock) (int, bool)) *Part {
	l.mu.Lock()
	o := l.opened(block)
	i, ok := choose(o)
	var encoded []byte
	if ok {
		encoded = slices.Clone(o.records[i].encoded(o.raw)) // decoded without the lock
	}
	l.mu.Unlock()
	if !ok {
		return nil
	}
	return new(partSpace).mustDecode(encoded)
}

// opened returns a block decompressed, with mu held.
func (l *PartList) opened(block int) *openBlock {
	for i := range l.open {
		if l.open[i].at == block+1 {
			return &l.open[i]
		}
	}
	l.turn = (l.turn + 1) % len(l.open)
	o := &l.open[l.turn]
	o.unpack(&l.blocks[block])
	o.at = block + 1
	return o
}

// appendTo encodes the parts as a repeated field of a message.
func (l *PartList) appendTo(b []byte, field protowire.Number) []byte {
	for r, in := range l.records(false) {
		b = appendBytes(b, field, r.encoded(in))
	}
	return b
}
