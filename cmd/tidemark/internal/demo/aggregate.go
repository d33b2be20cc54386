package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
)

// chain is a running hash over the hashes of records. It depends on their order, so that one record lost, doubled or swapped
// shows in every later value.
func chain(hash, record uint64) uint64 {
	const prime = 1099511628211 // FNV's, for 64 bits: multiplication by it loses nothing
	return (hash ^ record) * prime
}

var chainStart = fnv.New64a().Sum64() // not zero, so that a first record with hash zero shows

// tally is what the map holds for each pair.
type tally struct {
	Count uint64
	Hash  uint64
}

func (t *tally) add(r record) {
	if t.Count == 0 {
		t.Hash = chainStart
	}
	t.Count++
	t.Hash = chain(t.Hash, r.hash)
}

// aggregate is what the database holds for each group.
type aggregate struct {
	tally
	sums, maxima []float64 // by schema.Numbers
}

func newAggregate(numbers int) *aggregate {
	a := &aggregate{sums: make([]float64, numbers), maxima: make([]float64, numbers)}
	for i := range a.maxima {
		a.maxima[i] = math.Inf(-1)
	}
	return a
}

func (a *aggregate) add(r record) {
	a.tally.add(r)
	for i, v := range r.numbers {
		if math.IsNaN(v) {
			continue
		}
		a.sums[i] += v
		a.maxima[i] = max(a.maxima[i], v)
	}
}

// encode is the count, the hash, the sums and the maxima, each in eight bytes.
func (a *aggregate) encode() []byte {
	b := make([]byte, 0, 8*(2+2*len(a.sums)))
	b = binary.BigEndian.AppendUint64(b, a.Count)
	b = binary.BigEndian.AppendUint64(b, a.Hash)
	for _, values := range [][]float64{a.sums, a.maxima} {
		for _, v := range values {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b
}

func decodeAggregate(b []byte, numbers int) (*aggregate, error) {
	if len(b) != 8*(2+2*numbers) {
		return nil, errors.New("an aggregate of another schema")
	}
	a := newAggregate(numbers)
	a.Count, a.Hash = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	b = b[16:]
	for _, values := range [][]float64{a.sums, a.maxima} {
		for i := range values {
			values[i] = math.Float64frombits(binary.BigEndian.Uint64(b))
			b = b[8:]
		}
	}
	return a, nil
}

// text writes every bit down: %x of a float is exact.
func (a *aggregate) text(numbers []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "count=%d hash=%016x", a.Count, a.Hash)
	for i, name := range numbers {
		fmt.Fprintf(&b, " sum(%s)=%x max(%s)=%x", name, a.sums[i], name, a.maxima[i])
	}
	return b.String()
}
