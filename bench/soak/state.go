package soak

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
)

// blockSize is a page of the product's, so that a changed block is a changed page.
const blockSize = 4 << 10

// The kinds of state, and of jobs.
const (
	KindFiles   = "files"   // tables of a log-structured store, declared Immutable, that come and go
	KindPages   = "pages"   // files that change in place
	KindAppend  = "append"  // logs, declared AppendOnly, cut over now and then
	KindContent = "content" // a dump, declared Content, whose bytes shift
	KindStreams = "streams" // Writer.Add: one stream that shifts, one that changes in place
	KindWorkers = "workers" // shares of several workers, some of which are restarted
	KindSealed  = "sealed"  // encrypted
)

// State makes what a job of a kind holds at a step.
type State struct {
	Seed uint64
	Kind string
}

// part is one part of a state: size bytes of an endless text of blocks, from a place in it on.
type part struct {
	name  string
	size  int64
	start int64
	key   func(block int64) uint64 // that a block's content follows from
}

// parts are those of a step, by name.
func (s State) parts(step uint64) []part {
	var all []part
	paged := func(name string, blocks, every uint64) {
		k := s.key(name)
		all = append(all, part{name: name, size: int64(blocks) * blockSize, key: func(b int64) uint64 {
			// Each block has a new version every so many steps, each at steps of its own.
			return mix(k, uint64(b), (step+mix(k, uint64(b)))/every)
		}})
	}
	shifting := func(name string, size int64) {
		k := s.key(name)
		all = append(all, part{name: name, size: size, start: int64(step) * 1361, key: func(b int64) uint64 { return mix(k, uint64(b)) }})
	}
	fixed := func(name string, size int64) {
		k := s.key(name)
		all = append(all, part{name: name, size: size, key: func(b int64) uint64 { return mix(k, uint64(b)) }})
	}
	switch s.Kind {
	case KindFiles:
		for i := range uint64(8) {
			fixed(fmt.Sprintf("%06d.sst", step/2+i), 96<<10)
		}
		paged("MANIFEST", 2, 1)
	case KindPages:
		paged("a.db", 192, 64)
		paged("b.db", 128, 16)
	case KindAppend:
		const perLog = 48 // steps
		current := step / perLog
		if current > 0 {
			fixed(fmt.Sprintf("%06d.log", current-1), perLog*growth)
		}
		fixed(fmt.Sprintf("%06d.log", current), int64(step%perLog+1)*growth)
	case KindContent:
		shifting("rows.dump", 768<<10)
		shifting("index.dump", 48<<10)
	case KindStreams:
		shifting("window", 384<<10)
		paged("table", 128, 32)
	case KindWorkers:
		for i := range Workers {
			shifting(fmt.Sprintf("w%d/window", i), 96<<10)
			paged(fmt.Sprintf("w%d/table", i), 48, 24)
		}
	case KindSealed:
		paged("a.db", 128, 32)
		shifting("window", 128<<10)
	}
	return all
}

const (
	// Workers is how many share a job of KindWorkers.
	Workers = 3
	growth  = 10007 // bytes that a log gains with a step: never a whole page
)

func (s State) key(name string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s.Kind+"\x00"+name)
	return mix(s.Seed, h.Sum64())
}

// mix makes one number of several, by the finaliser of SplitMix64.
func mix(values ...uint64) uint64 {
	var h uint64
	for _, v := range values {
		h = (h ^ v) + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// fillBlock writes the block of a key: half noise, half what compresses.
func fillBlock(b *[blockSize]byte, key uint64) {
	source := rand.NewPCG(key, 1)
	for i := 0; i < blockSize/2; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], source.Uint64())
	}
	for i := blockSize / 2; i < blockSize; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], key+uint64(i)>>7)
	}
}

// reader reads the part from an offset on.
func (p *part) reader(off int64) io.Reader { return &partReader{part: p, at: off, filled: -1} }

type partReader struct {
	part   *part
	at     int64
	filled int64 // the block that is in b
	b      [blockSize]byte
}

func (r *partReader) Read(p []byte) (int, error) {
	if r.at >= r.part.size {
		return 0, io.EOF
	}
	pos := r.part.start + r.at
	if block := pos / blockSize; block != r.filled {
		fillBlock(&r.b, r.part.key(block))
		r.filled = block
	}
	n := copy(p, r.b[pos%blockSize:])
	n = int(min(int64(n), r.part.size-r.at))
	r.at += int64(n)
	return n, nil
}
