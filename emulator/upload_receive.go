package emulator

import (
	"errors"
	"hash/crc32"
	"io"
	"sync"
)

const (
	// smallBody is how much is read before anything is allocated for good: most objects that are many are smaller.
	smallBody = 64 << 10
	// maxSegment bounds one allocation, so that a client that announces much and sends little costs little.
	maxSegment = 16 << 20
	// maxGuess bounds an allocation for a body of unknown length.
	maxGuess = 4 << 20
)

var smallBodies = sync.Pool{New: func() any { return new([smallBody]byte) }}

// receiver reads a body into memory once, without moving it, and computes its CRC32C on the way, while the bytes are in the
// processor's cache. What it holds is reserved from the budget until release or keep.
type receiver struct {
	memory   *budget
	reserved int64
	expect   int64 // bytes that will come, -1 if unknown
	broken   bool  // the body ended before its end

	segments [][]byte
	size     int64
	small    *[smallBody]byte // backs the only segment, if not nil

	// The last holdback bytes may be the end of a multipart body, not content: they are not hashed yet.
	holdback int64
	crc      uint32
	hashed   int64 // bytes in crc
	at       int   // the segment where hashing goes on
	from     int   // and the offset in it
}

func newReceiver(memory *budget, expect, holdback int64) *receiver {
	return &receiver{memory: memory, expect: expect, holdback: holdback}
}

// readFrom reads body to its end. A body that breaks off is an error, and size tells how much came.
func (rc *receiver) readFrom(body io.Reader) error {
	for {
		free, err := rc.free()
		if err != nil {
			return err
		}
		n, err := body.Read(free)
		rc.commit(n)
		if errors.Is(err, io.EOF) {
			return rc.settle()
		}
		if err != nil {
			if err := rc.settle(); err != nil {
				return err
			}
			rc.broken = true
			return errInvalid("The request's body broke off after %d bytes: %v", rc.size, err)
		}
	}
}

// free returns room to read into.
func (rc *receiver) free() ([]byte, error) {
	if last := len(rc.segments) - 1; last >= 0 && len(rc.segments[last]) < cap(rc.segments[last]) {
		segment := rc.segments[last]
		return segment[len(segment):cap(segment)], nil
	}
	if rc.segments == nil && rc.expect <= smallBody {
		rc.small = smallBodies.Get().(*[smallBody]byte)
		rc.segments = [][]byte{rc.small[:0]}
		return rc.small[:], nil
	}
	var next int64
	switch {
	case rc.expect > rc.size:
		next = min(rc.expect-rc.size, maxSegment)
	case rc.expect == rc.size:
		next = 1 // room to find the end in, should the last read not have told
	default:
		next = min(max(rc.size, 4*smallBody), maxGuess)
	}
	moved := int64(0)
	if rc.small != nil {
		moved = rc.size
	}
	next, err := rc.memory.reserveUpTo(moved+1, moved+next)
	if err != nil {
		return nil, err
	}
	rc.reserved += next
	segment := make([]byte, 0, next)
	if rc.small == nil {
		rc.segments = append(rc.segments, segment)
		return segment[:next], nil
	}
	rc.segments[0] = append(segment, rc.segments[0]...)
	rc.dropSmall()
	return rc.segments[0][moved:next], nil
}

func (rc *receiver) commit(n int) {
	last := len(rc.segments) - 1
	segment := rc.segments[last]
	rc.segments[last] = segment[:len(segment)+n]
	rc.size += int64(n)
	rc.hash(rc.size - rc.holdback)
}

// hash brings crc forward to the first upTo bytes.
func (rc *receiver) hash(upTo int64) {
	for rc.hashed < upTo {
		segment := rc.segments[rc.at]
		if rc.from == len(segment) {
			rc.at, rc.from = rc.at+1, 0
			continue
		}
		piece := segment[rc.from:min(int64(len(segment)), int64(rc.from)+upTo-rc.hashed)]
		rc.crc = crc32.Update(rc.crc, castagnoli, piece)
		rc.hashed += int64(len(piece))
		rc.from += len(piece)
	}
}

// settle gives back the room that turned out not to be needed.
func (rc *receiver) settle() error {
	if rc.small != nil {
		if err := rc.memory.reserve(rc.size); err != nil {
			return err
		}
		rc.reserved = rc.size
		rc.segments[0] = append([]byte(nil), rc.segments[0]...)
		rc.dropSmall()
		return nil
	}
	if last := len(rc.segments) - 1; last >= 0 && int64(cap(rc.segments[last])-len(rc.segments[last])) > rc.size/8 {
		rc.segments[last] = append([]byte(nil), rc.segments[last]...)
	}
	return nil
}

func (rc *receiver) dropSmall() {
	smallBodies.Put(rc.small)
	rc.small = nil
}

// tail returns a copy of the last n bytes, or of all if there are fewer.
func (rc *receiver) tail(n int64) []byte {
	all := content{segments: rc.segments, size: rc.size}
	n = min(n, rc.size)
	var tail []byte
	for _, segment := range all.part(rc.size-n, n).segments {
		tail = append(tail, segment...)
	}
	return tail
}

// sum returns the CRC32C of the first n bytes, of which at most holdback may be missing at the end.
func (rc *receiver) sum(n int64) uint32 {
	rc.hash(n)
	return rc.crc
}

// keep returns the first n bytes and leaves exactly n bytes of the budget to whoever holds them.
func (rc *receiver) keep(n int64) content {
	rc.memory.release(rc.reserved - n)
	rc.reserved = 0
	return content{segments: rc.segments, size: rc.size}.part(0, n)
}

// release gives back what was reserved, unless keep has handed it on.
func (rc *receiver) release() {
	if rc.small != nil {
		rc.dropSmall()
	}
	rc.memory.release(rc.reserved)
	rc.reserved = 0
}
